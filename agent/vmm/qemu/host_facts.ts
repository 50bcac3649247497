/** What the command line depends on: QEMU's version and the rate of the host's time stamp counter. */
import type { RunCommand } from "@wrenn/common";
import { parseQemuVersion, type QemuVersion } from "../../core/qemu_args.ts";

/** Default of `WRENN_QEMU_BIN`, found by `PATH`. */
export const QEMU_BIN = "qemu-system-x86_64";

/**
 * Asks QEMU for its version.
 *
 * @throws {Error} When QEMU is not installed or answers something else.
 */
export async function readQemuVersion(qemuBin: string, run: RunCommand): Promise<QemuVersion> {
  try {
    return parseQemuVersion((await run([qemuBin, "--version"])).stdout);
  } catch (cause) {
    if (!(cause instanceof Deno.errors.NotFound)) throw cause;
    throw new Error(`Cannot find '${qemuBin}': install qemu-system-x86 or set WRENN_QEMU_BIN`, {
      cause,
    });
  }
}

/** `7.2.22`. */
export function versionText(version: QemuVersion): string {
  return `${version.major}.${version.minor}.${version.micro}`;
}

/**
 * Rate of the time stamp counter in kHz, from the text of /proc/cpuinfo. On machines that scale their
 * frequency `cpu MHz` is not that rate; a driver takes a calibrated figure as an option instead.
 *
 * @throws {Error} When the text has no plausible rate.
 */
export function tscKhzOf(cpuinfo: string): number {
  const khz = Math.round(Number(/^cpu MHz\s*:\s*([\d.]+)$/m.exec(cpuinfo)?.[1]) * 1000);
  if (!(khz >= 100_000 && khz <= 20_000_000)) {
    throw new Error("Cannot read the time stamp counter's rate: '/proc/cpuinfo' has no 'cpu MHz'");
  }
  return khz;
}
