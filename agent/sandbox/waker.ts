/**
 * A guard against guests that stand still. An emulated guest without a periodic tick depends on a one-shot timer; should
 * one get lost, an idle guest sleeps until something else interrupts it. A packet does.
 */
import { logger } from "@wrenn/common";
import type { SandboxManager } from "./manager.ts";

const INTERVAL_MS = 5_000;
const KNOCK_LIMIT_MS = 1_000;
/** Discard (RFC 863). Nobody listens, so the guest's kernel answers alone: a refusal, without waking a process. */
const PORT = 9;

/** Sends a packet to the guest at an address and waits for any answer. Never rejects. */
export type Knock = (hostIp: string) => Promise<void>;

/** Knocks by a TCP connection that is refused. */
export const knockByTcp: Knock = async (hostname) => {
  try {
    using _conn = await Deno.connect({
      hostname,
      port: PORT,
      signal: AbortSignal.timeout(KNOCK_LIMIT_MS),
    });
  } catch {
    // A refusal is the answer; silence is the guest's own business, and the next knock comes soon.
  }
};

/** Knocks at every running sandbox every five seconds until disposed of. */
export function startWaker(
  manager: Pick<SandboxManager, "list">,
  knock: Knock = knockByTcp,
  intervalMs: number = INTERVAL_MS,
): AsyncDisposable {
  const knocks = new Set<Promise<void>>();
  const timer = setInterval(() => {
    for (const { state, hostIp } of manager.list()) {
      if (state !== "running" || hostIp === "") continue;
      const done = knock(hostIp)
        .catch((error: unknown) => logger("agent", "waker").warn("Cannot knock", { error }))
        .finally(() => knocks.delete(done));
      knocks.add(done);
    }
  }, intervalMs);
  return {
    [Symbol.asyncDispose]: async () => {
      clearInterval(timer);
      await Promise.all(knocks);
    },
  };
}
