/** Slots are names on the whole machine: two runs of a test take turns. */
import { join } from "node:path";
import { defaultCacheDir } from "../../../tasks/images/mod.ts";

/** Waits until no other process tests with these slots, and keeps them until disposed of or dead. */
export async function takeSlots(slots: string): Promise<Disposable> {
  await Deno.mkdir(defaultCacheDir(), { recursive: true });
  const file = await Deno.open(join(defaultCacheDir(), `test-slots-${slots}.lock`), {
    create: true,
    write: true,
  });
  await file.lock(true);
  return file;
}
