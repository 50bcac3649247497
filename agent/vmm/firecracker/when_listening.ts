/** The way from a process that was just started to a machine that can be asked. */
import { delay } from "@wrenn/common";
import type { VmmHandle } from "../vmm_handle.ts";
import { FirecrackerError } from "./firecracker_error.ts";
import { openFresh } from "./open_machine.ts";
import type { FreshMachine } from "./unstarted_machine.ts";

const START_TIMEOUT_MS = 20_000;
const POLL_MS = 2;

/** Connects as soon as Firecracker listens; fails at once when the process ends. @throws {Error} */
export async function whenListening(socket: string, process: VmmHandle): Promise<FreshMachine> {
  const stop = new AbortController();
  process.ended.then(({ code, signal }) =>
    stop.abort(new Error(`Firecracker ended with ${signal ?? `code ${code}`}`))
  );
  const deadline = performance.now() + START_TIMEOUT_MS;
  while (performance.now() < deadline) {
    stop.signal.throwIfAborted();
    try {
      if (await listens(socket)) return await openFresh(socket, { signal: stop.signal });
    } catch (error) {
      if (!(error instanceof FirecrackerError && error.failure === "closed")) throw error;
    }
    await delay(POLL_MS, stop.signal);
  }
  throw new Error(`Firecracker does not listen after ${START_TIMEOUT_MS} ms`);
}

async function listens(path: string): Promise<boolean> {
  try {
    (await Deno.connect({ transport: "unix", path })).close();
    return true;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    if (error instanceof Deno.errors.ConnectionRefused) return false;
    throw error;
  }
}
