/** What goes wrong between us and Firecracker. */

/**
 * Kind of failure. `refused`: Firecracker says no, and nothing has changed but for a load, which ends the process.
 * `timeout`: no answer in time; the call may still be performed. `closed`: nobody listens, or the connection was
 * lost. `protocol`: an answer that is none of Firecracker's. `too_large`: not sent, because Firecracker would not
 * read it. `phase`: not sent, because this object's phase of the machine is over.
 */
export type FirecrackerFailure =
  | "refused"
  | "timeout"
  | "closed"
  | "protocol"
  | "too_large"
  | "phase";

/** Details of a {@linkcode FirecrackerError}. */
export interface FirecrackerErrorOptions extends ErrorOptions {
  /** HTTP status of the answer. */
  readonly status?: number;
  /** Firecracker's own words. */
  readonly fault?: string;
}

/** A call of Firecracker's API that failed. */
export class FirecrackerError extends Error {
  /** Always `FirecrackerError`. */
  override readonly name: string = "FirecrackerError";
  /** Kind of failure. */
  readonly failure: FirecrackerFailure;
  /** Method and path, `PUT /boot-source`. */
  readonly call: string;
  /** HTTP status; undefined without an answer. */
  readonly status: number | undefined;
  /** Its `fault_message`; undefined when it did not say no. */
  readonly fault: string | undefined;

  /** @param failure Kind of failure. @param call Method and path. @param message What happened. */
  constructor(
    failure: FirecrackerFailure,
    call: string,
    message: string,
    options: FirecrackerErrorOptions = {},
  ) {
    super(message, options.cause === undefined ? {} : { cause: options.cause });
    this.failure = failure;
    this.call = call;
    this.status = options.status;
    this.fault = options.fault;
  }
}
