/**
 * A program that makes a snapshot and stops at one step, to be killed there: `{ root, id, step }`. With the step
 * `churn` it makes and removes snapshots until it is killed.
 */
import { isSnapshotId } from "@wrenn/common";
import { SnapshotStore } from "../store.ts";
import { contentIn, filledDraft, makeSnapshot } from "./store_fixture.ts";

const { root, id, step }: Record<string, string> = JSON.parse(Deno.args[0] ?? "");
if (root === undefined || id === undefined || !isSnapshotId(id)) throw new Error("Wrong arguments");

/** Says that the step is reached and stands still with everything as it is. */
function stopAt(reached: string): void {
  if (reached !== step) return;
  Deno.stdout.writeSync(new TextEncoder().encode("reached\n"));
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0);
}

const store = new SnapshotStore({ root, reserveMb: 0, hook: stopAt });
if (step === "churn") {
  Deno.stdout.writeSync(new TextEncoder().encode("reached\n"));
  while (true) {
    const { id } = await makeSnapshot(store);
    if (id.endsWith("0")) continue;
    await store.remove(id);
  }
}
await using draft = await filledDraft(store, id);
stopAt("draft");
await draft.commit(await contentIn(draft.dir));
stopAt("committed");
