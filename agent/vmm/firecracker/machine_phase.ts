/** What the phases of a machine have in common: the connection goes from one to the next and is used by one alone. */
import { type ApiCall, callName } from "../../core/firecracker_calls.ts";
import type { CallOptions, FirecrackerApi } from "./api_client.ts";
import { FirecrackerError } from "./firecracker_error.ts";
import type { InstanceInfo } from "./instance_info.ts";

/**
 * A machine in one phase of its life. A call that leads to another phase consumes the object: it answers the next
 * one, and the old one sends nothing any more. Only a refusal leaves it as it is.
 */
export abstract class MachinePhase implements Disposable {
  readonly #api: FirecrackerApi;
  #state: "here" | "leaving" | "left" = "here";

  /** @param api Connection that this phase owns from now on. */
  constructor(api: FirecrackerApi) {
    this.#api = api;
  }

  /** Asks Firecracker what it is and which state it is in. @throws {FirecrackerError} */
  async info(options?: CallOptions): Promise<InstanceInfo> {
    this.#check("GET /");
    return await this.#api.info(options);
  }

  /** Ends the connection, unless the next phase has it. The machine goes on. Idempotent. */
  [Symbol.dispose](): void {
    if (this.#state === "left") return;
    this.#state = "left";
    this.#api.close();
  }

  /** Performs a call that stays in this phase. */
  protected async ask(call: ApiCall, options?: CallOptions): Promise<void> {
    this.#check(callName(call));
    await this.#api.send(call, options);
  }

  /**
   * Performs a call that leads to the next phase.
   *
   * @param refusal Whether this phase goes on when Firecracker says no. After any other failure the machine's state
   * is not known, and the connection is closed.
   */
  protected async leave<T>(
    call: string,
    work: (api: FirecrackerApi) => Promise<void>,
    next: (api: FirecrackerApi) => T,
    refusal: "stays" | "ends" = "stays",
  ): Promise<T> {
    this.#check(call);
    this.#state = "leaving";
    try {
      await work(this.#api);
    } catch (error) {
      const said = error instanceof FirecrackerError &&
        (error.failure === "refused" || error.failure === "too_large");
      // It may have been disposed of meanwhile.
      if (this.#state === "leaving") this.#state = "here";
      if (!said || refusal === "ends") this[Symbol.dispose]();
      throw error;
    }
    if (this.#state !== "leaving") throw over(call);
    this.#state = "left";
    return next(this.#api);
  }

  #check(call: string): void {
    if (this.#state !== "here") throw over(call);
  }
}

function over(call: string): FirecrackerError {
  return new FirecrackerError("phase", call, `Cannot send ${call}: this phase is over`);
}
