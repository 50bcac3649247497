/**
 * Starting a sandbox: claim a warm machine, else restore the golden snapshot, else boot. The network's policy is in
 * force before the first vCPU runs; the identity comes last. Whatever fails, nothing stays on the host.
 */
import { hasCode, logger, WrennError } from "@wrenn/common";
import type { GuestReport } from "../guest/guest.ts";
import type { Snapshot } from "../snapshot/mod.ts";
import type { GoldenKey, GoldenSnapshots } from "./golden.ts";
import { giveIdentity } from "./identity.ts";
import {
  bootMachine,
  type HostParts,
  type Machine,
  restoreMachine,
  untilAnswering,
} from "./machine.ts";
import type { SandboxOrder } from "./types.ts";
import type { WarmPools } from "./warm_pool.ts";

/** A machine that is the sandbox's. */
export interface Started {
  readonly machine: Machine;
  /** How it came: the slower ways stand in when the faster ones fail. */
  readonly way: "claim" | "restore" | "boot";
  /** What was done to a copy. */
  readonly report?: GuestReport | undefined;
  /** Milliseconds by step, in order. */
  readonly timing: Readonly<Record<string, number>>;
}

/** Starts one sandbox. */
export type Starter = (order: SandboxOrder, signal: AbortSignal) => Promise<Started>;

/** What starting from a template needs. */
export interface StartParts {
  readonly parts: HostParts;
  readonly golden: GoldenSnapshots;
  readonly pools: WarmPools;
}

/** A guest that is restored or stood still answers at once; one that does not is thrown away. */
const CLAIM_LIMIT_MS = 2_000;
const log = logger("agent", "start");

/** A starter for sandboxes of templates. @throws As {@linkcode GoldenSnapshots.get} and `capacity_exhausted`. */
export function fromTemplate({ parts, golden, pools }: StartParts): Starter {
  return async (order, signal) => {
    const { template, vcpus, memoryMb, diskMb } = order.spec;
    const key: GoldenKey = { template, vcpus, memoryMb, diskMb };
    const warm = pools.claim(key);
    const claimed = warm && await claim(parts, warm, order, signal);
    if (claimed) return claimed;
    const snapshot = await golden.get(key);
    using _permit = await parts.gate.enter(signal);
    try {
      return await restored(parts, snapshot, order, signal, false);
    } catch (error) {
      if (signal.aborted || hasCode(error, "capacity_exhausted", "no_space")) throw error;
      log.error("Cannot restore a golden snapshot, booting", { id: order.id, error });
      await golden.failed(snapshot, error);
      return await booted(parts, order, signal);
    }
  };
}

/** A starter for copies of a sandbox. @throws {WrennError} Also `snapshot_corrupt`, `snapshot_incompatible`. */
export function fromSnapshot(parts: HostParts, snapshot: Snapshot): Starter {
  return async (order, signal) => {
    using _permit = await parts.gate.enter(signal);
    return await restored(parts, snapshot, order, signal, true);
  };
}

/** Undefined when the machine turned out to be of no use: it is gone then. */
async function claim(
  parts: HostParts,
  machine: Machine,
  order: SandboxOrder,
  signal: AbortSignal,
): Promise<Started | undefined> {
  const clock = stopWatch();
  try {
    machine.disk = await parts.rootfs.rename(machine.disk, order.id);
    clock.lap("claim");
    const limited = AbortSignal.any([signal, AbortSignal.timeout(CLAIM_LIMIT_MS)]);
    await takeOver(parts, machine, order, limited, clock);
    signal.throwIfAborted();
    return { machine, way: "claim", timing: clock.laps };
  } catch (error) {
    await machine.stop.run();
    if (signal.aborted) throw signal.reason;
    log.warn("A warm machine is of no use", { id: order.id, vmId: machine.vm.vmId, error });
    return undefined;
  }
}

async function restored(
  parts: HostParts,
  snapshot: Snapshot,
  order: SandboxOrder,
  signal: AbortSignal,
  fork: boolean,
): Promise<Started> {
  const clock = stopWatch();
  const machine = await restoreMachine(parts, { snapshot, diskId: order.id }, signal);
  try {
    clock.lap("restore");
    const report = await takeOver(parts, machine, order, signal, clock, fork);
    return { machine, way: "restore", report, timing: clock.laps };
  } catch (error) {
    await machine.stop.run();
    throw signal.aborted ? signal.reason : error;
  }
}

async function booted(
  parts: HostParts,
  order: SandboxOrder,
  signal: AbortSignal,
): Promise<Started> {
  const { rootfs } = parts;
  const { template, vcpus, memoryMb, diskMb } = order.spec;
  const clock = stopWatch();
  const base = await rootfs.acquireBase(template);
  try {
    const machine = await bootMachine(parts, {
      diskId: order.id,
      shape: { vcpus, memoryMb },
      template: { name: base.template, hash: base.hash },
      hostname: order.id,
      makeDisk: () => rootfs.overlay(order.id, base, diskMb),
    }, signal);
    try {
      await parts.slots.applyPolicy(machine.slot, order.spec.network);
      await untilAnswering(parts, machine, signal);
      await giveIdentity(parts, machine, { id: order.id, env: order.spec.env }, signal);
      clock.lap("boot");
      return { machine, way: "boot", timing: clock.laps };
    } catch (error) {
      await machine.stop.run();
      throw error;
    }
  } finally {
    rootfs.releaseBase(base);
  }
}

/** Policy, vCPUs, identity: in this order. */
async function takeOver(
  parts: HostParts,
  machine: Machine,
  order: SandboxOrder,
  signal: AbortSignal,
  clock: StopWatch,
  fork: boolean = false,
): Promise<GuestReport | undefined> {
  await parts.slots.applyPolicy(machine.slot, order.spec.network);
  clock.lap("policy");
  await machine.vm.resume();
  clock.lap("resume");
  let report: GuestReport | undefined;
  await untilAnswering(parts, machine, signal, async (s) => {
    report = await giveIdentity(
      parts,
      machine,
      {
        id: order.id,
        // A copy keeps the environment of the original unless it is given one.
        env: fork && Object.keys(order.spec.env).length === 0 ? undefined : order.spec.env,
      },
      s,
      { fork },
    );
  });
  clock.lap("init");
  if (fork && report === undefined) {
    throw new WrennError("guest_unavailable", "Guest did not tell what was done to the copy");
  }
  return report;
}

interface StopWatch {
  readonly laps: Record<string, number>;
  lap(name: string): void;
}

function stopWatch(): StopWatch {
  const laps: Record<string, number> = {};
  let last = performance.now();
  return {
    laps,
    lap: (name) => {
      const now = performance.now();
      laps[name] = Math.round((now - last) * 100) / 100;
      last = now;
    },
  };
}
