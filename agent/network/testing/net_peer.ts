/**
 * A program that talks from inside a network namespace.
 *
 * - `serve NAME PORT`: TCP and UDP on all addresses, IPv4 and IPv6. Per line on TCP: `who` answers
 *   `NAME CLIENT-ADDRESS`, `get N` sends N bytes, `put N` takes N bytes and answers their SHA-256, `seen`
 *   answers the UDP payloads so far as JSON. Prints `ready`.
 * - `probe JSON`: performs a list of {@linkcode Probe} at once and prints the list of answers as JSON.
 * - `talk HOST PORT`: one connection; for each line of input sends it and prints the answer, or `silence`.
 */
import { createSocket } from "node:dgram";
import { Buffer } from "node:buffer";

/** Something to try. */
export interface Probe {
  /** Transport. */
  readonly kind: "tcp" | "udp";
  /** Destination address. */
  readonly host: string;
  /** Destination port. */
  readonly port: number;
  /** Line to send over TCP, or the UDP payload. */
  readonly line: string;
  /** Source address of a UDP datagram. */
  readonly from?: string;
}

/** Time after which silence counts as no answer, milliseconds. */
const SILENCE_MS = 1500;
const encoder = new TextEncoder();
const decoder = new TextDecoder();

/** The bytes that `get` sends and that the other end checks. */
export function pattern(size: number): Uint8Array<ArrayBuffer> {
  return new Uint8Array(size).map((_, i) => (i * 7 + (i >> 8)) & 255);
}

/** SHA-256 in hex. */
export async function sha256(bytes: Uint8Array<ArrayBuffer>): Promise<string> {
  return new Uint8Array(await crypto.subtle.digest("SHA-256", bytes)).toHex();
}

/** Buffered reading from a connection. */
class Reader {
  #conn: Deno.Conn;
  #rest: Uint8Array<ArrayBuffer> = new Uint8Array(0);
  constructor(conn: Deno.Conn) {
    this.#conn = conn;
  }

  async #more(): Promise<boolean> {
    const chunk = new Uint8Array(65536);
    const size = await this.#conn.read(chunk);
    if (size === null) return false;
    const joined = new Uint8Array(this.#rest.length + size);
    joined.set(this.#rest);
    joined.set(chunk.subarray(0, size), this.#rest.length);
    this.#rest = joined;
    return true;
  }

  async line(): Promise<string | undefined> {
    while (!this.#rest.includes(10)) if (!await this.#more()) return undefined;
    const end = this.#rest.indexOf(10);
    const text = decoder.decode(this.#rest.subarray(0, end));
    this.#rest = this.#rest.slice(end + 1);
    return text;
  }

  async bytes(size: number): Promise<Uint8Array<ArrayBuffer>> {
    const all = new Uint8Array(size);
    let at = 0;
    while (at < size) {
      if (this.#rest.length === 0 && !await this.#more()) throw new Error("Connection ended early");
      const part = this.#rest.subarray(0, size - at);
      all.set(part, at);
      at += part.length;
      this.#rest = this.#rest.slice(part.length);
    }
    return all;
  }
}

async function writeAll(conn: Deno.Conn, bytes: Uint8Array): Promise<void> {
  for (let at = 0; at < bytes.length;) at += await conn.write(bytes.subarray(at));
}

async function answer(name: string, seen: readonly string[], conn: Deno.Conn): Promise<void> {
  const reader = new Reader(conn);
  const client = (conn.remoteAddr as Deno.NetAddr).hostname.replace("::ffff:", "");
  for (let line = await reader.line(); line !== undefined; line = await reader.line()) {
    const [verb, size = "0"] = line.split(" ");
    if (verb === "get") await writeAll(conn, pattern(Number(size)));
    else if (verb === "put") {
      await writeAll(conn, encoder.encode(`${await sha256(await reader.bytes(Number(size)))}\n`));
    } else if (verb === "seen") {
      await writeAll(conn, encoder.encode(`${JSON.stringify(seen)}\n`));
    } else await writeAll(conn, encoder.encode(`${name} ${client}\n`));
  }
}

async function serve(name: string, port: number): Promise<void> {
  const seen: string[] = [];
  const listener = Deno.listen({ hostname: "::", port });
  const udp = createSocket("udp4");
  udp.on("message", (payload) => seen.push(payload.toString()));
  await new Promise<void>((resolve) => udp.bind(port, "0.0.0.0", resolve));
  await Deno.stdout.write(encoder.encode("ready\n"));
  for await (const conn of listener) {
    answer(name, seen, conn).catch(() => {}).finally(() => conn.close());
  }
}

/** One exchange on a connection: the answer's line, or the SHA-256 of what `get` brought. */
async function exchange(conn: Deno.Conn, reader: Reader, line: string): Promise<string> {
  const [verb, size = "0"] = line.split(" ");
  await writeAll(conn, encoder.encode(`${line}\n`));
  if (verb === "get") return await sha256(await reader.bytes(Number(size)));
  if (verb === "put") await writeAll(conn, pattern(Number(size)));
  return await reader.line() ?? "closed";
}

/** Undefined when nothing came in time, or the connection broke. */
function orSilence<T>(work: Promise<T>): Promise<T | undefined> {
  return new Promise((resolve) => {
    const timer = setTimeout(() => resolve(undefined), SILENCE_MS);
    work.then(resolve, () => resolve(undefined)).finally(() => clearTimeout(timer));
  });
}

async function tryTcp(probe: Probe): Promise<string | null> {
  const conn = await orSilence(Deno.connect({ hostname: probe.host, port: probe.port }));
  if (conn === undefined) return null;
  const answered = exchange(conn, new Reader(conn), probe.line);
  // A large transfer takes as long as it takes.
  return /^(get|put)/.test(probe.line) ? await answered : await orSilence(answered) ?? null;
}

async function tryUdp(probe: Probe): Promise<null> {
  const udp = createSocket("udp4");
  if (probe.from !== undefined) {
    const from = probe.from;
    await new Promise<void>((resolve) => udp.bind(0, from, resolve));
  }
  await new Promise<void>((resolve) =>
    udp.send(Buffer.from(probe.line), probe.port, probe.host, () => resolve())
  );
  udp.close();
  return null;
}

async function talk(hostname: string, port: number): Promise<void> {
  const conn = await orSilence(Deno.connect({ hostname, port }));
  const reader = conn && new Reader(conn);
  const input = Deno.stdin.readable.pipeThrough(new TextDecoderStream());
  for await (const line of input) {
    const text = conn && reader && await orSilence(exchange(conn, reader, line.trim()));
    await Deno.stdout.write(encoder.encode(`${text ?? "silence"}\n`));
  }
}

if (import.meta.main) {
  const [mode, first = "", second = ""] = Deno.args;
  if (mode === "serve") await serve(first, Number(second));
  else if (mode === "talk") await talk(first, Number(second));
  else {
    const probes: Probe[] = JSON.parse(first);
    const answers = await Promise.all(probes.map((p) => p.kind === "tcp" ? tryTcp(p) : tryUdp(p)));
    await Deno.stdout.write(encoder.encode(JSON.stringify(answers)));
    Deno.exit(0);
  }
}
