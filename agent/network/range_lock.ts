/** One agent per slot index: ranges of agents on one machine must not overlap, or they would sweep each other. */
import { join } from "node:path";
import { ConfigError } from "@wrenn/common";
import type { SlotRange } from "../core/slot_allocator.ts";

const FOLDER = "/run/lock/wrenn-slots";

/**
 * Takes a range for this process until disposed of. The kernel gives it back when the process dies.
 *
 * @throws {ConfigError} When another agent has an index of it.
 */
export async function lockRange(range: SlotRange, folder: string = FOLDER): Promise<Disposable> {
  await Deno.mkdir(folder, { recursive: true });
  const name = `${range.first}-${range.last}`;
  const own = await Deno.open(join(folder, name), { create: true, write: true, mode: 0o600 });
  try {
    if (!(await own.tryLock(true))) throw taken(name);
    for await (const entry of Deno.readDir(folder)) {
      if (entry.name === name || !overlaps(range, entry.name)) continue;
      using other = await Deno.open(join(folder, entry.name), { write: true });
      if (!(await other.tryLock(true))) throw taken(entry.name);
    }
    return own;
  } catch (error) {
    own.close();
    throw error;
  }
}

function overlaps({ first, last }: SlotRange, name: string): boolean {
  const [otherFirst = NaN, otherLast = NaN] = name.split("-").map(Number);
  return first <= otherLast && otherFirst <= last;
}

function taken(name: string): ConfigError {
  return new ConfigError(
    `Wrong configuration: WRENN_SLOTS: another agent on this machine uses the slots '${name}'`,
  );
}
