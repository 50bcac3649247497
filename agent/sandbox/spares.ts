/**
 * Spare VMM processes: started, in a network slot and a folder of their own, and waiting for a machine to bring back.
 * A wake and a fork's copy so save the start of a process. Each fits the snapshots that lie over one memory file.
 */
import { join } from "node:path";
import { CleanupStack, delay, logger, randomHex } from "@wrenn/common";
import { spareStep } from "../core/spare_policy.ts";
import { VMM_GROUP } from "../core/vmm_ids.ts";
import type { Slot } from "../network/slots.ts";
import type { BlockDevice } from "../rootfs/store.ts";
import type { Snapshot } from "../snapshot/mod.ts";
import type { SpareVm, VmmDriver } from "../vmm/driver.ts";
import { type PlaceParts, removeFolder, uidOf } from "./place.ts";
import type { StartGate } from "./start_gate.ts";

/** A process that waits, with its place. */
export interface Spare {
  readonly vm: SpareVm;
  readonly vmId: string;
  readonly slot: Slot;
  readonly runDir: string;
  /** A disk without layers: the folder that the process has as its root. */
  readonly disk: BlockDevice;
  /** Ends the process and frees everything that it had. */
  readonly stop: CleanupStack;
}

/** How many to keep, and what they are made of. */
export interface SpareOptions {
  readonly parts: PlaceParts & { readonly vmm: VmmDriver; readonly gate: StartGate };
  /** Processes that wait at once, of all kinds together. */
  readonly count: number;
  /** Memory that stays free, MiB. */
  readonly reserveMb: number;
  /** Memory that the host could give out, MiB. */
  readonly availableMb: () => number;
}

/** Figures of the processes that wait. */
export interface SpareFigures {
  readonly ready: number;
  readonly target: number;
  /** Machines that were brought back in one of them. */
  readonly hits: number;
  /** Machines that found none. */
  readonly misses: number;
}

/** What snapshots must have in common to fit. */
interface Kind {
  readonly vcpus: number;
  readonly memoryMb: number;
  readonly diskMb: number;
  /** A path of the memory file, while it is there: a golden snapshot's, when that was seen first. */
  readonly base: string;
  readonly ready: Spare[];
  askedMs: number;
  /** None is made before this moment: the last one failed. */
  notBeforeMs: number;
}

/** What a QEMU takes that has not run, MiB. */
const ENTRY_MB = 20;
/** The first commands of a sandbox come before the next process. */
const QUIET_MS = 250;
const TICK_MS = 1000;
const FAILED_WAIT_MS = 10_000;
/** Kinds that are remembered. */
const MAX_KINDS = 16;
const log = logger("agent", "spares");

/** The spare processes of this host. */
export class Spares {
  readonly #options: SpareOptions;
  /** By memory file and size, the one that was asked for last at the end. */
  readonly #kinds = new Map<string, Kind>();
  readonly #stopped = new AbortController();
  /** Processes that died and whose places are not free yet. */
  readonly #ending = new Set<Promise<void>>();
  #wake: PromiseWithResolvers<void> = Promise.withResolvers<void>();
  #running: Promise<void> | undefined;
  #takenMs = -Infinity;
  #hits = 0;
  #misses = 0;

  /** @param options Parts and how many to keep. */
  constructor(options: SpareOptions) {
    this.#options = options;
  }

  /** Begins to make them; of what, it learns from {@linkcode take} and {@linkcode seen}. */
  start(): void {
    this.#running ??= this.#run();
  }

  /** Takes a process that fits a snapshot, which is the caller's from then on. Counts as demand. */
  async take(snapshot: Snapshot): Promise<Spare | undefined> {
    const kind = await this.#kindOf(snapshot);
    const spare = kind?.ready.shift();
    if (spare) this.#hits++;
    else this.#misses++;
    this.#takenMs = performance.now();
    this.#wake.resolve();
    return spare;
  }

  /** Told of a snapshot that others will lie over. */
  async seen(snapshot: Snapshot): Promise<void> {
    await this.#kindOf(snapshot);
    this.#wake.resolve();
  }

  /** What there is and what there should be. */
  figures(): SpareFigures {
    const ready = [...this.#kinds.values()].reduce((sum, kind) => sum + kind.ready.length, 0);
    const wanted = this.#kinds.size === 0 ? 0 : this.#options.count;
    const target = Math.max(0, Math.min(wanted, ready + this.#room()));
    return { ready, target, hits: this.#hits, misses: this.#misses };
  }

  /** Ends all of them. */
  async stop(): Promise<void> {
    this.#stopped.abort();
    this.#wake.resolve();
    await this.#running;
    const left = [...this.#kinds.values()].flatMap(({ ready }) => ready.splice(0));
    await Promise.all([...left.map((spare) => end(spare)), ...this.#ending]);
  }

  async #kindOf({ dir, manifest }: Snapshot): Promise<Kind | undefined> {
    const { count } = this.#options;
    const [file] = manifest.memory;
    if (count === 0 || file === undefined || this.#stopped.signal.aborted) return undefined;
    const { vcpus, memory_mb: memoryMb, disk_mb: diskMb } = manifest;
    const base = join(dir, file.file);
    // The very file, whatever its name: a process finds its memory by it.
    const { dev, ino } = await Deno.stat(base);
    const name = [dev, ino, vcpus, memoryMb, diskMb].join("/");
    const kind = this.#kinds.get(name) ??
      { vcpus, memoryMb, diskMb, base, ready: [], askedMs: 0, notBeforeMs: 0 };
    kind.askedMs = performance.now();
    this.#kinds.delete(name);
    this.#kinds.set(name, kind);
    return kind;
  }

  async #run(): Promise<void> {
    const { signal } = this.#stopped;
    while (!signal.aborted) {
      this.#wake = Promise.withResolvers<void>();
      const step = this.#step();
      try {
        if (step?.do === "drop") await this.#drop(step.kind);
        else if (step?.do === "make" && await this.#quiet(signal)) {
          await this.#make(step.kind, signal);
        } else {
          await Promise.race([this.#wake.promise, delay(TICK_MS, signal).catch(() => {})]);
        }
      } catch (error) {
        if (signal.aborted) break;
        if (step) step.kind.notBeforeMs = performance.now() + FAILED_WAIT_MS;
        log.warn("Cannot keep a process waiting", { error });
      }
    }
  }

  /** How many more the host has memory for. */
  #room(): number {
    const { availableMb, reserveMb } = this.#options;
    return Math.floor((availableMb() - reserveMb) / ENTRY_MB);
  }

  #step(): { readonly do: "make" | "drop"; readonly kind: Kind } | undefined {
    const { count } = this.#options;
    for (const [name, { ready }] of this.#kinds) {
      if (this.#kinds.size <= MAX_KINDS) break;
      if (ready.length === 0) this.#kinds.delete(name);
    }
    const nowMs = performance.now();
    const kinds = [...this.#kinds.values()].filter((k) =>
      k.ready.length > 0 || k.notBeforeMs < nowMs
    );
    const step = spareStep({
      kinds: kinds.map(({ ready, askedMs }) => ({ ready: ready.length, askedMs })),
      room: this.#room(),
      ...{ count, nowMs },
    });
    const kind = step && kinds[step.kind];
    return kind && { do: step.do, kind };
  }

  /** False when it is to be asked again. */
  async #quiet(signal: AbortSignal): Promise<boolean> {
    const soon = QUIET_MS - (performance.now() - this.#takenMs);
    if (soon <= 0 && this.#options.parts.gate.waiting === 0) return true;
    await delay(Math.max(soon, 20), signal);
    return false;
  }

  async #make(kind: Kind, signal: AbortSignal): Promise<void> {
    const { parts } = this.#options;
    using _permit = await parts.gate.enter(signal);
    const stop = new CleanupStack();
    try {
      const spare = await start(parts, kind, stop);
      kind.ready.push(spare);
      void spare.vm.ended.then(() => this.#lost(kind, spare));
    } catch (error) {
      await stop.run();
      if (error instanceof Deno.errors.NotFound) this.#forget(kind);
      throw error;
    }
  }

  /** A process that ended while it waited. One that was taken is no longer here. */
  #lost(kind: Kind, spare: Spare): void {
    const at = kind.ready.indexOf(spare);
    if (at < 0) return;
    kind.ready.splice(at, 1);
    log.warn("A process ended while it waited", { vmId: spare.vmId });
    this.#wake.resolve();
    const ending = end(spare).finally(() => this.#ending.delete(ending));
    this.#ending.add(ending);
  }

  async #drop(kind: Kind): Promise<void> {
    const spare = kind.ready.shift();
    if (spare) await end(spare);
  }

  /** Of a memory file that is gone. */
  #forget(kind: Kind): void {
    for (const [name, known] of this.#kinds) {
      if (known === kind && kind.ready.length === 0) this.#kinds.delete(name);
    }
  }
}

async function start(
  { slots, rootfs, settings, vmm }: SpareOptions["parts"],
  { vcpus, memoryMb, diskMb, base }: Kind,
  stop: CleanupStack,
): Promise<Spare> {
  if (!vmm.prepare || !rootfs.reserve) throw new Error("This host has no use for spare processes");
  await Deno.stat(base);
  const vmId = randomHex(8);
  const diskId = `spare-${randomHex(8)}`;
  const runDir = join(settings.runDir, vmId);
  const slot = await slots.claim();
  stop.add(() => slots.release(slot), "network slot");
  const disk = await rootfs.reserve(diskId, diskMb);
  // Once a disk is made in it, it has another id.
  stop.add(() => rootfs.remove(diskId), "disk");
  stop.add(() => removeFolder(runDir), "run folder");
  await Deno.mkdir(runDir, { mode: 0o700 });
  const vm = await vmm.prepare({
    ...{ vmId, vcpus, memoryMb, disk, slot, runDir, memoryBase: base },
    ...{ uid: uidOf(slot), gid: VMM_GROUP },
  });
  stop.add(() => vm.kill(), "process");
  return { vm, vmId, slot, runDir, disk, stop };
}

async function end(spare: Spare): Promise<void> {
  try {
    await spare.stop.run();
  } catch (error) {
    log.error("A process that waited left something behind", { vmId: spare.vmId, error });
  }
}
