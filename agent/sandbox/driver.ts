/**
 * The driver of one sandbox: one queue, one loop, the only writer of its state, the only one that journals it and
 * publishes it.
 *
 * ```
 *  pause() hibernate() resume() capture() rollback() destroy() expire()   VMM exit
 *        \        |        |        |         |          |       /           |
 *         admission       ...                            --------------------+--> queue --> loop --> record, publisher
 * ```
 *
 * The loop starts the sandbox first; a destroy meanwhile gives up whatever is under way. It ends when the state is
 * final.
 */
import {
  type Logger,
  logger,
  newSnapshotId,
  type SandboxId,
  type SnapshotId,
  WrennError,
} from "@wrenn/common";
import { type Admission, admit, type SandboxRequest } from "../core/admission.ts";
import type { IdleAction } from "../core/idle.ts";
import { isFinal, type SandboxEvent } from "../core/sandbox_state.ts";
import type { GuestReport } from "../guest/guest.ts";
import type { Snapshot } from "../snapshot/mod.ts";
import type { VmStats } from "../vmm/driver.ts";
import { Activity, type GuestLease } from "./activity.ts";
import { faultPoint } from "./fault_point.ts";
import { JobQueue } from "./job_queue.ts";
import { SandboxLife } from "./life.ts";
import type { HostParts, Machine } from "./machine.ts";
import type { SandboxRecord, SandboxRecords } from "./records.ts";
import { Standing } from "./standing.ts";
import type { Starter } from "./start.ts";
import type { EndReason, Generation, Restored, SandboxInfo, SandboxOrder } from "./types.ts";

/** What a driver needs. */
export interface DriverOptions {
  readonly parts: HostParts;
  readonly records: SandboxRecords;
  readonly order: SandboxOrder;
  /** How it comes to life; or what a dead agent left of it. */
  readonly origin:
    | { readonly kind: "start"; readonly starter: Starter }
    | { readonly kind: "found"; readonly record: SandboxRecord; readonly machine?: Machine };
  /** How long a paused sandbox keeps its memory, seconds; 0 = until somebody resumes it. */
  readonly pausedSec: number;
  /** Gets every change of state. */
  readonly publish: (info: SandboxInfo) => void;
}

const TIMED_OUT: EndReason = { code: "timeout", message: "Idle for its timeout" };

/** One sandbox from its start to its end. */
export class SandboxDriver {
  /** Settles when the guest answers, or with the reason why it never did. */
  readonly ready: Promise<void>;
  /** Settles when nothing of the sandbox is left. Never rejects. */
  readonly ended: Promise<void>;
  readonly #options: DriverOptions;
  readonly #log: Logger;
  readonly #queue = new JobQueue();
  readonly #giveUp = new AbortController();
  readonly #life: SandboxLife;
  readonly #standing: Standing;
  #stopping: EndReason | undefined;
  #failure: WrennError | undefined;
  #report: GuestReport | undefined;
  readonly #activity: Activity;

  /** Starts at once. */
  constructor(options: DriverOptions) {
    this.#options = options;
    const { parts, order, origin } = options;
    this.#log = logger("agent", "sandbox").with({ id: order.id });
    this.#activity = new Activity(parts.clock);
    const found = origin.kind === "found" ? origin : undefined;
    const life = this.#life = new SandboxLife({
      ...options,
      signal: this.#giveUp.signal,
      createdAt: found?.record.createdAt ?? this.#activity.lastAt,
      onExit: (machine) => void this.#queue.add("exited", () => this.#exited(machine)),
      ...(found ? { record: found.record } : {}),
    });
    this.#standing = new Standing({
      clock: parts.clock,
      record: found?.record,
      save: (state, reason) => life.save(state, reason),
      changed: () => this.#publish(),
      log: this.#log,
    });
    if (found?.machine) life.adopt(found.machine);
    const ready = Promise.withResolvers<void>();
    this.ready = ready.promise;
    // Who creates awaits it; a start that nobody awaits may fail all the same.
    this.ready.catch(() => {});
    this.ended = Promise.resolve().then(() => this.#run(ready));
  }

  /** Its public id. */
  get id(): SandboxId {
    return this.#options.order.id;
  }

  /** The sandbox at this moment. */
  get info(): SandboxInfo {
    const { order } = this.#options;
    const life = this.#life;
    return {
      id: order.id,
      executionId: order.executionId,
      state: this.#standing.state,
      spec: { ...order.spec, diskMb: life.diskMb },
      hostIp: life.machine?.slot.hostIp ?? "",
      createdAt: life.createdAt,
      startedAt: life.startedAt,
      lastActiveAt: this.#activity.lastAt,
      reason: this.#standing.reason,
      generation: life.newest?.generation ?? 0,
    };
  }

  /** Why the start failed, if it did. */
  get startFailure(): WrennError | undefined {
    return this.#failure;
  }

  /** What was done to it when it came as a copy of another one. */
  get forkReport(): GuestReport | undefined {
    return this.#report;
  }

  /** Milliseconds that the steps of its start took. */
  get startTiming(): Readonly<Record<string, number>> {
    return this.#life.timing;
  }

  /** Its generations on disk, newest first. */
  get generations(): readonly Generation[] {
    return this.#life.generations.toReversed();
  }

  /** Monotonic time of the end, milliseconds; undefined before it. */
  get endedAtMs(): number | undefined {
    return this.#standing.endedAtMs;
  }

  /** Monotonic time since which it is paused, milliseconds. */
  get pausedSinceMs(): number | undefined {
    return this.#standing.pausedSinceMs;
  }

  /** Decides about a request in the present state. */
  admit(request: SandboxRequest): Admission {
    return admit(request, {
      state: this.#standing.state,
      executionId: this.#options.order.executionId,
      stopping: this.#stopping !== undefined,
    });
  }

  /** Freezes the guest and stops the vCPUs. Idempotent. @throws {WrennError} `sandbox_not_running` */
  async pause(): Promise<void> {
    await this.#request("pause", () => this.#pause());
  }

  /**
   * Memory and disk go to files, the machine ends. Idempotent.
   *
   * @throws {WrennError} `sandbox_not_running`, `no_space`
   */
  async hibernate(): Promise<void> {
    await this.#request("hibernate", () => this.#hibernate());
  }

  /** Lets it run again. Idempotent. Counts as activity. @throws {WrennError} As {@linkcode pause} and `wakeFrom()`. */
  async resume(): Promise<Restored> {
    const restored = await this.#request("resume", () => this.#resume());
    this.#activity.touch();
    return restored ?? { from: "running", generation: this.info.generation, reason: "" };
  }

  /**
   * Keeps this moment as a snapshot; the sandbox goes on as it was.
   *
   * @throws {WrennError} `sandbox_paused` when it is hibernated, `sandbox_not_running`, `no_space`
   */
  async capture(id: SnapshotId, kind: "named" | "fork"): Promise<Snapshot> {
    const snapshot = await this.#request("capture", async () => {
      const made = await this.#life.capture(id, kind, this.#standing.state === "running");
      this.#standing.save();
      return made;
    });
    if (!snapshot) throw new Error("A capture gave no snapshot");
    return snapshot;
  }

  /** Goes back to a generation and runs from there. @throws {WrennError} `snapshot_not_found` and as {@linkcode resume} */
  async rollback(generation: number): Promise<Restored> {
    const restored = await this.#request("rollback", async () => {
      const back = await this.#life.rollback(generation);
      this.#activity.touch();
      if (this.#standing.state === "running") this.#standing.save();
      else this.#standing.moveAnyway("resumed");
      return back;
    });
    if (!restored) throw new Error("A rollback gave no answer");
    return restored;
  }

  /**
   * Ends the sandbox and resolves when nothing of it is left. Idempotent.
   *
   * @param executionId When not empty, the only execution to end.
   * @throws {WrennError} `conflict` when it runs another execution.
   */
  async destroy(executionId: string, reason: EndReason): Promise<void> {
    if (this.#permits({ kind: "destroy", executionId })) {
      this.#stopping = reason;
      this.#giveUp.abort(new WrennError("canceled", "Sandbox was destroyed meanwhile"));
      void this.#queue.add("destroy", () => this.#end("destroyed", reason));
    }
    await this.ended;
  }

  /** Moves the idle deadline. @throws {WrennError} `sandbox_not_running`, `sandbox_paused` */
  ping(): void {
    this.#permits({ kind: "ping" });
    this.#activity.touch();
  }

  /** Takes the guest for one operation. @throws {WrennError} `sandbox_not_running`, `sandbox_paused` */
  use(): GuestLease {
    this.#permits({ kind: "use" });
    const { machine } = this.#life;
    if (machine === undefined) throw new Error("Running sandbox has no guest");
    return this.#activity.use(machine.guest);
  }

  /** Lets the loop look at the deadlines when one seems to have passed. Cheap otherwise. */
  expireWhenIdle(nowMs: number): void {
    this.#standing.saveAgain();
    if (this.#idleAction(nowMs) !== "none" && !this.#queue.has("expire")) {
      void this.#queue.add("expire", () => this.#expire());
    }
  }

  /** A snapshot of it was deleted: it is no generation any more. */
  forget(snapshotId: SnapshotId): void {
    this.#life.forget(snapshotId);
    this.#standing.save();
  }

  /** What the machine uses; undefined when there is none. */
  async stats(): Promise<VmStats | undefined> {
    return await this.#life.machine?.vm.stats();
  }

  /** Performs a request in its turn, if it still has to be; undefined when it is done already. */
  async #request<T>(
    kind: "pause" | "hibernate" | "resume" | "capture" | "rollback",
    run: () => Promise<T>,
  ): Promise<T | undefined> {
    if (!this.#permits({ kind })) return undefined;
    let result: T | undefined;
    await this.#queue.add(kind, async () => {
      if (this.#permits({ kind })) result = await run();
    });
    return result;
  }

  /** True: perform it. False: it is done already. */
  #permits(request: SandboxRequest): boolean {
    const admission = this.admit(request);
    if (admission.kind === "deny") {
      throw new WrennError(admission.code, `Sandbox '${this.id}' ${admission.reason}`);
    }
    return admission.kind === "accept";
  }

  #idleAction(nowMs: number): IdleAction {
    const { order, pausedSec } = this.#options;
    return this.#standing.idleAction(order, this.#activity, pausedSec, nowMs);
  }

  async #run(ready: PromiseWithResolvers<void>): Promise<void> {
    await this.#start(ready);
    await this.#queue.run(
      () => isFinal(this.#standing.state),
      (operation, error) => this.#log.warn("Operation failed", { operation, error }),
      () => new WrennError("sandbox_not_running", "Sandbox has ended"),
    );
  }

  async #start(ready: PromiseWithResolvers<void>): Promise<void> {
    const { parts, origin } = this.#options;
    this.#publish();
    if (origin.kind === "found") return ready.resolve();
    const began = parts.clock.monotonic();
    try {
      const { way, report } = await this.#life.start(origin.starter);
      this.#report = report;
      this.#activity.touch();
      this.#standing.move("started");
      const ms = Math.round(parts.clock.monotonic() - began);
      this.#log.info("Sandbox started", { way, ms, ...this.#life.timing });
      ready.resolve();
    } catch (error) {
      const failure = WrennError.from(error);
      this.#failure = failure;
      if (!this.#stopping) this.#log.error("Sandbox did not start", { error: failure });
      const { code, message } = failure;
      await this.#end(this.#stopping ? "destroyed" : "failed", this.#stopping ?? { code, message });
      ready.reject(failure);
    }
  }

  async #pause(reason?: EndReason): Promise<void> {
    await this.#life.pause();
    await this.#standing.moveOr("paused", reason, () => this.#life.resume());
  }

  async #hibernate(reason: EndReason | undefined = this.#standing.reason): Promise<void> {
    if (this.#standing.state === "running") await this.#pause(reason);
    await this.#life.capture(newSnapshotId(), "generation", false);
    // From here on the files are the sandbox, whatever happens to the machine.
    await this.#standing.moveOr("hibernated", reason, () => this.#life.dropCapture());
    await faultPoint("hibernate.recorded", this.#life.machine?.vm.pid);
    await this.#life.endMachine();
    await faultPoint("hibernate.ended");
    void this.#life.collapse((swap) => this.#queue.add("collapse", swap));
  }

  async #resume(): Promise<Restored> {
    if (this.#standing.state === "paused") {
      await this.#life.resume();
      this.#standing.moveAnyway("resumed");
      return { from: "paused", generation: this.info.generation, reason: "" };
    }
    const restored = await this.#life.wake();
    this.#activity.touch();
    await this.#standing.moveOr("resumed", undefined, () => this.#life.sleepAgain());
    await faultPoint("wake.recorded", this.#life.machine?.vm.pid);
    return restored;
  }

  /** Looks again: activity that came after the reaper's look wins. */
  async #expire(): Promise<void> {
    const paused = this.#standing.state === "paused";
    switch (this.#idleAction(this.#options.parts.clock.monotonic())) {
      case "none":
        return;
      case "pause":
        return await this.#pause(TIMED_OUT);
      case "hibernate":
        return await this.#hibernate(paused ? this.#standing.reason : TIMED_OUT);
      case "destroy":
        this.#stopping ??= TIMED_OUT;
        return await this.#end("destroyed", this.#stopping);
    }
  }

  /**
   * The machine ended by itself. While the sandbox ran, that is a crash; while it stood still on our behalf it is
   * not the sandbox's fault, and its disk is whole.
   */
  async #exited(machine: Machine): Promise<void> {
    if (this.#life.machine !== machine) return;
    const reason = { code: "guest_unavailable", message: "Machine ended by itself" };
    this.#log.error(reason.message, { ...await machine.vm.exited });
    if (this.#standing.state === "running" && !this.#life.standsStill) {
      return await this.#end("failed", reason);
    }
    if (this.#standing.state === "running") this.#standing.moveAnyway("paused", reason);
    await this.#life.keepDisk();
    this.#standing.moveAnyway("hibernated", reason);
  }

  async #end(event: SandboxEvent, reason: EndReason): Promise<void> {
    this.#stopping ??= reason;
    try {
      await this.#life.end();
    } catch (error) {
      this.#log.error("Sandbox left something behind", { error });
    }
    this.#standing.moveAnyway(event, reason);
  }

  #publish(): void {
    const { state, reason } = this.#standing;
    this.#log.info("Sandbox changed its state", { state, reason });
    this.#options.publish(this.info);
  }
}
