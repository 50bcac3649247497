/** What `dmsetup info` tells of a host's devices, and which of them nobody needs. */
import { z } from "zod";

/** A device-mapper device. */
export interface DmDevice {
  readonly name: string;
  /** `major:minor`. */
  readonly devno: string;
  /** Who has it open: processes, and devices over it. */
  readonly open: number;
  /** A table is in force; without one the device was never finished. */
  readonly live: boolean;
  readonly suspended: boolean;
  /** What the table in force uses, `major:minor` each. */
  readonly uses: readonly string[];
}

/** Columns that {@linkcode readDevices} wants, for `dmsetup info -c -o`. */
export const DEVICE_COLUMNS = "name,devno,open,attr,devnos_used";
/** Separator that it wants. */
export const DEVICE_SEPARATOR = "|";

const row = z.tuple([
  z.string().min(1),
  z.string().regex(/^\d+:\d+$/),
  z.coerce.number().int().min(0),
  z.string().regex(/^[L-][I-][s-][rw-]/),
  z.string(),
]);

/** Reads the rows of all devices, by name. @throws {z.ZodError} For output that is none. */
export function readDevices(text: string): Map<string, DmDevice> {
  const devices = new Map<string, DmDevice>();
  for (const line of text.split("\n")) {
    if (line.trim() === "" || line.startsWith("No devices found")) continue;
    const cells = line.split(DEVICE_SEPARATOR).map((cell) => cell.trim());
    const [name, devno, open, attributes, used] = row.parse(cells);
    devices.set(name, {
      ...{ name, devno, open },
      live: attributes[0] === "L",
      suspended: attributes[2] === "s",
      uses: used.match(/\d+:\d+/g) ?? [],
    });
  }
  return devices;
}

/**
 * Devices of those that `mayGo` names which nothing uses, or nothing but others of them. In the order in which they
 * can be removed: what lies over another one first.
 */
export function unusedDevices(
  devices: ReadonlyMap<string, DmDevice>,
  mayGo: (name: string) => boolean,
): string[] {
  const byNumber = new Map([...devices.values()].map((device) => [device.devno, device]));
  const open = new Map([...devices.values()].map((device) => [device.name, device.open]));
  const gone: string[] = [];
  const look = (device: DmDevice): void => {
    if (!mayGo(device.name) || open.get(device.name) !== 0) return;
    // Looked at once.
    open.delete(device.name);
    gone.push(device.name);
    for (const devno of device.uses) {
      const below = byNumber.get(devno);
      if (below === undefined) continue;
      open.set(below.name, (open.get(below.name) ?? 0) - 1);
      look(below);
    }
  };
  for (const device of devices.values()) look(device);
  return gone;
}
