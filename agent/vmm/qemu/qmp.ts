/** QEMU's control protocol (QMP) over a Unix socket: JSON objects, one a line. */
import { z } from "zod";
import { LineSplitter, LineTooLongError } from "./line_splitter.ts";

/** What went wrong between us and QEMU. */
export type QmpFailure = "command" | "timeout" | "closed" | "protocol";

/** A command that failed, a socket that is lost, or an answer that is no QMP. */
export class QmpError extends Error {
  /** Always `QmpError`. */
  override readonly name: string = "QmpError";
  /** Kind of failure. */
  readonly failure: QmpFailure;

  /** @param failure Kind of failure. @param message What happened, with QEMU's own words. */
  constructor(failure: QmpFailure, message: string, options: ErrorOptions = {}) {
    super(message, options);
    this.failure = failure;
  }
}

/** Something that QEMU tells unasked: `SHUTDOWN`, `STOP`, `BLOCK_IO_ERROR`. */
export interface QmpEvent {
  /** Name in capitals. */
  readonly event: string;
  /** Fields of the event. */
  readonly data: Readonly<Record<string, unknown>>;
}

/** Options of {@linkcode QmpClient.connect}. */
export interface QmpOptions {
  /** Called for every event, in order. Must not throw. */
  onEvent?: (event: QmpEvent) => void;
  /** Longest line that QEMU may send, in bytes. */
  maxLineBytes?: number;
  /** Gives up connecting, milliseconds. */
  timeoutMs?: number;
  /** Gives up connecting. */
  signal?: AbortSignal;
}

/** Options of one command. */
export interface QmpCommandOptions {
  /** Milliseconds until the command counts as failed; QEMU may still perform it. */
  timeoutMs?: number;
  /** Stops waiting for the answer. */
  signal?: AbortSignal;
}

const message = z.object({
  QMP: z.object({}).optional(),
  id: z.int().optional(),
  return: z.unknown().optional(),
  error: z.object({ class: z.string(), desc: z.string() }).optional(),
  event: z.string().optional(),
  data: z.record(z.string(), z.unknown()).optional(),
});
type Message = z.infer<typeof message>;

const DEFAULT_TIMEOUT_MS = 5000;
const DEFAULT_MAX_LINE = 1 << 20;

/** A connection on which commands may be sent. QEMU serves one at a time on a socket. */
export class QmpClient implements AsyncDisposable {
  readonly #conn: Deno.UnixConn;
  readonly #onEvent: (event: QmpEvent) => void;
  readonly #waiting = new Map<number, PromiseWithResolvers<unknown>>();
  readonly #greeting = Promise.withResolvers<void>();
  readonly #closed = Promise.withResolvers<QmpError>();
  #failure: QmpError | undefined;
  #nextId = 1;
  #writes: Promise<void> = Promise.resolve();

  private constructor(conn: Deno.UnixConn, options: QmpOptions) {
    this.#conn = conn;
    this.#onEvent = options.onEvent ?? (() => {});
    this.#greeting.promise.catch(() => {});
    this.#read(new LineSplitter(options.maxLineBytes ?? DEFAULT_MAX_LINE));
  }

  /**
   * Connects, waits for the greeting and leaves negotiation mode.
   *
   * @throws {QmpError}
   * @throws {Deno.errors.NotFound} and other errors of `Deno.connect` when nobody listens.
   */
  static async connect(path: string, options: QmpOptions = {}): Promise<QmpClient> {
    const conn = await Deno.connect({ transport: "unix", path });
    const client = new QmpClient(conn, options);
    try {
      const limits: QmpCommandOptions = {
        timeoutMs: options.timeoutMs ?? DEFAULT_TIMEOUT_MS,
        ...(options.signal ? { signal: options.signal } : {}),
      };
      await bounded(client.#greeting.promise, "the greeting", limits);
      await client.execute("qmp_capabilities", {}, limits);
      return client;
    } catch (error) {
      await client[Symbol.asyncDispose]();
      throw error;
    }
  }

  /** Settles with the reason when the connection has ended and nothing of it is under way. */
  get closed(): Promise<QmpError> {
    return this.#closed.promise;
  }

  /**
   * Sends a command and gives what it returned.
   *
   * @throws {QmpError} `command` when QEMU refuses, `timeout`, `closed`, `protocol`.
   */
  async execute(
    command: string,
    args: Readonly<Record<string, unknown>> = {},
    options: QmpCommandOptions = {},
  ): Promise<unknown> {
    options.signal?.throwIfAborted();
    if (this.#failure) throw this.#failure;
    const id = this.#nextId++;
    const answer = Promise.withResolvers<unknown>();
    this.#waiting.set(id, answer);
    this.#write(`${JSON.stringify({ execute: command, arguments: args, id })}\n`);
    try {
      return await bounded(answer.promise, `'${command}'`, options);
    } finally {
      this.#waiting.delete(id);
    }
  }

  /** Ends the connection; commands under way fail with `closed`. Idempotent. */
  close(): void {
    this.#fail(new QmpError("closed", "The connection to QEMU was closed"));
  }

  /** Closes and waits until nothing is under way. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.close();
    await this.#closed.promise;
  }

  #write(text: string): void {
    this.#writes = this.#writes.then(async () => {
      const bytes = new TextEncoder().encode(text);
      for (let at = 0; at < bytes.length;) at += await this.#conn.write(bytes.subarray(at));
    }).catch((cause) => this.#fail(lost(cause)));
  }

  async #read(splitter: LineSplitter): Promise<void> {
    const buffer = new Uint8Array(65536);
    try {
      for (let n = await this.#conn.read(buffer); n !== null; n = await this.#conn.read(buffer)) {
        for (const line of splitter.push(buffer.subarray(0, n))) {
          if (line !== "") this.#take(parse(line));
        }
      }
      this.#fail(lost(undefined));
    } catch (cause) {
      if (cause instanceof QmpError) this.#fail(cause);
      else if (cause instanceof LineTooLongError) {
        this.#fail(new QmpError("protocol", "QEMU sent a line that is too long", { cause }));
      } else this.#fail(lost(cause));
    }
    await this.#writes;
    this.#closed.resolve(this.#failure ?? lost(undefined));
  }

  #take(got: Message): void {
    if (got.event !== undefined) {
      this.#onEvent({ event: got.event, data: got.data ?? {} });
    } else if (got.QMP) {
      this.#greeting.resolve();
    } else if (got.id === undefined) {
      throw new QmpError("protocol", `QEMU answered without an id: ${got.error?.desc ?? "?"}`);
    } else if (got.error) {
      const { class: kind, desc } = got.error;
      this.#waiting.get(got.id)?.reject(new QmpError("command", `${kind}: ${desc}`));
    } else {
      this.#waiting.get(got.id)?.resolve(got.return);
    }
  }

  #fail(error: QmpError): void {
    if (this.#failure) return;
    this.#failure = error;
    this.#conn.close();
    this.#greeting.reject(error);
    for (const answer of this.#waiting.values()) answer.reject(error);
  }
}

function parse(line: string): Message {
  try {
    return message.parse(JSON.parse(line));
  } catch (cause) {
    throw new QmpError("protocol", `QEMU sent what is no QMP: ${line.slice(0, 200)}`, { cause });
  }
}

function lost(cause: unknown): QmpError {
  return new QmpError("closed", "The connection to QEMU is lost", { cause });
}

async function bounded<T>(
  answer: Promise<T>,
  what: string,
  { timeoutMs = DEFAULT_TIMEOUT_MS, signal }: QmpCommandOptions,
): Promise<T> {
  const giveUp = Promise.withResolvers<never>();
  const timer = setTimeout(() => {
    giveUp.reject(new QmpError("timeout", `No answer to ${what} within ${timeoutMs} ms`));
  }, timeoutMs);
  const abort = (): void => giveUp.reject(signal?.reason);
  signal?.addEventListener("abort", abort, { once: true });
  try {
    return await Promise.race([answer, giveUp.promise]);
  } finally {
    clearTimeout(timer);
    signal?.removeEventListener("abort", abort);
  }
}
