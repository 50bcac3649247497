/** LISTEN on a connection of its own that is made again when it is lost. */
import type { Client } from "./driver.ts";
import { delay, type Logger } from "@wrenn/common";
import type { Listener } from "./database.ts";

const FIRST_WAIT_MS = 50;
const LONGEST_WAIT_MS = 5000;

/** A subscription to one channel. */
export class PgSubscription {
  readonly #abort = new AbortController();
  readonly #done: Promise<void>;

  /** @param connect Makes a client that is not connected yet. */
  constructor(connect: () => Client, channel: string, listener: Listener, log: Logger) {
    this.#done = this.#run(connect, channel, listener, log);
  }

  /** Ends it; no call of the listener follows. */
  async close(): Promise<void> {
    this.#abort.abort();
    await this.#done;
  }

  async #run(
    connect: () => Client,
    channel: string,
    listener: Listener,
    log: Logger,
  ): Promise<void> {
    const { signal } = this.#abort;
    for (let wait = FIRST_WAIT_MS; !signal.aborted; wait = Math.min(wait * 2, LONGEST_WAIT_MS)) {
      const client = connect();
      const lost = Promise.withResolvers<void>();
      const stop = (): void => lost.resolve();
      client.on("error", (error) => {
        log.info("Subscription lost", { channel, error });
        lost.resolve();
      });
      client.on("end", () => lost.resolve());
      client.on("notification", (message) => {
        if (!signal.aborted) listener.onNotify(message.payload ?? "");
      });
      signal.addEventListener("abort", stop, { once: true });
      try {
        await client.connect();
        await client.query(`LISTEN ${client.escapeIdentifier(channel)}`);
        wait = FIRST_WAIT_MS;
        if (!signal.aborted) listener.onResync();
        await lost.promise;
      } catch (error) {
        log.warn("Cannot subscribe", { channel, error });
      } finally {
        signal.removeEventListener("abort", stop);
        await client.end().catch((error) => log.info("Cannot end a connection", { error }));
      }
      await delay(wait, signal).catch(() => {}); // aborted: the loop ends
    }
  }
}
