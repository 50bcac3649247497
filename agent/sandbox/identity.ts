/** What makes a machine one sandbox's: token, environment, names, clock and randomness, given by `/init`. */
import type { SandboxId } from "@wrenn/common";
import type { GuestReport } from "../guest/guest.ts";
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
/** Programs of the guest may run when a copy wakes. */
const FORK_LIMIT_MS = 60_000;

/**
 * Gives a running guest its identity. Its old token, if it has one, is dead from then on; its processes, if they
 * were frozen, go on.
 *
 * @throws {WrennError} `guest_unavailable`, or the signal's reason.
 */
export async function giveIdentity(
  { secret, clock }: HostParts,
  machine: Machine,
  { id, env }: Owner,
  signal: AbortSignal,
  { fork = false }: IdentityOptions = {},
): Promise<GuestReport | undefined> {
  const { guest, vm, tokenId } = machine;
  const limited = AbortSignal.any([
    signal,
    AbortSignal.timeout(fork ? FORK_LIMIT_MS : INIT_LIMIT_MS),
  ]);
  const now = (): number => clock.now();
  const told = clock.monotonic();
  const report = await guest.init(
    {
      token: secret.token(vm.vmId),
      ...(env === undefined ? {} : { env }),
      hostname: id,
      defaultUser: DEFAULT_USER,
      machineId: secret.machineId(id),
      bootId: crypto.randomUUID(),
    },
    {
      now,
      ...(tokenId === null ? {} : { previousToken: secret.token(tokenId) }),
      fork,
      report: fork,
    },
    limited,
  );
  machine.tokenId = vm.vmId;
  let lag = clock.monotonic() - told;
  for (let i = 0; i < CLOCK_TRIES && lag > CLOCK_LAG_MS; i++) {
    const again = clock.monotonic();
    await guest.tellTime(now, limited);
    lag = clock.monotonic() - again;
  }
  return report;
}

/** Sets the clock of a guest whose vCPUs stood still, stirs its randomness and lets its processes go on. */
export async function wakeIdentity(
  parts: HostParts,
  machine: Machine,
  id: SandboxId,
  signal: AbortSignal,
): Promise<void> {
  await giveIdentity(parts, machine, { id, env: undefined }, signal);
}
