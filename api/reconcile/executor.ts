/** Performs the reconciler's repairs for one host. */
import { hasCode, type Logger } from "@wrenn/common";
import type { Repair } from "../core/reconcile_plan.ts";
import type { Database } from "../db/database.ts";
import { moveSandbox, touchSandbox } from "../db/sandboxes.ts";
import { fromAgentError } from "../hosts/agent_errors.ts";
import type { HostFacts } from "../db/sandboxes.ts";
import type { AgentClient } from "../services/types.ts";

/** What a repair needs. */
export interface RepairContext {
  readonly db: Database;
  readonly client: AgentClient;
  readonly log: Logger;
  /** What the host said about its sandboxes, by id. */
  readonly facts: ReadonlyMap<string, HostFacts>;
}

const CALL_TIMEOUT_MS = 30_000;

/** Performs one repair. Throws when it did not succeed; the next round plans it again. */
export async function performRepair(repair: Repair, context: RepairContext): Promise<void> {
  const { db, client, log } = context;
  const { id } = repair;
  switch (repair.kind) {
    case "touch":
      return await touchSandbox(db, id, new Date(repair.lastActiveAt));
    case "destroy":
      log.warn("Destroying a sandbox that should not run", { sandbox: id, why: repair.why });
      return await destroy(client, id, repair.executionId);
    case "finish_stop": {
      await destroy(client, id, repair.executionId);
      const { version } = repair;
      await moveSandbox(db, { id, to: "stopped", why: "destroyed by request", version });
      return log.info("Sandbox destroyed", { sandbox: id });
    }
    case "move": {
      if (repair.absent && await hasSandbox(client, id)) return;
      const { to, why, version, reason } = repair;
      const facts = context.facts.get(id);
      const moved = await moveSandbox(db, { id, to, why, version, error: reason, facts });
      // That a host has begun is news, not a repair.
      const level = to === "starting" ? "debug" : "info";
      if (moved) log[level]("Sandbox state repaired", { sandbox: id, status: to, why });
    }
  }
}

async function destroy(client: AgentClient, id: string, executionId: string): Promise<void> {
  try {
    await client.destroySandbox({ id, executionId }, { timeoutMs: CALL_TIMEOUT_MS });
  } catch (cause) {
    const error = fromAgentError(cause);
    // It is gone, or has been replaced since the list was made.
    if (!hasCode(error, "sandbox_not_found", "conflict")) throw error;
  }
}

async function hasSandbox(client: AgentClient, id: string): Promise<boolean> {
  try {
    await client.getSandbox({ id }, { timeoutMs: CALL_TIMEOUT_MS });
    return true;
  } catch (cause) {
    const error = fromAgentError(cause);
    if (hasCode(error, "sandbox_not_found")) return false;
    throw error;
  }
}
