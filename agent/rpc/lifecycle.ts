/** Life cycle calls. */
import type { ServiceImpl } from "@connectrpc/connect";
import type { AgentService } from "@wrenn/proto/agent";
import type { SandboxDriver } from "../sandbox/driver.ts";
import type { SandboxManager } from "../sandbox/manager.ts";
import { toForkReport, toReceipt, toRestore, toSandbox } from "./convert.ts";
import { executionId, forkChildren, sandboxId, sandboxOrder, snapshotId } from "./validate.ts";

/** The calls that this file serves. */
export type LifecycleCalls = Pick<
  ServiceImpl<typeof AgentService>,
  | "createSandbox"
  | "destroySandbox"
  | "getSandbox"
  | "listSandboxes"
  | "watchSandboxes"
  | "pauseSandbox"
  | "hibernateSandbox"
  | "resumeSandbox"
  | "forkSandbox"
  | "pingSandbox"
>;

/** Header with the milliseconds of a create's steps (Server-Timing, W3C). */
const TIMING = "server-timing";

/** Life cycle calls over a manager. */
export function lifecycleCalls(manager: SandboxManager): LifecycleCalls {
  const receipt = (box: SandboxDriver) => ({
    sandbox: toSandbox(box.info),
    receipt: toReceipt(box.generations[0]),
  });
  return {
    createSandbox: async (request, { responseHeader }) => {
      const from = request.snapshotId === ""
        ? undefined
        : snapshotId(request.snapshotId, "snapshot_id");
      const box = await manager.create(sandboxOrder(request), from);
      responseHeader.set(TIMING, timingText(box.startTiming));
      return { sandbox: toSandbox(box.info) };
    },
    destroySandbox: async (request) => {
      const execution = executionId(request.executionId, { optional: true });
      await manager.destroy(sandboxId(request.id), execution);
      return {};
    },
    getSandbox: ({ id }) => ({ sandbox: toSandbox(manager.get(sandboxId(id)).info) }),
    listSandboxes: () => ({ sandboxes: manager.list().map(toSandbox) }),
    watchSandboxes: async function* (_request, { signal }) {
      const changes = manager.watch(signal);
      yield {};
      for await (const info of changes) yield { sandbox: toSandbox(info) };
    },
    pauseSandbox: async ({ id }) => {
      const box = manager.get(sandboxId(id));
      await box.pause();
      return receipt(box);
    },
    hibernateSandbox: async ({ id }) => {
      const box = manager.get(sandboxId(id));
      await box.hibernate();
      return receipt(box);
    },
    resumeSandbox: async ({ id }) => {
      const box = manager.get(sandboxId(id));
      const restored = await box.resume();
      return { sandbox: toSandbox(box.info), restore: toRestore(restored) };
    },
    forkSandbox: async ({ id, children }) => {
      const boxes = await manager.fork(sandboxId(id), forkChildren(children));
      return {
        children: boxes.map((box) => ({
          sandbox: toSandbox(box.info),
          ...(box.forkReport ? { report: toForkReport(box.forkReport) } : {}),
        })),
      };
    },
    pingSandbox: ({ id }) => ({ sandbox: toSandbox(manager.ping(sandboxId(id))) }),
  };
}

function timingText(timing: Readonly<Record<string, number>>): string {
  return Object.entries(timing).map(([name, ms]) => `${name};dur=${ms}`).join(", ");
}
