/** The way to a Firecracker process: which phase its machine is in decides what may be asked of it. */
import { type CallOptions, FirecrackerApi } from "./api_client.ts";
import { FirecrackerError } from "./firecracker_error.ts";
import { PausedMachine, RunningMachine } from "./started_machine.ts";
import { FreshMachine } from "./unstarted_machine.ts";

/**
 * Connects to a process that was just started.
 *
 * @throws {FirecrackerError} `closed` when it does not listen yet; `protocol` when its machine was started already.
 */
export async function openFresh(socket: string, options?: CallOptions): Promise<FreshMachine> {
  const machine = await openMachine(socket, options);
  if (machine.phase === "fresh") return machine;
  machine[Symbol.dispose]();
  throw new FirecrackerError("protocol", "GET /", `The machine is ${machine.phase} already`);
}

/**
 * Connects to a process whose past is not known. One that is not started counts as fresh: what was configured cannot
 * be asked, and if anything was, Firecracker refuses to load a snapshot.
 *
 * @throws {FirecrackerError} All but `phase` and `too_large`.
 */
export async function openMachine(
  socket: string,
  options?: CallOptions,
): Promise<FreshMachine | RunningMachine | PausedMachine> {
  const api = new FirecrackerApi(socket);
  try {
    const { state } = await api.info(options);
    if (state === "Running") return new RunningMachine(api);
    return state === "Paused" ? new PausedMachine(api) : new FreshMachine(api);
  } catch (error) {
    api.close();
    throw error;
  }
}
