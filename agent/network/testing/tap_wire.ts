/**
 * A guest that is nothing but its wire: `tap_wire.ts NAMESPACE:TAP` sends each line of input as a frame (in hex) and
 * prints each frame that comes as `MILLISECONDS HEX`. Prints `ready` when it is connected.
 *
 * {@linkcode TapWire} runs it.
 */
import { delay } from "@wrenn/common";
import { TAP_NAME } from "../../core/slot_plan.ts";
import type { Slot } from "../slots.ts";
import { openTap, readFrame, writeFrame } from "./tap.ts";

/** A frame that came from a slot. */
export interface Arrival {
  readonly frame: Uint8Array<ArrayBuffer>;
  /** Since the frame that was sent last, milliseconds. */
  readonly afterMs: number;
}

/** The guest's end of a slot's TAP. */
export class TapWire implements AsyncDisposable {
  /** Everything that came so far. */
  readonly arrivals: Arrival[] = [];
  readonly #child: Deno.ChildProcess;
  readonly #input: WritableStreamDefaultWriter<Uint8Array<ArrayBuffer>>;
  readonly #reading: Promise<void>;
  #ready = false;

  private constructor(child: Deno.ChildProcess) {
    this.#child = child;
    this.#input = child.stdin.getWriter();
    this.#reading = this.#read();
  }

  /** Connects to a slot. */
  static async open(slot: Slot): Promise<TapWire> {
    const place = `${slot.namespace}:${TAP_NAME}`;
    const file = new URL(import.meta.url).pathname;
    const args = ["run", "-A", file, place];
    const wire = new TapWire(
      new Deno.Command(Deno.execPath(), { args, stdin: "piped", stdout: "piped" }).spawn(),
    );
    while (!wire.#ready) await delay(5);
    return wire;
  }

  /** Sends a frame. */
  async send(frame: Uint8Array<ArrayBuffer>): Promise<void> {
    await this.#input.write(new TextEncoder().encode(`${frame.toHex()}\n`));
  }

  /** The first frame, among those that came already and those to come, that `read` makes something of. */
  async next<T>(
    read: (frame: Uint8Array<ArrayBuffer>) => T | undefined,
    limitMs: number = 1500,
  ): Promise<{ found: T; afterMs: number } | undefined> {
    for (let at = 0, waited = 0; waited < limitMs; at++) {
      while (at >= this.arrivals.length && waited < limitMs) {
        await delay(5);
        waited += 5;
      }
      const arrival = this.arrivals[at];
      const found = arrival && read(arrival.frame);
      if (arrival && found !== undefined) return { found, afterMs: arrival.afterMs };
    }
    return undefined;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#child.kill("SIGKILL");
    await this.#input.close().catch(() => {});
    await this.#reading;
    await this.#child.status;
  }

  async #read(): Promise<void> {
    for await (const line of lines(this.#child.stdout)) {
      if (line === "ready") this.#ready = true;
      else {
        const [ms = "", hex = ""] = line.split(" ");
        this.arrivals.push({ frame: Uint8Array.fromHex(hex), afterMs: Number(ms) });
      }
    }
  }
}

async function* lines(bytes: ReadableStream<Uint8Array<ArrayBuffer>>): AsyncGenerator<string> {
  let rest = "";
  for await (const text of bytes.pipeThrough(new TextDecoderStream())) {
    const parts = (rest + text).split("\n");
    rest = parts.pop() ?? "";
    yield* parts;
  }
}

if (import.meta.main) {
  const fd = openTap(Deno.args[0] ?? "");
  const print = (line: string): number =>
    Deno.stdout.writeSync(new TextEncoder().encode(`${line}\n`));
  let sent = performance.now();
  print("ready");
  void (async () => {
    const buffer = new Uint8Array(65536);
    while (true) {
      const frame = await readFrame(fd, buffer);
      print(`${(performance.now() - sent).toFixed(3)} ${frame.toHex()}`);
    }
  })();
  for await (const line of lines(Deno.stdin.readable)) {
    sent = performance.now();
    writeFrame(fd, Uint8Array.fromHex(line));
  }
}
