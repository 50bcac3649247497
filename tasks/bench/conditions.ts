/** The machine that was measured, so that figures can be compared. */
import { release } from "node:os";
import { run } from "../lib/shell.ts";
import { SIZE } from "./workload.ts";

/** What figures depend on. */
export interface Conditions {
  readonly cpu: string;
  readonly cores: number;
  /** Load averages over 1, 5 and 15 minutes before the first measurement. */
  readonly load: readonly number[];
  readonly memory_mb: number;
  readonly kernel: string;
  readonly qemu: string;
  /** `kvm`, `tcg`, or `unknown` when the platform is on another machine. */
  readonly accel: string;
  readonly deno: string;
  readonly template: string;
  readonly sandbox_vcpus: number;
  readonly sandbox_memory_mb: number;
  readonly date: string;
}

/** Facts about this machine; `accel` is found while a sandbox runs. */
export async function readConditions(template: string, accel: string): Promise<Conditions> {
  const cpuinfo = await Deno.readTextFile("/proc/cpuinfo");
  const qemu = await run(["qemu-system-x86_64", "--version"], { allowFailure: true })
    .catch(() => undefined);
  return {
    cpu: /^model name\s*:\s*(.+)$/m.exec(cpuinfo)?.[1] ?? "unknown",
    cores: navigator.hardwareConcurrency,
    load: Deno.loadavg(),
    memory_mb: Math.round(Deno.systemMemoryInfo().total / 1024 / 1024),
    kernel: release(),
    qemu: /version (\S+)/.exec(qemu?.stdout ?? "")?.[1] ?? "none",
    accel,
    deno: Deno.version.deno,
    template,
    sandbox_vcpus: SIZE.vcpus,
    sandbox_memory_mb: SIZE.memoryMb,
    date: new Date().toISOString(),
  };
}

/** How a running sandbox's machine is accelerated, from its QEMU's command line. */
export async function findAccelerator(sandboxId: string): Promise<string> {
  for await (const { name } of Deno.readDir("/proc")) {
    if (!/^\d+$/.test(name)) continue;
    const raw = await Deno.readTextFile(`/proc/${name}/cmdline`).catch(() => ""); // it has ended
    const found = acceleratorOf(raw.split("\0"), sandboxId);
    if (found) return found;
  }
  return "unknown";
}

/** `kvm` or `tcg` when the arguments are a QEMU of this sandbox. */
export function acceleratorOf(argv: readonly string[], sandboxId: string): string | undefined {
  const isQemu = argv.some((arg) => /qemu-system/.test(arg));
  if (!isQemu || !argv.some((arg) => arg.includes(sandboxId))) return undefined;
  const accel = argv[argv.indexOf("-accel") + 1] ?? "";
  return /^(kvm|tcg)\b/.exec(accel)?.[1] ?? /accel=(kvm|tcg)/.exec(argv.join(" "))?.[1];
}
