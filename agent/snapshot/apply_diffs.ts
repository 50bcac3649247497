/** Writing a chain of diffs into a guest's memory, each page once. */
import type { GuestMemory } from "../vmm/driver.ts";
import { DiffChain } from "./diff_chain.ts";

/** Applies diffs, oldest first. @throws {WrennError} `snapshot_corrupt` */
export async function applyDiffs(paths: readonly string[], to: GuestMemory): Promise<void> {
  using chain = await DiffChain.open(paths);
  await chain.forEach((first, bytes) => to.write(first, bytes));
}
