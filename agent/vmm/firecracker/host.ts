/** What the driver finds out about its host. */
import { runCommand } from "@wrenn/common";
import { dirname, join } from "node:path";
import {
  cpuModelOf,
  type FirecrackerVersion,
  parseFirecrackerVersion,
  toldTscKhz,
} from "../../core/firecracker_host.ts";
import { tscKhzOf } from "../qemu/host_facts.ts";

/** Where Firecracker is, unless configured otherwise. */
export const FIRECRACKER_BIN = "/usr/local/bin/firecracker";

/** Where the jailer is, unless configured otherwise: beside Firecracker, whose version it must have. */
export function jailerBeside(firecrackerBin: string): string {
  return join(dirname(firecrackerBin), "jailer");
}

/** Facts of one host. */
export interface FirecrackerHost {
  /** Path of Firecracker without links: the name of its file is part of every jail's path. */
  readonly firecracker: string;
  /** Path of the jailer; undefined when it is not used. */
  readonly jailer: string | undefined;
  readonly version: FirecrackerVersion;
  readonly cpuModel: string;
  /** Rate of the time stamp counter in kHz. */
  readonly tscKhz: number;
  /** Set where guests must be told the rate. */
  readonly toldTscKhz: number | undefined;
}

/** What to look for. */
export interface HostOptions {
  readonly firecrackerBin?: string;
  readonly jailerBin?: string;
  readonly jail: "jailer" | "namespace";
  readonly tscKhz?: number;
}

/** Looks. @throws {Error} With a sentence for what is missing. */
export async function lookAtHost(options: HostOptions): Promise<FirecrackerHost> {
  const bin = options.firecrackerBin ?? FIRECRACKER_BIN;
  const firecracker = await findProgram(bin, "firecracker");
  const version = parseFirecrackerVersion((await runCommand([firecracker, "--version"])).stdout);
  const jailer = options.jail === "jailer"
    ? await findProgram(options.jailerBin ?? jailerBeside(bin), "jailer")
    : undefined;
  await checkKvm();
  const cpuinfo = await Deno.readTextFile("/proc/cpuinfo");
  const told = toldTscKhz(await Deno.readTextFile("/proc/cmdline"));
  return {
    firecracker,
    jailer,
    version,
    cpuModel: cpuModelOf(cpuinfo),
    tscKhz: options.tscKhz ?? told ?? tscKhzOf(cpuinfo),
    toldTscKhz: told,
  };
}

/** A program's path without links. Its name tells it from other processes; the jailer insists on it, too. */
export async function findProgram(
  path: string,
  name: "firecracker" | "jailer",
): Promise<string> {
  let real: string;
  try {
    real = await Deno.realPath(path);
  } catch (cause) {
    const setting = name === "firecracker"
      ? "install it or set WRENN_FIRECRACKER_BIN"
      : "install it or set WRENN_JAILER_BIN";
    throw new Error(`Cannot find '${path}': ${setting}`, { cause });
  }
  if (!real.slice(real.lastIndexOf("/") + 1).includes(name)) {
    throw new Error(`'${real}' must have '${name}' in its name`);
  }
  return real;
}

async function checkKvm(): Promise<void> {
  try {
    (await Deno.open("/dev/kvm", { read: true, write: true })).close();
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new Error(`Firecracker needs KVM, and '/dev/kvm' does not open: ${why}`, { cause });
  }
}
