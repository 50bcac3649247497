/**
 * The driver of one sandbox: one queue, one loop, the only writer of its state and the only one that publishes it.
 *
 * ```
 *  pause() resume() destroy() expire()   VMM exit
 *        \      |       |      /            |
 *         admission    ...      ------------+---> queue --> loop --> state --> publisher
 * ```
 *
 * The loop starts the sandbox first; a destroy meanwhile gives that start up. It ends when the state is final.
 */
import { type Logger, logger, WrennError } from "@wrenn/common";
import { type Admission, admit, type SandboxRequest } from "../core/admission.ts";
import { idleAction } from "../core/idle.ts";
import { isFinal, next, type SandboxEvent, type SandboxState } from "../core/sandbox_state.ts";
import type { Guest } from "../guest/guest.ts";
import type { ExitInfo, VmStats } from "../vmm/driver.ts";
import { type HostParts, type StartedSandbox, startSandbox } from "./start.ts";
import type { EndReason, SandboxInfo, SandboxOrder } from "./types.ts";

type Job =
  | { readonly kind: "pause" | "resume" | "expire" }
  | { readonly kind: "destroy"; readonly reason: EndReason }
  | { readonly kind: "exited"; readonly info: ExitInfo };

interface QueuedJob {
  readonly job: Job;
  readonly done: PromiseWithResolvers<void>;
}

/** A running sandbox in use. While it is held the sandbox is not idle. */
export interface GuestLease extends Disposable {
  readonly guest: Guest;
}

/** What a driver needs. */
export interface DriverOptions {
  readonly parts: HostParts;
  readonly order: SandboxOrder;
  /** Gets every change of state. */
  readonly publish: (info: SandboxInfo) => void;
}

const WAKE_LIMIT_MS = 10_000;

/** One sandbox from its start to its end. */
export class SandboxDriver {
  /** Settles when the guest answers, or with the reason why it never did. */
  readonly ready: Promise<void>;
  /** Settles when nothing of the sandbox is left. Never rejects. */
  readonly ended: Promise<void>;
  readonly #options: DriverOptions;
  readonly #log: Logger;
  readonly #queue: QueuedJob[] = [];
  readonly #giveUp = new AbortController();
  readonly #createdAt: number;
  #wake: (() => void) | undefined;
  #state: SandboxState = "starting";
  #stopping: EndReason | undefined;
  #started: StartedSandbox | undefined;
  #startedAt: number | undefined;
  #diskMb: number;
  #endedAtMs: number | undefined;
  #reason: EndReason | undefined;
  #failure: WrennError | undefined;
  #active = 0;
  #lastActiveMs: number;
  #lastActiveAt: number;

  /** Starts at once. */
  constructor(options: DriverOptions) {
    this.#options = options;
    this.#log = logger("agent", "sandbox").with({ id: options.order.id });
    this.#diskMb = options.order.spec.diskMb;
    this.#createdAt = this.#lastActiveAt = options.parts.clock.now();
    this.#lastActiveMs = options.parts.clock.monotonic();
    const ready = Promise.withResolvers<void>();
    this.ready = ready.promise;
    // Who creates awaits it; a start that nobody awaits may fail all the same.
    this.ready.catch(() => {});
    this.ended = Promise.resolve().then(() => this.#run(ready));
  }

  /** The sandbox at this moment. */
  get info(): SandboxInfo {
    const { order } = this.#options;
    return {
      id: order.id,
      executionId: order.executionId,
      state: this.#state,
      spec: { ...order.spec, diskMb: this.#diskMb },
      hostIp: this.#started?.slot.hostIp ?? "",
      createdAt: this.#createdAt,
      startedAt: this.#startedAt,
      lastActiveAt: this.#active > 0 ? this.#options.parts.clock.now() : this.#lastActiveAt,
      reason: this.#reason,
    };
  }

  /** Why the start failed, if it did. */
  get startFailure(): WrennError | undefined {
    return this.#failure;
  }

  /** Monotonic time of the end, milliseconds; undefined before it. */
  get endedAtMs(): number | undefined {
    return this.#endedAtMs;
  }

  /** Decides about a request in the present state. */
  admit(request: SandboxRequest): Admission {
    return admit(request, {
      state: this.#state,
      executionId: this.#options.order.executionId,
      stopping: this.#stopping !== undefined,
    });
  }

  /** Stops the vCPUs. Idempotent. @throws {WrennError} `sandbox_not_running` */
  async pause(): Promise<void> {
    if (this.#permits({ kind: "pause" })) await this.#enqueue({ kind: "pause" });
  }

  /** Lets the vCPUs run. Idempotent. Counts as activity. @throws {WrennError} `sandbox_not_running` */
  async resume(): Promise<void> {
    if (this.#permits({ kind: "resume" })) await this.#enqueue({ kind: "resume" });
    this.#touch();
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
      this.#giveUp.abort(new WrennError("canceled", "Sandbox was destroyed while it started"));
      void this.#enqueue({ kind: "destroy", reason });
    }
    await this.ended;
  }

  /** Moves the idle deadline. @throws {WrennError} `sandbox_not_running`, `sandbox_paused` */
  ping(): void {
    this.#permits({ kind: "ping" });
    this.#touch();
  }

  /** Takes the guest for one operation. @throws {WrennError} `sandbox_not_running`, `sandbox_paused` */
  use(): GuestLease {
    this.#permits({ kind: "use" });
    const started = this.#started;
    if (started === undefined) throw new Error("Running sandbox has no guest");
    this.#active++;
    this.#touch();
    let held = true;
    return {
      guest: started.guest,
      [Symbol.dispose]: () => {
        if (!held) return;
        held = false;
        this.#active--;
        this.#touch();
      },
    };
  }

  /** Lets the loop look at the idle deadline when it seems to have passed. Cheap otherwise. */
  expireWhenIdle(nowMs: number): void {
    if (this.#idleAction(nowMs) !== "none" && !this.#queue.some((q) => q.job.kind === "expire")) {
      void this.#enqueue({ kind: "expire" });
    }
  }

  /** What the machine uses; undefined when there is none. */
  async stats(): Promise<VmStats | undefined> {
    return await this.#started?.vm.stats();
  }

  /** True: perform it. False: it is done already. */
  #permits(request: SandboxRequest): boolean {
    const admission = this.admit(request);
    if (admission.kind === "deny") {
      throw new WrennError(
        admission.code,
        `Sandbox '${this.#options.order.id}' ${admission.reason}`,
      );
    }
    return admission.kind === "accept";
  }

  #touch(): void {
    this.#lastActiveAt = this.#options.parts.clock.now();
    this.#lastActiveMs = this.#options.parts.clock.monotonic();
  }

  #idleAction(nowMs: number): ReturnType<typeof idleAction> {
    const { timeoutSec, onTimeout } = this.#options.order.spec;
    return idleAction({
      state: this.#state,
      timeoutSec,
      onTimeout,
      activeOperations: this.#active,
      lastActiveMs: this.#lastActiveMs,
    }, nowMs);
  }

  #enqueue(job: Job): Promise<void> {
    const done = Promise.withResolvers<void>();
    // The loop logs what fails; some jobs have nobody who waits for them.
    done.promise.catch(() => {});
    this.#queue.push({ job, done });
    this.#wake?.();
    return done.promise;
  }

  async #run(ready: PromiseWithResolvers<void>): Promise<void> {
    await this.#start(ready);
    while (!isFinal(this.#state)) {
      const queued = this.#queue.shift();
      if (queued === undefined) {
        await new Promise<void>((resolve) => this.#wake = resolve);
        this.#wake = undefined;
        continue;
      }
      try {
        await this.#perform(queued.job);
        queued.done.resolve();
      } catch (error) {
        this.#log.warn("Operation failed", { operation: queued.job.kind, error });
        queued.done.reject(error);
      }
    }
    for (const { done } of this.#queue.splice(0)) {
      done.reject(new WrennError("sandbox_not_running", "Sandbox has ended"));
    }
  }

  async #start(ready: PromiseWithResolvers<void>): Promise<void> {
    const { parts, order } = this.#options;
    this.#publish();
    const began = parts.clock.monotonic();
    try {
      this.#started = await startSandbox(parts, order, this.#giveUp.signal);
      void this.#started.vm.exited.then((info) => void this.#enqueue({ kind: "exited", info }));
      this.#startedAt = parts.clock.now();
      this.#diskMb = this.#started.disk.sizeMb;
      this.#touch();
      this.#move("started");
      this.#log.info("Sandbox started", { ms: Math.round(parts.clock.monotonic() - began) });
      ready.resolve();
    } catch (error) {
      const failure = WrennError.from(error);
      this.#failure = failure;
      if (this.#stopping) this.#move("destroyed", this.#stopping);
      else {
        this.#log.error("Sandbox did not start", { error: failure });
        this.#move("failed", { code: failure.code, message: failure.message });
      }
      ready.reject(failure);
    }
  }

  async #perform(job: Job): Promise<void> {
    const started = this.#started;
    if (started === undefined) throw new Error("Sandbox was never started");
    switch (job.kind) {
      case "pause":
        if (!this.#permits({ kind: "pause" })) return;
        await started.vm.pause();
        return this.#move("paused");
      case "resume":
        if (!this.#permits({ kind: "resume" })) return;
        await started.vm.resume();
        await this.#wakeGuest(started.guest);
        this.#touch();
        return this.#move("resumed");
      case "expire":
        return await this.#expire(started);
      case "destroy":
        return await this.#end(started, "destroyed", job.reason);
      case "exited":
        this.#log.error("Machine ended by itself", { ...job.info });
        return await this.#end(started, "failed", {
          code: "guest_unavailable",
          message: "Machine ended by itself",
        });
    }
  }

  /** Looks again: activity that came after the reaper's look wins. */
  async #expire(started: StartedSandbox): Promise<void> {
    switch (this.#idleAction(this.#options.parts.clock.monotonic())) {
      case "none":
        return;
      case "pause":
        await started.vm.pause();
        return this.#move("paused", { code: "timeout", message: "Idle for its timeout" });
      case "destroy":
        this.#stopping ??= { code: "timeout", message: "Idle for its timeout" };
        return await this.#end(started, "destroyed", this.#stopping);
    }
  }

  /** The guest's clock stood still with its vCPUs. A guest that does not answer is running all the same. */
  async #wakeGuest(guest: Guest): Promise<void> {
    try {
      await guest.wake(() => this.#options.parts.clock.now(), AbortSignal.timeout(WAKE_LIMIT_MS));
    } catch (error) {
      this.#log.warn("Cannot set the clock of a resumed guest", { error });
    }
  }

  async #end(started: StartedSandbox, event: SandboxEvent, reason: EndReason): Promise<void> {
    this.#stopping ??= reason;
    try {
      await started.stop.run();
    } catch (error) {
      this.#log.error("Sandbox left something behind", { error });
    }
    this.#move(event, reason);
  }

  #move(event: SandboxEvent, reason?: EndReason): void {
    const state = next(this.#state, event);
    if (state === undefined) throw new Error(`Event '${event}' cannot happen in '${this.#state}'`);
    this.#state = state;
    this.#reason = reason;
    if (isFinal(state)) {
      this.#started = undefined;
      this.#endedAtMs = this.#options.parts.clock.monotonic();
    }
    this.#publish();
  }

  #publish(): void {
    const { state, reason } = this.info;
    this.#log.info("Sandbox changed its state", { state, reason });
    this.#options.publish(this.info);
  }
}
