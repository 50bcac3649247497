/**
 * Tells a lab that stands still from one that works. The lab beats on a port every few seconds; what it runs prints.
 * An emulated host can stop altogether (no beat) and a test in it can hang (a beat, but no output): both end the lab,
 * with what it was doing then.
 */
import { delay } from "@wrenn/common";

/** Without a beat for this time the lab's own machine stands still. It beats every 5 s. */
const BEAT_MS = 180_000;
/** Without a word for this time what runs in it hangs. The longest quiet test takes four minutes on a slow machine. */
const WORD_MS = 12 * 60_000;
const LOOK_MS = 1000;
/** How long the lab has to write down what its processes wait for. */
const TELL_MS = 40_000;
/** QEMU's listing of all processors' registers; what comes later does not matter. */
const REGISTERS_MS = 3000;

/** Paths of a lab's sockets, both made by QEMU. */
export interface LabSockets {
  /** The port that beats, and takes a line as the wish to write processes and stacks to the console. */
  readonly beat: string;
  /** QEMU's human monitor. */
  readonly monitor: string;
}

/** The lab's own machine stands still, through no fault of what runs in it. */
export class LabStoppedError extends Error {
  /** Always `LabStoppedError`. */
  override readonly name: string = "LabStoppedError";
}

/** Times, for tests. */
export interface WatchLimits {
  readonly beatMs?: number;
  readonly wordMs?: number;
  readonly tellMs?: number;
}

/** Watches one lab from its start to its end. */
export class LabWatch implements AsyncDisposable {
  readonly #sockets: LabSockets;
  readonly #limits: Required<WatchLimits>;
  readonly #end = new AbortController();
  readonly #stalled = Promise.withResolvers<never>();
  readonly #work: Promise<unknown>;
  #beatAt = performance.now();
  #wordAt = performance.now();

  /** @param sockets Those of a QEMU that is about to start. */
  constructor(sockets: LabSockets, limits: WatchLimits = {}) {
    this.#sockets = sockets;
    this.#limits = { beatMs: BEAT_MS, wordMs: WORD_MS, tellMs: TELL_MS, ...limits };
    this.#stalled.promise.catch(() => {});
    this.#work = this.#watch().catch((error) => this.#stalled.reject(error));
  }

  /** Rejects when the lab stands still: {@linkcode LabStoppedError}, or an `Error` where only its work hangs. */
  get stalled(): Promise<never> {
    return this.#stalled.promise;
  }

  /** The lab's output passes through: each piece is a word of its work. */
  words(): TransformStream<Uint8Array, Uint8Array> {
    return new TransformStream({
      transform: (piece, to) => {
        this.#wordAt = performance.now();
        to.enqueue(piece);
      },
    });
  }

  /** Stops watching. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#end.abort();
    await this.#work;
  }

  async #watch(): Promise<void> {
    const { signal } = this.#end;
    using port = await connect(this.#sockets.beat, signal);
    if (port === undefined) return;
    this.#count(port);
    while (!signal.aborted) {
      await delay(LOOK_MS, signal).catch(() => {});
      const now = performance.now();
      if (now - this.#beatAt > this.#limits.beatMs) {
        const registers = await this.#registers();
        throw new LabStoppedError(`The lab's machine stands still:\n${registers}`);
      }
      if (now - this.#wordAt > this.#limits.wordMs) {
        await port.write(new TextEncoder().encode("tell\n"));
        await delay(this.#limits.tellMs, signal).catch(() => {});
        throw new Error("What runs in the lab hangs");
      }
    }
  }

  /** Notes the beats until the port is closed. */
  async #count(port: Deno.Conn): Promise<void> {
    const buffer = new Uint8Array(64);
    try {
      while (await port.read(buffer) !== null) this.#beatAt = performance.now();
    } catch {
      // A port that is lost beats no more, which is what is watched.
    }
  }

  async #registers(): Promise<string> {
    using monitor = await connect(this.#sockets.monitor, this.#end.signal);
    if (monitor === undefined) return "(nobody there)";
    await monitor.write(new TextEncoder().encode("info cpus\ninfo registers -a\n"));
    const pieces: string[] = [];
    const timer = setTimeout(() => monitor.close(), REGISTERS_MS);
    const text = monitor.readable.pipeThrough(new TextDecoderStream());
    try {
      for await (const piece of text) pieces.push(piece);
    } catch {
      // Closed by the timer: what came by then is the answer.
    }
    clearTimeout(timer);
    return pieces.join("");
  }
}

/** Connects as soon as somebody listens; undefined when it is over before. */
async function connect(path: string, signal: AbortSignal): Promise<Deno.UnixConn | undefined> {
  while (!signal.aborted) {
    try {
      return await Deno.connect({ transport: "unix", path });
    } catch (error) {
      const notYet = error instanceof Deno.errors.NotFound ||
        error instanceof Deno.errors.ConnectionRefused;
      if (!notYet) throw error;
      await delay(50, signal).catch(() => {});
    }
  }
}
