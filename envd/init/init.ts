/** Applying `POST /init`: identity, defaults, clock and randomness, one call at a time. */
import { WrennError } from "@wrenn/common/errors";
import { logger } from "@wrenn/common/log";
import { mustSetClock } from "../core/clock_policy.ts";
import { type InitRequest, parseInitRequest } from "../core/init_request.ts";
import { equalConstantTime } from "../core/signature.ts";
import type { Machine } from "../linux/machine.ts";
import type { GuestState } from "./state.ts";

/** Applies init requests to the state and the machine. */
export class Initializer {
  readonly #state: GuestState;
  readonly #machine: Machine;
  #newestNs: bigint | undefined;
  #last: Promise<unknown> = Promise.resolve();

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
  apply(text: string, token: string | null): Promise<void> {
    const turn = this.#last.then(() => this.#apply(text, token));
    this.#last = turn.catch(() => {});
    return turn;
  }

  async #apply(text: string, token: string | null): Promise<void> {
    const current = this.#state.accessToken;
    if (current !== undefined && !(token !== null && equalConstantTime(token, current))) {
      throw new WrennError("unauthorized", "The access token does not match");
    }
    const request = parseInitRequest(text);
    if (this.#isReplay(request)) return;
    if (this.#state.sealed && request.accessToken === undefined) {
      throw new WrennError("invalid_request", "Field 'accessToken' is missing");
    }
    this.#setMachine(request);
    if (request.hostname !== undefined) await this.#setHostname(request.hostname);
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
    logger("envd", "init").info("Initialized", { lifecycleId: state.lifecycleId });
  }

  /** A name that cannot be set, on a read-only root, is no reason to refuse a token. */
  async #setHostname(name: string): Promise<void> {
    try {
      await this.#machine.setHostname(name);
    } catch (error) {
      logger("envd", "init").error("Cannot set the host name", { name, error });
    }
  }

  #isReplay({ timestampNs }: InitRequest): boolean {
    return timestampNs !== undefined && this.#newestNs !== undefined &&
      timestampNs <= this.#newestNs;
  }

  /** Randomness first: whatever runs next must not repeat what another copy of this guest drew. */
  #setMachine({ entropy, timestampNs }: InitRequest): void {
    if (entropy) this.#machine.addEntropy(entropy);
    if (timestampNs !== undefined && mustSetClock(this.#machine.now(), timestampNs)) {
      this.#machine.setClock(timestampNs);
    }
  }
}
