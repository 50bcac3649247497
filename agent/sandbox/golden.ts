/** Golden snapshots: one per template and size, booted once, warmed, sealed and kept. */
import { hasCode, logger, newSnapshotId, randomHex } from "@wrenn/common";
import { incompatibility } from "../core/snapshot_compatibility.ts";
import type { Base } from "../rootfs/store.ts";
import type { Snapshot, SnapshotStore } from "../snapshot/mod.ts";
import { capture } from "./capture.ts";
import { markUsed, removeUnused } from "./golden_store.ts";
import {
  bootMachine,
  type HostParts,
  type MachineShape,
  snapshotHost,
  untilAnswering,
} from "./machine.ts";
import { warmUp } from "./warm_up.ts";

/** A template and a size: what a golden snapshot is of, and what a pool holds. */
export interface GoldenKey extends MachineShape {
  readonly template: string;
  /** 0 = the template's own size. */
  readonly diskMb: number;
}

/** What goldens are made with. */
export interface GoldenOptions {
  readonly parts: HostParts;
  /** Where they are kept. */
  readonly store: SnapshotStore;
}

/** How often a snapshot that is used is marked so. */
const MARK_MS = 3600 * 1000;
const log = logger("agent", "golden");

/** Finds golden snapshots and makes those that are missing, each once at a time. */
export class GoldenSnapshots {
  readonly #options: GoldenOptions;
  readonly #known = new Map<string, Snapshot>();
  readonly #making = new Map<string, Promise<Snapshot>>();
  /** When each was last marked as used, milliseconds. */
  readonly #marked = new Map<string, number>();
  readonly #stopped = new AbortController();

  /** @param options Parts of the host and the store. */
  constructor(options: GoldenOptions) {
    this.#options = options;
  }

  /**
   * The golden snapshot of a template and size. The first call for it boots a machine, which takes seconds.
   *
   * @throws {WrennError} `template_not_found`, `invalid_request` for a disk smaller than the template's,
   * `guest_unavailable`, `no_space`.
   */
  async get(key: GoldenKey): Promise<Snapshot> {
    const base = await this.#base(key);
    const found = await this.#find(key, base);
    if (found && await this.#mark(found)) return found;
    const name = nameOf(key, base);
    let making = this.#making.get(name);
    if (making === undefined) {
      making = this.#make(key).finally(() => this.#making.delete(name));
      this.#making.set(name, making);
    }
    const made = await making;
    this.#known.set(name, made);
    return made;
  }

  /** Content hash of the template's image as it is now; undefined when there is none any more. */
  async imageHash(key: GoldenKey): Promise<string | undefined> {
    try {
      return (await this.#base(key)).hash;
    } catch (error) {
      if (hasCode(error, "template_not_found")) return undefined;
      throw error;
    }
  }

  /** Told of a restore that failed: a snapshot that is damaged or gone is removed, and made anew when it is asked for. */
  async failed(snapshot: Snapshot, error: unknown): Promise<void> {
    const gone = await Deno.lstat(snapshot.dir)
      .then(() => false, (cause) => cause instanceof Deno.errors.NotFound);
    if (!gone && !hasCode(error, "snapshot_corrupt")) return;
    log.warn("A golden snapshot is of no use", { id: snapshot.id, error });
    for (const [name, known] of this.#known) {
      if (known.id === snapshot.id) this.#known.delete(name);
    }
    await this.#options.store.remove(snapshot.id);
  }

  /** Gives up what is being made and waits until nothing of it is left. */
  async stop(): Promise<void> {
    this.#stopped.abort();
    await Promise.allSettled(this.#making.values());
  }

  /** Marks a snapshot as used, now and then. False when it is gone. */
  async #mark(snapshot: Snapshot): Promise<boolean> {
    const now = this.#options.parts.clock.now();
    if (now - (this.#marked.get(snapshot.id) ?? 0) < MARK_MS) return true;
    try {
      await markUsed(snapshot, now);
    } catch (error) {
      if (error instanceof Deno.errors.NotFound) return false;
      throw error;
    }
    this.#marked.set(snapshot.id, now);
    return true;
  }

  async #base({ template }: GoldenKey): Promise<Base> {
    const { rootfs } = this.#options.parts;
    const base = await rootfs.acquireBase(template);
    rootfs.releaseBase(base);
    return base;
  }

  /** The one that is there; undefined when there is none yet, or it is of another image, VMM, kernel or kind of disks. */
  async #find(key: GoldenKey, base: Base): Promise<Snapshot | undefined> {
    const name = nameOf(key, base);
    const known = this.#known.get(name);
    if (known) return known;
    const { store, parts } = this.#options;
    for (const snapshot of await store.list()) {
      const { manifest } = snapshot;
      if (manifest.kind !== "golden" || nameOfManifest(snapshot) !== name) continue;
      const { environment } = parts.vmm;
      const why = manifest.environment.boot_line === environment.boot_line
        ? incompatibility(manifest, snapshotHost(parts))
        : "Its kernel was told something else";
      if (why !== undefined) {
        log.info("A golden snapshot is not for this host", { id: snapshot.id, why });
        continue;
      }
      await store.verify(snapshot);
      this.#known.set(name, snapshot);
      return snapshot;
    }
    return undefined;
  }

  async #make(key: GoldenKey): Promise<Snapshot> {
    const { parts, store } = this.#options;
    const { signal } = this.#stopped;
    const began = performance.now();
    const { rootfs } = parts;
    const held = await rootfs.acquireBase(key.template);
    const diskId = `gold-${randomHex(8)}`;
    try {
      using _permit = await parts.gate.enter(signal);
      const machine = await bootMachine(parts, {
        diskId,
        shape: { vcpus: key.vcpus, memoryMb: key.memoryMb },
        template: { name: held.template, hash: held.hash },
        hostname: "wrenn",
        makeDisk: () => rootfs.overlay(diskId, held, key.diskMb),
      }, signal);
      try {
        await untilAnswering(parts, machine, signal);
        const bootMs = Math.round(performance.now() - began);
        await warmUp(parts, machine, { rounds: 2, deep: true }, signal);
        await machine.vm.pause();
        const snapshot = await capture(parts, machine, {
          id: newSnapshotId(),
          kind: "golden",
          generation: 0,
          sandboxId: null,
          template: machine.template,
          quiesced: true,
          goesOn: false,
        }, store);
        const ms = Math.round(performance.now() - began);
        log.info("Made a golden snapshot", { id: snapshot.id, ...key, bootMs, ms });
        await removeUnused(store, parts.clock.now());
        return snapshot;
      } finally {
        await machine.stop.run();
      }
    } finally {
      rootfs.releaseBase(held);
    }
  }
}

function nameOf(key: GoldenKey, base: Base): string {
  const diskMb = key.diskMb || base.sizeMb;
  return [base.template, base.hash, key.vcpus, key.memoryMb, diskMb].join("/");
}

function nameOfManifest({ manifest: m }: Snapshot): string {
  return [m.template.name, m.template.hash, m.vcpus, m.memory_mb, m.disk_mb].join("/");
}
