/** Bounded concurrency. */

/** Works on all items, at most `width` at once. The first failure is thrown when what runs has ended. */
export async function sideBySide<T>(
  items: Iterable<T>,
  width: number,
  work: (item: T) => Promise<void>,
): Promise<void> {
  const shared = [...items].values();
  const lanes = await Promise.allSettled(Array.from({ length: width }, async () => {
    for (const item of shared) await work(item);
  }));
  for (const lane of lanes) if (lane.status === "rejected") throw lane.reason;
}
