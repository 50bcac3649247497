/** One mirrored port: connections to the outer address are carried to the loopback one. */
import { logger } from "@wrenn/common/log";

const BUFFER_BYTES = 64 * 1024;

/** Where a mirror listens and where it leads. */
export interface MirrorSpec {
  /** Outer address. */
  address: string;
  /** Port, the same on both sides. */
  port: number;
  /** Loopback address. */
  host: string;
}

/** A listener that forwards. Connections outlive it: they end with the program behind. */
export class Mirror implements Disposable {
  /** Where it leads. */
  readonly host: string;
  readonly #spec: MirrorSpec;
  readonly #listener: Deno.TcpListener;

  /** @throws {Deno.errors.AddrInUse} When the port is taken on the outer address. */
  constructor(spec: MirrorSpec) {
    this.#spec = spec;
    this.host = spec.host;
    this.#listener = Deno.listen({ hostname: spec.address, port: spec.port });
    this.#listener.unref();
    void this.#accept();
  }

  /** Stops listening. */
  [Symbol.dispose](): void {
    this.#listener.close();
  }

  async #accept(): Promise<void> {
    try {
      for await (const connection of this.#listener) void this.#forward(connection);
    } catch (error) {
      logger("envd", "ports").warn("Mirror stopped", { port: this.#spec.port, error });
    }
  }

  async #forward(outer: Deno.TcpConn): Promise<void> {
    const { host, port } = this.#spec;
    let inner: Deno.TcpConn;
    try {
      inner = await Deno.connect({ hostname: host, port });
    } catch {
      // Nobody listens any more: the next look at the sockets closes the mirror.
      return outer.close();
    }
    inner.setNoDelay();
    outer.setNoDelay();
    await join(outer, inner);
  }
}

/** Carries bytes both ways until both directions have ended; each passes the other's end on. */
export async function join(a: Deno.Conn, b: Deno.Conn): Promise<void> {
  const broken = new AbortController();
  const closeBoth = (): void => {
    for (const connection of [a, b]) {
      try {
        connection.close();
      } catch (error) {
        if (!(error instanceof Deno.errors.BadResource)) throw error;
      }
    }
  };
  broken.signal.addEventListener("abort", closeBoth);
  const carry = (from: Deno.Conn, to: Deno.Conn): Promise<void> =>
    // A reset of one side is its way to end; the other side is told by closing it.
    pump(from, to).catch(() => broken.abort());
  await Promise.all([carry(a, b), carry(b, a)]);
  closeBoth();
}

async function pump(from: Deno.Conn, to: Deno.Conn): Promise<void> {
  const buffer = new Uint8Array(BUFFER_BYTES);
  while (true) {
    const count = await from.read(buffer);
    if (count === null) break;
    for (let at = 0; at < count;) at += await to.write(buffer.subarray(at, count));
  }
  await to.closeWrite();
}
