/** Bringing memory and devices back into a QEMU that waits for them. */
import { delay } from "@wrenn/common";
import { z } from "zod";
import { STATE_FD } from "../../core/qemu_args.ts";
import type { RestoreSpec, Vm } from "../driver.ts";
import type { QmpClient } from "./qmp.ts";

const LOAD_TIMEOUT_MS = 30_000;
const LOAD_POLL_MS = 1;

const runState = z.object({ status: z.string() });
const migration = z.object({ status: z.string().optional(), "error-desc": z.string().optional() });

/** Fills the memory, loads the devices, and proves that the machine stands still. */
export async function bringBack(
  vm: Vm,
  qmp: QmpClient,
  { fill }: Pick<RestoreSpec, "fill">,
): Promise<void> {
  if (fill) {
    using memory = await vm.memory();
    await fill(memory);
  }
  await loadState(qmp);
  await expectStatus(qmp, "paused");
}

/** Loads the device state from the descriptor that QEMU was started with. */
async function loadState(qmp: QmpClient): Promise<void> {
  // Its place in the network is as new as the machine: nobody has to learn where it went.
  await qmp.execute("migrate-set-parameters", { "announce-rounds": 0 });
  await qmp.execute("migrate-incoming", { uri: `fd:${STATE_FD}` });
  const deadline = performance.now() + LOAD_TIMEOUT_MS;
  for (;;) {
    const seen = migration.parse(await qmp.execute("query-migrate"));
    if (seen.status === "completed") return;
    if (seen.status === "failed") {
      throw new Error(`The device state was refused: ${seen["error-desc"] ?? "see the log"}`);
    }
    if (performance.now() > deadline) throw new Error("The device state does not load");
    await delay(LOAD_POLL_MS);
  }
}

/** @throws {Error} When the machine is in another state. */
export async function expectStatus(qmp: QmpClient, expected: string): Promise<void> {
  const { status } = runState.parse(await qmp.execute("query-status"));
  if (status !== expected) throw new Error(`The machine is '${status}', not '${expected}'`);
}
