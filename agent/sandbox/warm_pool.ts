/**
 * Warm machines: restored from their golden snapshot, warmed, sealed, and standing still with everything that a
 * sandbox needs. A claim takes one in no time; the pool refills behind it, one machine at a time.
 */
import { delay, logger, randomHex } from "@wrenn/common";
import {
  type ArrivalRate,
  arrived,
  decayed,
  NO_ARRIVALS,
  poolTarget,
} from "../core/pool_policy.ts";
import { refillSeconds } from "../metrics.ts";
import type { NetworkPolicy } from "../network/slots.ts";
import type { GoldenKey, GoldenSnapshots } from "./golden.ts";
import { type HostParts, type Machine, restoreMachine, untilAnswering } from "./machine.ts";
import { warmUp } from "./warm_up.ts";

/** How a pool behaves. */
export interface PoolOptions {
  readonly parts: HostParts;
  readonly golden: GoldenSnapshots;
  /** Machines per template and size that are kept in any case, for the keys that are kept. */
  readonly min: number;
  /** Most machines per template and size. */
  readonly max: number;
  /** Templates and sizes whose machines are made before anybody asks. */
  readonly keep: readonly GoldenKey[];
  readonly reserveMb: number;
  /** Memory that the host could still give out, MiB. */
  readonly availableMb: () => number;
  /** Which policy a machine's network has when it is ready: the one that most sandboxes ask for. */
  readonly policy: NetworkPolicy;
}

/** What a pool has, for figures. */
export interface PoolFigures extends GoldenKey {
  readonly ready: number;
  readonly target: number;
  readonly hits: number;
  readonly misses: number;
  /** Time to make the last machine, milliseconds. */
  readonly refillMs: number;
}

interface Pool {
  readonly key: GoldenKey;
  readonly min: number;
  readonly ready: Machine[];
  rate: ArrivalRate;
  hits: number;
  misses: number;
  refillMs: number;
  lastClaimMs: number;
  /** No machine is made before this moment: the last one failed. */
  notBeforeMs: number;
}

/** What a warm machine takes beside what all share, MiB. */
const ENTRY_MB = 110;
const ROUNDS = 3;
/** The first commands of a new sandbox come before the next machine, while some are left. */
const QUIET_MS = 250;
const TICK_MS = 1000;
const FAILED_WAIT_MS = 10_000;
/** A first guess, until one was made. */
const FIRST_REFILL_MS = 4000;
const log = logger("agent", "pool");

/** The pools of this host. */
export class WarmPools {
  readonly #options: PoolOptions;
  readonly #pools = new Map<string, Pool>();
  readonly #stopped = new AbortController();
  /** Machines that were too many and are not gone yet. */
  readonly #ending = new Set<Promise<void>>();
  #wake: PromiseWithResolvers<void> = Promise.withResolvers<void>();
  #running: Promise<void> | undefined;

  /** @param options Parts, limits and what to keep. */
  constructor(options: PoolOptions) {
    this.#options = options;
    for (const key of options.keep) this.#pool(key, options.min);
  }

  /** Begins to fill. */
  start(): void {
    this.#running ??= this.#run();
  }

  /**
   * Takes a warm machine, which is the caller's from then on; undefined when there is none. Counts as demand.
   */
  claim(key: GoldenKey): Machine | undefined {
    const pool = this.#pool(key, 0);
    const now = performance.now();
    pool.rate = arrived(pool.rate, now);
    pool.lastClaimMs = now;
    const machine = pool.ready.shift();
    if (machine) pool.hits++;
    else pool.misses++;
    this.#wake.resolve();
    return machine;
  }

  /** What every pool has. */
  figures(): PoolFigures[] {
    return [...this.#pools.values()].map((pool) => ({
      ...pool.key,
      ready: pool.ready.length,
      target: this.#target(pool),
      hits: pool.hits,
      misses: pool.misses,
      refillMs: Math.round(pool.refillMs),
    }));
  }

  /** Gives memory back: drops warm machines until `count` are gone or none is left. Answers how many. */
  async shed(count: number): Promise<number> {
    const dropped: Machine[] = [];
    for (const pool of this.#pools.values()) {
      dropped.push(...pool.ready.splice(0, count - dropped.length));
    }
    await Promise.all(dropped.map((machine) => this.#end(machine)));
    return dropped.length;
  }

  /** Ends every warm machine. */
  async stop(): Promise<void> {
    this.#stopped.abort();
    this.#wake.resolve();
    await this.#running;
    await this.shed(Infinity);
    await Promise.all(this.#ending);
  }

  #pool(key: GoldenKey, min: number): Pool {
    const name = [key.template, key.vcpus, key.memoryMb, key.diskMb].join("/");
    let pool = this.#pools.get(name);
    if (pool === undefined) {
      pool = {
        key,
        min,
        ready: [],
        rate: NO_ARRIVALS,
        hits: 0,
        misses: 0,
        refillMs: FIRST_REFILL_MS,
        lastClaimMs: -Infinity,
        notBeforeMs: 0,
      };
      this.#pools.set(name, pool);
    }
    return pool;
  }

  #target(pool: Pool): number {
    const { max, reserveMb, availableMb } = this.#options;
    return poolTarget({
      min: Math.min(pool.min, max),
      max,
      arrivalsPerSec: decayed(pool.rate, performance.now()).perSec,
      refillSec: pool.refillMs / 1000,
      ready: pool.ready.length,
      availableMb: availableMb(),
      reserveMb,
      entryMb: ENTRY_MB,
    });
  }

  async #run(): Promise<void> {
    const { signal } = this.#stopped;
    while (!signal.aborted) {
      this.#wake = Promise.withResolvers<void>();
      await this.#dropReplaced();
      const pool = this.#neediest();
      if (pool === undefined) {
        await Promise.race([this.#wake.promise, delay(TICK_MS, signal).catch(() => {})]);
        continue;
      }
      try {
        await this.#quiet(pool, signal);
        await this.#refill(pool, signal);
      } catch (error) {
        if (signal.aborted) break;
        pool.notBeforeMs = performance.now() + FAILED_WAIT_MS;
        log.warn("Cannot make a warm machine", { ...pool.key, error });
      }
    }
  }

  /** Drops machines of an image that was replaced or removed. */
  async #dropReplaced(): Promise<void> {
    for (const { key, ready } of this.#pools.values()) {
      if (ready.length === 0) continue;
      try {
        const hash = await this.#options.golden.imageHash(key);
        const replaced = ready.filter(({ template }) => template.hash !== hash);
        for (const machine of replaced) this.#drop(ready.splice(ready.indexOf(machine), 1));
      } catch (error) {
        log.warn("Cannot tell whether an image was replaced", { ...key, error });
      }
    }
  }

  /** The pool that lacks most; drops what is too much on the way. */
  #neediest(): Pool | undefined {
    let worst: { pool: Pool; lacks: number } | undefined;
    for (const pool of this.#pools.values()) {
      const lacks = this.#target(pool) - pool.ready.length;
      if (lacks < 0) this.#drop(pool.ready.splice(0, -lacks));
      if (lacks <= 0 || performance.now() < pool.notBeforeMs) continue;
      if (worst === undefined || lacks > worst.lacks) worst = { pool, lacks };
    }
    return worst?.pool;
  }

  /** Waits while somebody starts, and for a moment after a claim when there are machines left. */
  async #quiet(pool: Pool, signal: AbortSignal): Promise<void> {
    const { gate } = this.#options.parts;
    for (;;) {
      const since = performance.now() - pool.lastClaimMs;
      const soon = pool.ready.length > 0 ? QUIET_MS - since : 0;
      if (gate.waiting === 0 && soon <= 0) return;
      await delay(Math.max(soon, 20), signal);
    }
  }

  async #refill(pool: Pool, signal: AbortSignal): Promise<void> {
    const { parts, golden, policy } = this.#options;
    const snapshot = await golden.get(pool.key);
    using _permit = await parts.gate.enter(signal);
    const began = performance.now();
    const diskId = `warm-${randomHex(8)}`;
    const machine = await restoreMachine(parts, { snapshot, diskId, hurry: false }, signal)
      .catch(async (error: unknown) => {
        await golden.failed(snapshot, error);
        throw error;
      });
    try {
      await machine.vm.resume();
      await untilAnswering(parts, machine, signal, (s) => machine.guest.untilRestored(s));
      await warmUp(parts, machine, { rounds: ROUNDS, deep: false }, signal);
      await machine.vm.pause();
      await parts.slots.applyPolicy(machine.slot, policy);
      signal.throwIfAborted();
    } catch (error) {
      await machine.stop.run();
      throw error;
    }
    await parts.spares?.seen(snapshot);
    pool.refillMs = performance.now() - began;
    refillSeconds.observe(pool.refillMs / 1000);
    pool.ready.push(machine);
    void machine.vm.exited.then(() => this.#lost(pool, machine));
    log.debug("Made a warm machine", { ...pool.key, ms: Math.round(pool.refillMs) });
  }

  /** A machine that died while it waited. One that was claimed is no longer in the pool. */
  async #lost(pool: Pool, machine: Machine): Promise<void> {
    const at = pool.ready.indexOf(machine);
    if (at < 0) return;
    pool.ready.splice(at, 1);
    log.warn("A warm machine ended", { ...pool.key, vmId: machine.vm.vmId });
    this.#wake.resolve();
    await this.#end(machine);
  }

  /** Ends machines while the pool goes on. */
  #drop(machines: readonly Machine[]): void {
    for (const machine of machines) {
      const end = this.#end(machine).finally(() => this.#ending.delete(end));
      this.#ending.add(end);
    }
  }

  async #end(machine: Machine): Promise<void> {
    try {
      await machine.stop.run();
    } catch (error) {
      log.error("A warm machine left something behind", { vmId: machine.vm.vmId, error });
    }
  }
}
