/** An error answer of the fake platform. */
export class FakeRefusal extends Error {
  /** HTTP status. */
  readonly status: number;
  /** Stable code. */
  readonly code: string;

  /** @param message Sentence for the client. */
  constructor(status: number, code: string, message: string) {
    super(message);
    this.status = status;
    this.code = code;
  }
}
