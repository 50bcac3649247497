/** Builds and removes slots, and measures it. */
import { type Clock, CommandError, type Logger, type RunCommand, WrennError } from "@wrenn/common";
import type { SlotRange } from "../core/slot_allocator.ts";
import { processesIn } from "./host_checks.ts";
import { buildSlot, removeSlots, slotShell } from "./slot_script.ts";
import type { Slot, WorkFigures } from "./slots.ts";

/** What came of a build. Of what was not built nothing is left, unless its index is `lost`. */
export type BuildResult =
  | { readonly outcome: "built" }
  /** Its names were in use by nobody and are free now: try the next index. */
  | { readonly outcome: "taken" }
  /** Its names are held by something that cannot be removed: the index must not be used again. */
  | { readonly outcome: "lost"; readonly error?: Error }
  | { readonly outcome: "failed"; readonly error: Error };

/** Work that is counted. */
export class Tally {
  #count = 0;
  #totalMs = 0;

  /** Counts one that took so long. */
  add(ms: number): void {
    this.#count++;
    this.#totalMs += ms;
  }

  /** The figures so far. */
  figures(): WorkFigures {
    return { count: this.#count, totalMs: this.#totalMs };
  }
}

/** What a {@linkcode SlotMaker} works with. */
export interface SlotMakerOptions {
  readonly range: SlotRange;
  readonly run: RunCommand;
  readonly log: Logger;
  readonly clock: Clock;
}

/** Builds and removes slots of one range. */
export class SlotMaker {
  readonly builds: Tally = new Tally();
  readonly removals: Tally = new Tally();
  #failures = 0;
  readonly #options: SlotMakerOptions;

  constructor(options: SlotMakerOptions) {
    this.#options = options;
  }

  /** Builds that failed. */
  get failures(): number {
    return this.#failures;
  }

  /** Builds a slot. Never throws. */
  async build(slot: Slot): Promise<BuildResult> {
    const { clock, log, run } = this.#options;
    const began = clock.monotonic();
    try {
      await this.#shell(buildSlot(slot));
      this.builds.add(clock.monotonic() - began);
      return { outcome: "built" };
    } catch (cause) {
      this.#failures++;
      const { namespace } = slot;
      // A builder that outlived a killed agent may have made these names after the sweep.
      const taken = cause instanceof CommandError && cause.result.stderr.includes("File exists");
      const failed = new WrennError("internal", "Cannot build a network slot", { cause });
      try {
        const pids = taken ? await processesIn(run, namespace) : [];
        if (pids.length > 0) {
          log.error("A slot is in use by others and stays out of use", { namespace, pids });
          return { outcome: "lost" };
        }
        await this.remove(slot);
      } catch (error) {
        return {
          outcome: "lost",
          error: new AggregateError([failed, error], "Cannot undo a half-built network slot"),
        };
      }
      if (!taken) return { outcome: "failed", error: failed };
      log.warn("Removed a slot that nobody owned", { namespace });
      return { outcome: "taken" };
    }
  }

  /**
   * Removes a slot, of which parts may be missing.
   *
   * @throws {CommandError} When something of it is still there.
   */
  async remove(slot: Slot): Promise<void> {
    const { clock } = this.#options;
    const began = clock.monotonic();
    await this.#shell(removeSlots([slot]));
    this.removals.add(clock.monotonic() - began);
  }

  async #shell(stdin: string): Promise<void> {
    await this.#options.run(slotShell(this.#options.range), { stdin });
  }
}
