/** What makes a machine one sandbox's: token, environment, names, clock and randomness, given by `/init`. */
import { type Clock, logger, type SandboxId } from "@wrenn/common";
import type { GuestIdentity, GuestReport } from "../guest/guest.ts";
import type { HostParts, Machine } from "./machine.ts";

/** Whose the guest becomes. */
export interface Owner {
  readonly id: SandboxId;
  /** Environment of its processes; undefined leaves what the guest has. */
  readonly env: Readonly<Record<string, string>> | undefined;
}

/** How it becomes so. */
export interface IdentityOptions {
  /** The guest is a copy of another sandbox: connections end, hooks run, and the answer tells what was done. */
  readonly fork?: boolean;
}

/** User of requests that name none. */
const DEFAULT_USER = "user";
const INIT_LIMIT_MS = 15_000;
/** The guest sets its clock to a time that is as old as the call is long: after a longer one it is told again. */
const CLOCK_LAG_MS = 50;
const CLOCK_TRIES = 3;
const CLOCK_LIMIT_MS = 5_000;
const log = logger("agent", "identity");
/** Programs of the guest may run when a copy wakes. */
const FORK_LIMIT_MS = 60_000;

/**
 * Gives a running guest its identity. Its old token, if it has one, is dead from then on; its processes, if they
 * were frozen, go on.
 *
 * @throws {WrennError} `guest_unavailable`, or the signal's reason.
 */
export async function giveIdentity(
  parts: HostParts,
  machine: Machine,
  { id, env }: Owner,
  signal: AbortSignal,
  { fork = false }: IdentityOptions = {},
): Promise<GuestReport | undefined> {
  const names = {
    ...(env === undefined ? {} : { env }),
    hostname: id,
    defaultUser: DEFAULT_USER,
    machineId: parts.secret.machineId(id),
    bootId: crypto.randomUUID(),
  };
  return await initialize(parts, machine, { names, fork }, signal);
}

/**
 * Sets the clock of a guest whose vCPUs stood still, stirs its randomness and lets its processes go on. Its names are
 * its owner's, who may have changed them.
 *
 * @throws As {@linkcode giveIdentity}.
 */
export async function wakeIdentity(
  parts: HostParts,
  machine: Machine,
  signal: AbortSignal,
): Promise<void> {
  await initialize(parts, machine, { names: {}, fork: false }, signal);
}

async function initialize(
  { secret, clock }: HostParts,
  machine: Machine,
  { names, fork }: { names: Omit<GuestIdentity, "token">; fork: boolean },
  signal: AbortSignal,
): Promise<GuestReport | undefined> {
  const { guest, vm, tokenId } = machine;
  const limit = AbortSignal.timeout(fork ? FORK_LIMIT_MS : INIT_LIMIT_MS);
  const limited = AbortSignal.any([signal, limit]);
  const now = (): number => clock.now();
  const previous = tokenId === null ? {} : { previousToken: secret.token(tokenId) };
  const began = clock.monotonic();
  const report = await guest.init(
    { token: secret.token(vm.vmId), ...names },
    { now, ...previous, fork, report: fork },
    limited,
  );
  machine.tokenId = vm.vmId;
  void correctClock(machine, clock, clock.monotonic() - began);
  return report;
}

/**
 * Tells the time again while the call before took too long. Nobody waits for it: what is asked of the guest afterwards
 * comes after it.
 */
async function correctClock({ guest, vm }: Machine, clock: Clock, lagMs: number): Promise<void> {
  try {
    for (let i = 0, lag = lagMs; i < CLOCK_TRIES && lag > CLOCK_LAG_MS; i++) {
      const began = clock.monotonic();
      await guest.tellTime(() => clock.now(), AbortSignal.timeout(CLOCK_LIMIT_MS));
      lag = clock.monotonic() - began;
    }
  } catch (error) {
    // It has ended, or stands still: the next one to let it go on tells the time.
    log.debug("Cannot correct a guest's clock", { vmId: vm.vmId, error });
  }
}
