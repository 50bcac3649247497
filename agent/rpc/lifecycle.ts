/** Life cycle calls. */
import type { ServiceImpl } from "@connectrpc/connect";
import type { AgentService } from "@wrenn/proto/agent";
import type { SandboxManager } from "../sandbox/manager.ts";
import { toSandbox } from "./convert.ts";
import { executionId, sandboxId, sandboxOrder } from "./validate.ts";

/** The calls that this file serves. */
export type LifecycleCalls = Pick<
  ServiceImpl<typeof AgentService>,
  | "createSandbox"
  | "destroySandbox"
  | "getSandbox"
  | "listSandboxes"
  | "watchSandboxes"
  | "pauseSandbox"
  | "resumeSandbox"
  | "pingSandbox"
>;

/** Life cycle calls over a manager. */
export function lifecycleCalls(manager: SandboxManager): LifecycleCalls {
  return {
    createSandbox: async (request) => ({
      sandbox: toSandbox(await manager.create(sandboxOrder(request))),
    }),
    destroySandbox: async (request) => {
      const execution = executionId(request.executionId, { optional: true });
      await manager.destroy(sandboxId(request.id), execution);
      return {};
    },
    getSandbox: ({ id }) => ({ sandbox: toSandbox(manager.get(sandboxId(id))) }),
    listSandboxes: () => ({ sandboxes: manager.list().map(toSandbox) }),
    watchSandboxes: async function* (_request, { signal }) {
      const changes = manager.watch(signal);
      yield {};
      for await (const info of changes) yield { sandbox: toSandbox(info) };
    },
    pauseSandbox: async ({ id }) => ({ sandbox: toSandbox(await manager.pause(sandboxId(id))) }),
    resumeSandbox: async ({ id }) => ({ sandbox: toSandbox(await manager.resume(sandboxId(id))) }),
    pingSandbox: ({ id }) => ({ sandbox: toSandbox(manager.ping(sandboxId(id))) }),
  };
}
