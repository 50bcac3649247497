/** A wrong order of calls does not compile. Nothing here runs. */
import { putAction, putBootSource, putEntropy, putLogger } from "../../core/firecracker_calls.ts";
import type { SnapshotLoad } from "./api_types.ts";
import type { PausedMachine, RunningMachine } from "./started_machine.ts";
import type { ConfiguredMachine, FreshMachine } from "./unstarted_machine.ts";

declare const snapshot: Pick<SnapshotLoad, "snapshot_path" | "mem_backend">;

/** Never runs: that it compiles, and that what is marked does not, is the test. */
export async function wrongOrders(
  fresh: FreshMachine,
  configured: ConfiguredMachine,
  running: RunningMachine,
  paused: PausedMachine,
  either: RunningMachine | PausedMachine,
): Promise<void> {
  // @ts-expect-error Nothing was described that could start.
  await fresh.start();
  // @ts-expect-error There are no vCPUs yet.
  await fresh.pause();
  // @ts-expect-error A description is no output.
  await fresh.setOutput(putEntropy());
  // @ts-expect-error A start is a phase of its own.
  await fresh.configure([putAction("InstanceStart")]);
  // @ts-expect-error Whether the vCPUs run must be known when it is compiled.
  await fresh.load({ ...snapshot, resume_vm: Math.random() < 0.5 });
  // @ts-expect-error A described machine loads no snapshot.
  await configured.load(snapshot);
  // @ts-expect-error There are no vCPUs yet.
  await configured.pause();
  // @ts-expect-error There is no guest yet.
  await configured.createSnapshot({ snapshot_path: "/s", mem_file_path: "/m" });
  // @ts-expect-error It runs already.
  await running.start();
  // @ts-expect-error It runs already.
  await running.resume();
  // @ts-expect-error It has its kernel.
  await running.configure([putBootSource({ kernel_image_path: "/k" })]);
  // @ts-expect-error It is no longer fresh.
  await running.load(snapshot);
  // @ts-expect-error Its vCPUs run.
  await running.createSnapshot({ snapshot_path: "/s", mem_file_path: "/m" });
  // @ts-expect-error Its output is set before the start.
  await running.update(putLogger({ level: "Info" }));
  // @ts-expect-error Its vCPUs stand still.
  await paused.pause();
  // @ts-expect-error Its guest sees no keys.
  await paused.sendCtrlAltDel();
  // @ts-expect-error It may run.
  await either.createSnapshot({ snapshot_path: "/s", mem_file_path: "/m" });
  // @ts-expect-error A paused machine is not a running one.
  running = paused;

  const loaded: PausedMachine = await fresh.load({ ...snapshot, resume_vm: false });
  const same: PausedMachine = await fresh.load(snapshot);
  const resumed: RunningMachine = await fresh.load({ ...snapshot, resume_vm: true });
  await either.patchDrive({ drive_id: "rootfs" });
  if (either.phase === "paused") await either.resume();
  for (const machine of [loaded, same, resumed]) machine[Symbol.dispose]();
}
