/** What figures depend on: without it they cannot be compared. */
import { release } from "node:os";
import { run } from "../lib/shell.ts";
import { MOST_LOAD } from "./verdict.ts";
import type { Runs } from "./runs.ts";
import type { SandboxShape } from "./sandbox_api.ts";

/** The machine, the commit and the way of measuring. */
export interface Conditions {
  readonly date: string;
  /** Commit that was measured; with `-dirty` when files differ from it. */
  readonly commit: string;
  readonly cpu: string;
  readonly cores: number;
  readonly memory_mb: number;
  readonly kernel: string;
  readonly qemu: string;
  /** `kvm`, `tcg`, or `unknown` when the agent cannot be asked. */
  readonly accel: string;
  readonly deno: string;
  readonly template: string;
  readonly sandbox_vcpus: number;
  readonly sandbox_memory_mb: number;
  /** Load averages over 1, 5 and 15 minutes before anything was started. */
  readonly load_before: readonly number[];
  /** The same after the last measurement. */
  readonly load_after: readonly number[];
  /** False: the machine was busy, and no figure of this run counts as met. */
  readonly quiet: boolean;
  /** What the rows of single sandboxes waited for; null when there are none in this run. */
  readonly waits: string | null;
  readonly client: string;
  readonly runs: Runs;
}

/** What `waits` says when the pool can be asked. */
export const WAITS =
  "Before each sandbox of a row until the warm pool is full (GetStats), so that no refill runs beside it";
/** What `waits` says when it cannot. */
export const NO_WAITS = "For nothing: the agent cannot be asked for its pool";

/** What is known before the start. */
export type EarlyConditions = Omit<Conditions, "accel" | "load_after" | "waits">;

/** Reads what is to be read before anything is started. */
export async function readConditions(
  root: string,
  { template, vcpus, memoryMb }: SandboxShape,
  runs: Runs,
): Promise<EarlyConditions> {
  const load = Deno.loadavg();
  const cpuinfo = await Deno.readTextFile("/proc/cpuinfo");
  return {
    date: new Date().toISOString(),
    commit: await commitOf(root),
    cpu: /^model name\s*:\s*(.+)$/m.exec(cpuinfo)?.[1] ?? "unknown",
    cores: navigator.hardwareConcurrency,
    memory_mb: Math.round(Deno.systemMemoryInfo().total / 1024 / 1024),
    kernel: release(),
    qemu: await qemuVersion(),
    deno: Deno.version.deno,
    template,
    sandbox_vcpus: vcpus,
    sandbox_memory_mb: memoryMb,
    load_before: load,
    quiet: (load[0] ?? 0) <= MOST_LOAD,
    client: "/v1 by fetch on kept connections, on the same machine",
    runs,
  };
}

/** The commit of a checkout. */
export async function commitOf(root: string): Promise<string> {
  const git = (...args: string[]) => run(["git", "-C", root, ...args], { allowFailure: true });
  const { code, stdout } = await git("rev-parse", "--short=12", "HEAD");
  if (code !== 0) return "unknown";
  const { stdout: changes } = await git("status", "--porcelain");
  return stdout.trim() + (changes.trim() === "" ? "" : "-dirty");
}

async function qemuVersion(): Promise<string> {
  const found = await run(["qemu-system-x86_64", "--version"], { allowFailure: true })
    .catch(() => undefined); // not installed
  return /version (\S+)/.exec(found?.stdout ?? "")?.[1] ?? "none";
}
