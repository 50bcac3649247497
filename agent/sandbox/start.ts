/** Starting a sandbox: steps with undo. Whatever fails, nothing stays on the host. */
import { join } from "node:path";
import { CleanupStack, type Clock, logger, WrennError } from "@wrenn/common";
import type { Guest } from "../guest/guest.ts";
import type { NetworkSlots, Slot } from "../network/slots.ts";
import type { BlockDevice, RootfsStore } from "../rootfs/store.ts";
import type { ExitInfo, Vm, VmmDriver } from "../vmm/driver.ts";
import type { StartGate } from "./start_gate.ts";
import type { SandboxOrder } from "./types.ts";

/** What a sandbox is built from on this host. */
export interface HostParts {
  readonly vmm: VmmDriver;
  readonly slots: NetworkSlots;
  readonly rootfs: RootfsStore;
  readonly gate: StartGate;
  readonly clock: Clock;
  /** Client of the guest agent behind a slot. */
  readonly connectGuest: (slot: Slot) => Guest;
  readonly settings: StartSettings;
}

/** Paths and limits of a start. */
export interface StartSettings {
  readonly kernel: string;
  readonly initrd: string;
  /** Run folders are made in it, one per sandbox. */
  readonly runDir: string;
  /** Name servers of the guests. */
  readonly dns: readonly string[];
  /** How long a guest may take from boot to the answer of its agent. */
  readonly guestTimeoutMs: number;
}

/** A sandbox that answers. */
export interface StartedSandbox {
  readonly vm: Vm;
  readonly guest: Guest;
  readonly slot: Slot;
  readonly disk: BlockDevice;
  /** Ends the machine and frees everything it had. */
  readonly stop: CleanupStack;
}

const DEFAULT_USER = "user";
/** Unprivileged uid of a VMM: this plus its slot's index. */
const FIRST_UID = 300_000;

/**
 * Starts a sandbox and answers when its guest agent does.
 *
 * Base image first, so that a wrong template fails at once; then a place at the gate; then network and disk side
 * by side; the network's policy is in force before the machine runs.
 *
 * @param signal Gives the start up.
 * @throws {WrennError} `template_not_found`, `capacity_exhausted`, `no_space`, `guest_unavailable`, or the
 * signal's reason.
 */
export async function startSandbox(
  parts: HostParts,
  order: SandboxOrder,
  signal: AbortSignal,
): Promise<StartedSandbox> {
  const undo = new CleanupStack();
  try {
    const started = await build(parts, order, undo, signal);
    signal.throwIfAborted();
    return { ...started, stop: undo.move() };
  } catch (error) {
    await undo.run().catch((failure: unknown) =>
      logger("agent", "sandbox").error("Cannot undo a start", { id: order.id, error: failure })
    );
    throw signal.aborted ? signal.reason : typed(error);
  }
}

async function build(
  parts: HostParts,
  order: SandboxOrder,
  undo: CleanupStack,
  signal: AbortSignal,
): Promise<Omit<StartedSandbox, "stop">> {
  const { rootfs, gate, settings } = parts;
  const base = await rootfs.acquireBase(order.spec.template);
  undo.add(() => rootfs.releaseBase(base), "base image");
  using _permit = await gate.enter(signal);

  const runDir = join(settings.runDir, order.id);
  const [slot, disk] = await allOrNothing([
    claimSlot(parts, order, undo),
    makeDisk(),
    makeRunDir(runDir, undo),
  ]);
  signal.throwIfAborted();

  const vm = await parts.vmm.boot({
    vmId: crypto.getRandomValues(new Uint8Array(8)).toHex(),
    sandboxId: order.id,
    vcpus: order.spec.vcpus,
    memoryMb: order.spec.memoryMb,
    disk,
    slot,
    kernel: settings.kernel,
    initrd: settings.initrd,
    initArgs: initArgs(order.id, slot, settings.dns),
    runDir,
    uid: FIRST_UID + slot.index,
  });
  undo.add(() => vm.kill(), "machine");
  const guest = parts.connectGuest(slot);
  undo.add(
    () => guest.close(new WrennError("sandbox_not_running", "Sandbox has ended")),
    "guest connection",
  );
  await untilReady(parts, order, vm, guest, signal);
  return { vm, guest, slot, disk };

  async function makeDisk(): Promise<BlockDevice> {
    undo.add(() => rootfs.remove(order.id), "disk");
    return await rootfs.overlay(order.id, base, order.spec.diskMb);
  }
}

async function claimSlot(
  { slots }: HostParts,
  order: SandboxOrder,
  undo: CleanupStack,
): Promise<Slot> {
  const slot = await slots.claim();
  undo.add(() => slots.release(slot), "network slot");
  await slots.applyPolicy(slot, order.spec.network);
  return slot;
}

async function makeRunDir(runDir: string, undo: CleanupStack): Promise<void> {
  undo.add(() => removeFolder(runDir), "run folder");
  await Deno.mkdir(runDir, { mode: 0o700 });
}

/** Waits for the guest's agent and gives the guest its identity. */
async function untilReady(
  { settings, clock }: HostParts,
  order: SandboxOrder,
  vm: Vm,
  guest: Guest,
  signal: AbortSignal,
): Promise<void> {
  const watch = new AbortController();
  let died: ExitInfo | undefined;
  void vm.exited.then((info) => {
    died = info;
    watch.abort();
  });
  const limit = setTimeout(() => watch.abort(), settings.guestTimeoutMs);
  const either = AbortSignal.any([signal, watch.signal]);
  try {
    await guest.untilHealthy(either);
    await guest.init(
      {
        token: crypto.getRandomValues(new Uint8Array(32)).toHex(),
        env: order.spec.env,
        hostname: order.id,
        defaultUser: DEFAULT_USER,
      },
      () => clock.now(),
      either,
    );
  } catch (error) {
    if (signal.aborted) throw signal.reason;
    if (!watch.signal.aborted) throw error;
    await vm.kill();
    const { code, signal: by, tail } = died ?? await vm.exited;
    logger("agent", "sandbox").error("Guest did not start", { id: order.id, code, by, tail });
    throw new WrennError(
      "guest_unavailable",
      died
        ? "Machine ended before its guest agent answered"
        : `Guest agent did not answer within ${settings.guestTimeoutMs / 1000} s`,
      { cause: error },
    );
  } finally {
    clearTimeout(limit);
  }
}

/** Parameters of the guest's init on the kernel command line (`images/wrenn-init.sh`). */
function initArgs(hostname: string, slot: Slot, dns: readonly string[]): string[] {
  return [
    `wrenn.hostname=${hostname}`,
    `wrenn.ip=${slot.guestIp}/30`,
    `wrenn.gw=${slot.gatewayIp}`,
    `wrenn.dns=${dns.join(",")}`,
  ];
}

/** Waits for all even when one fails, so that each has registered its undo; then throws the first failure. */
async function allOrNothing<T extends readonly unknown[]>(
  steps: { readonly [K in keyof T]: Promise<T[K]> },
): Promise<T> {
  const settled = await Promise.allSettled(steps);
  for (const step of settled) {
    if (step.status === "rejected") throw step.reason;
  }
  return await Promise.all(steps) as unknown as T;
}

/** Removes a folder; a missing one is fine. */
export async function removeFolder(path: string): Promise<void> {
  await Deno.remove(path, { recursive: true }).catch((error: unknown) => {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  });
}

/** A full disk shows in many ways; everything else unknown is ours. */
function typed(error: unknown): WrennError {
  if (error instanceof WrennError) return error;
  const text = error instanceof Error ? `${error.message} ${String(error.cause ?? "")}` : "";
  if (/no space left on device|ENOSPC|disk quota exceeded/i.test(text)) {
    return new WrennError("no_space", "Host is out of disk space", { cause: error });
  }
  return new WrennError("internal", "Cannot start the sandbox", { cause: error });
}
