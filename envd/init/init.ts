/** Applying `POST /init`: identity, defaults, clock and randomness, one call at a time. */
import { WrennError } from "@wrenn/common/errors";
import { logger } from "@wrenn/common/log";
import { Turns } from "@wrenn/common/turns";
import { mustSetClock } from "../core/clock_policy.ts";
import { type InitRequest, parseInitRequest } from "../core/init_request.ts";
import { equalConstantTime } from "../core/signature.ts";
import type { Machine } from "../linux/machine.ts";
import { becomeCopy, type ForkReport } from "./fork.ts";
import type { GuestState } from "./state.ts";

/** What was done, for who asks. */
export interface InitReport extends ForkReport {
  readonly entropy_reseeded: boolean;
  readonly clock_set: boolean;
  readonly hostname: string;
  readonly machine_id: string;
}

const NO_COPY: ForkReport = { connections_dropped: 0, hooks: [] };

/** Applies init requests to the state and the machine. */
export class Initializer {
  readonly #state: GuestState;
  readonly #machine: Machine;
  #newestNs: bigint | undefined;
  readonly #turns = new Turns();

  /** @param state What is set. @param machine Whose clock, randomness and name are set. */
  constructor(state: GuestState, machine: Machine) {
    this.#state = state;
    this.#machine = machine;
  }

  /**
   * Applies a body. The first one may set the token, later ones must show it. A body that is not newer
   * than the newest one is a replay and changes nothing.
   *
   * @param text JSON body. @param token Token that the caller showed.
   * @throws {WrennError} `unauthorized`, `invalid_json`, `invalid_request`.
   */
  apply(text: string, token: string | null): Promise<InitReport | undefined> {
    return this.#turns.take(() => this.#apply(text, token));
  }

  /**
   * Sets a clock that is off. What is not newer than the newest time told is a replay and changes nothing.
   *
   * @param text JSON body `{timestamp}`. @throws {WrennError} `invalid_json`, `invalid_request`.
   */
  tellTime(text: string): void {
    const request = parseInitRequest(text);
    const { timestampNs } = request;
    if (timestampNs === undefined || this.#isReplay(request)) return;
    this.#newestNs = timestampNs;
    if (mustSetClock(this.#machine.now(), timestampNs)) this.#machine.setClock(timestampNs);
  }

  async #apply(text: string, token: string | null): Promise<InitReport | undefined> {
    const current = this.#state.accessToken;
    if (current !== undefined && !(token !== null && equalConstantTime(token, current))) {
      throw new WrennError("unauthorized", "The access token does not match");
    }
    const request = parseInitRequest(text);
    if (this.#isReplay(request)) return undefined;
    if (this.#state.sealed && request.accessToken === undefined) {
      throw new WrennError("invalid_request", "Field 'accessToken' is missing");
    }
    const clockSet = this.#setMachine(request);
    this.#setNames(request);
    const state = this.#state;
    if (request.envVars) state.envVars = request.envVars;
    if (request.defaultUser !== undefined) state.defaultUser = request.defaultUser;
    if (request.defaultWorkdir !== undefined) state.defaultWorkdir = request.defaultWorkdir;
    if (request.lifecycleId !== undefined) state.lifecycleId = request.lifecycleId;
    if (request.accessToken !== undefined) {
      state.accessToken = request.accessToken;
      state.sealed = false;
    }
    if (request.timestampNs !== undefined) this.#newestNs = request.timestampNs;
    const copied = request.fork ? await becomeCopy(this.#state) : NO_COPY;
    // Last of all: until here nothing of the guest's own has run since it was frozen.
    if (state.frozen) this.#machine.thaw();
    state.frozen = false;
    // A line on the console costs an emulated guest a millisecond.
    logger("envd", "init").debug("Initialized", { lifecycleId: state.lifecycleId });
    if (!request.report) return undefined;
    return {
      entropy_reseeded: request.entropy !== undefined,
      clock_set: clockSet,
      hostname: request.hostname ?? "",
      machine_id: request.machineId ?? "",
      ...copied,
    };
  }

  /** A name that cannot be set, on a read-only root, is no reason to refuse a token. */
  #setNames({ hostname, machineId, bootId }: InitRequest): void {
    const steps: [string | undefined, (value: string) => void][] = [
      [hostname, (value) => this.#machine.setHostname(value)],
      [machineId, (value) => this.#machine.setMachineId(value)],
      [bootId, (value) => this.#machine.setBootId(value)],
    ];
    for (const [value, set] of steps) {
      try {
        if (value !== undefined) set(value);
      } catch (error) {
        logger("envd", "init").error("Cannot set a name", { value, error });
      }
    }
  }

  #isReplay({ timestampNs }: InitRequest): boolean {
    return timestampNs !== undefined && this.#newestNs !== undefined &&
      timestampNs <= this.#newestNs;
  }

  /** Randomness first: whatever runs next must not repeat what another copy of this guest drew. */
  #setMachine({ entropy, timestampNs, fork }: InitRequest): boolean {
    if (entropy) this.#machine.addEntropy(entropy);
    if (timestampNs === undefined) return false;
    // A clock that stood still is set to the point, a running one only when it is off.
    const exact = fork || this.#state.frozen || this.#state.sealed;
    if (!exact && !mustSetClock(this.#machine.now(), timestampNs)) return false;
    this.#machine.setClock(timestampNs);
    return true;
  }
}
