/** What a host's Firecracker and CPU say of themselves. */

/** Firecracker's version, `1.15.1`. */
export interface FirecrackerVersion {
  readonly major: number;
  readonly minor: number;
  readonly patch: number;
}

/** Oldest minor version whose Diff snapshots can be written over one file again and again. */
const OLDEST_MINOR = 13;

/**
 * Reads the first line of `firecracker --version`.
 *
 * @throws {Error} When there is no version in it, or one that this driver does not know how to drive.
 */
export function parseFirecrackerVersion(text: string): FirecrackerVersion {
  const match = /^Firecracker v(\d+)\.(\d+)\.(\d+)/.exec(text);
  if (!match) throw new Error(`Cannot find Firecracker's version in '${text.slice(0, 100)}'`);
  const [major, minor, patch] = [Number(match[1]), Number(match[2]), Number(match[3])];
  if (major !== 1 || minor < OLDEST_MINOR) {
    throw new Error(
      `Firecracker ${major}.${minor}.${patch} is not supported: 1.${OLDEST_MINOR} or later is needed`,
    );
  }
  return { major, minor, patch };
}

/** `firecracker 1.15.1`, as snapshots record it. */
export function vmmName({ major, minor, patch }: FirecrackerVersion): string {
  return `firecracker ${major}.${minor}.${patch}`;
}

/** Whether a load may ask for the guest's clock to be advanced. */
export function knowsClockRealtime({ minor }: FirecrackerVersion): boolean {
  return minor >= 15;
}

/**
 * The CPU that guests see, which is the host's: vendor, family, model, stepping and name, from the text of
 * /proc/cpuinfo. A snapshot loads on the same only.
 *
 * @throws {Error} When the text has none.
 */
export function cpuModelOf(cpuinfo: string): string {
  const field = (name: string): string => {
    const value = new RegExp(`^${name}\\s*:\\s*(.+)$`, "m").exec(cpuinfo)?.[1]?.trim();
    if (!value) throw new Error(`Cannot read the CPU's model: '/proc/cpuinfo' has no '${name}'`);
    return value;
  };
  const numbers = ["cpu family", "model", "stepping"].map(field).join("/");
  return `${field("vendor_id")} ${numbers} ${field("model name").replace(/\s+/g, " ")}`;
}

/**
 * The TSC's rate in kHz that the host's own kernel was told because it cannot measure it, from the text of
 * /proc/cmdline: a guest of that host cannot either. Undefined on all other hosts.
 */
export function toldTscKhz(cmdline: string): number | undefined {
  const khz = Number(/(?:^|\s)tsc_early_khz=(\d+)(?:\s|$)/.exec(cmdline)?.[1]);
  return khz > 0 ? khz : undefined;
}
