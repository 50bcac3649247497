/** The database over npm:pg. Why this driver: docs/decisions/004-postgres-driver.md. */
import { Client, type ClientConfig, Pool, type PoolClient } from "./driver.ts";
import { delay, logger, WrennError } from "@wrenn/common";
import type { Database, Listener, Queryable, QueryOptions, Subscription } from "./database.ts";
import { fromDatabaseError, isConnectionLoss, isSerializationFailure, isUnsent } from "./errors.ts";
import { PgSubscription } from "./pg_subscription.ts";

/** Sizes and times of a pool. */
export interface PgOptions {
  /** Connections at most. Default 20. */
  readonly maxConnections?: number;
  /** A statement that takes longer is ended. Default 15 000 ms. */
  readonly statementTimeoutMs?: number;
}

/** Waits before the second, third and fourth attempt, in ms; an attempt costs nothing when no connection was had. */
const RETRY_WAITS_MS = [20, 100, 400];
const CONNECT_TIMEOUT_MS = 5000;

/** Opens a pool; connections are made when they are needed. */
export function openDatabase(url: string, options: PgOptions = {}): Database {
  return new PgDatabase(url, options);
}

class PgDatabase implements Database {
  readonly #pool: Pool;
  readonly #url: string;
  readonly #subscriptions = new Set<PgSubscription>();
  readonly #log = logger("api", "db");
  #closing: Promise<void> | undefined;

  constructor(url: string, { maxConnections = 20, statementTimeoutMs = 15_000 }: PgOptions) {
    this.#url = url;
    this.#pool = new Pool({
      ...connection(url),
      max: maxConnections,
      idleTimeoutMillis: 30_000,
      statement_timeout: statementTimeoutMs,
      lock_timeout: Math.ceil(statementTimeoutMs / 2),
      idle_in_transaction_session_timeout: 2 * statementTimeoutMs,
      // The server ends slow statements itself; this is for a server that does not answer at all.
      query_timeout: Math.ceil(statementTimeoutMs * 4 / 3),
    });
    // A connection may die between being lent and being used; without a listener that would end the process.
    this.#pool.on("connect", (client) => {
      client.on("error", (error) => this.#log.debug("Connection lost", { error }));
    });
    // An idle connection that the server ends is reported here and leaves the pool by itself.
    this.#pool.on("error", (error) => this.#log.info("Idle connection lost", { error }));
  }

  async query<T extends object>(
    sql: string,
    params: readonly unknown[] = [],
    { idempotent = false }: QueryOptions = {},
  ): Promise<T[]> {
    return await this.#attempts(async () => {
      const client = await this.#connect();
      return await use(client, idempotent, () => run<T>(client, sql, params));
    });
  }

  async transaction<T>(work: (tx: Queryable) => Promise<T>): Promise<T> {
    return await this.#attempts(async () => {
      const client = await this.#connect();
      let committing = false;
      return await use(client, () => !committing, async () => {
        await run(client, "BEGIN", []);
        try {
          const result = await work(transactionOn(client));
          committing = true;
          await run(client, "COMMIT", []);
          return result;
        } catch (error) {
          // A rollback that fails too leaves a connection that cannot be used again; `use` ends it.
          if (!isConnectionLoss(cause(error))) await run(client, "ROLLBACK", []);
          throw error;
        }
      });
    });
  }

  async tryLock<T>(name: string, work: () => Promise<T>): Promise<T | undefined> {
    return await this.#onOwnConnection(async (session) => {
      const [row] = await run<{ locked: boolean }>(
        session,
        "SELECT pg_try_advisory_lock(hashtextextended($1, 0)) AS locked",
        [name],
      );
      return row?.locked ? await work() : undefined;
    });
  }

  async lock<T>(name: string, work: (session: Queryable) => Promise<T>): Promise<T> {
    return await this.#onOwnConnection(async (session) => {
      await run(session, "SELECT pg_advisory_lock(hashtextextended($1, 0))", [name]);
      return await work({ query: (sql, params = []) => run(session, sql, params) });
    });
  }

  listen(channel: string, listener: Listener): Subscription {
    if (this.#closing) throw new WrennError("unavailable", "Database closed");
    const subscription = new PgSubscription(
      () => new Client(connection(this.#url)),
      channel,
      listener,
      this.#log,
    );
    this.#subscriptions.add(subscription);
    return {
      close: async () => {
        this.#subscriptions.delete(subscription);
        await subscription.close();
      },
    };
  }

  close(): Promise<void> {
    this.#closing ??= (async () => {
      await Promise.all([...this.#subscriptions].map((s) => s.close()));
      await this.#pool.end();
    })();
    return this.#closing;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  async #connect(): Promise<PoolClient> {
    try {
      return await this.#pool.connect();
    } catch (error) {
      throw isConnectionLoss(error) ? new Retryable(error) : error;
    }
  }

  /** A lock belongs to its session: the connection is not shared and ends with the work. */
  async #onOwnConnection<T>(work: (session: Client) => Promise<T>): Promise<T> {
    const session = new Client(connection(this.#url));
    let lost: unknown;
    session.on("error", (error) => (lost = error));
    try {
      await session.connect();
      return await work(session);
    } catch (error) {
      throw fromDatabaseError(error);
    } finally {
      if (lost) this.#log.info("Connection of a lock lost", { error: lost });
      await session.end().catch((error) => this.#log.info("Cannot end a connection", { error }));
    }
  }

  async #attempts<T>(attempt: () => Promise<T>): Promise<T> {
    for (let tried = 0;; tried++) {
      try {
        return await attempt();
      } catch (error) {
        const wait = RETRY_WAITS_MS[tried];
        if (!(error instanceof Retryable) || wait === undefined || this.#closing) {
          throw fromDatabaseError(cause(error));
        }
        this.#log.info("Database: trying again", { error: error.cause, attempt: tried + 1 });
        await delay(wait * (0.5 + Math.random()));
      }
    }
  }
}

/** Nothing has happened: the same may be tried again. */
class Retryable extends Error {
  constructor(cause: unknown) {
    super("Can be tried again", { cause });
  }
}

function cause(error: unknown): unknown {
  return error instanceof Retryable ? error.cause : error;
}

function connection(url: string): ClientConfig {
  return {
    connectionString: url,
    connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
    keepAlive: true,
    application_name: "wrenn-api",
  };
}

/**
 * Uses a connection and gives it back; one that failed in any way but a plain SQL error is ended instead, so that
 * nobody gets it next.
 */
async function use<T>(
  client: PoolClient,
  repeatable: boolean | (() => boolean),
  work: () => Promise<T>,
): Promise<T> {
  let lost: Error | undefined;
  const onError = (error: Error): void => void (lost = error);
  client.on("error", onError);
  try {
    return await work();
  } catch (error) {
    const again = typeof repeatable === "function" ? repeatable() : repeatable;
    const root = driverError(error);
    if (isConnectionLoss(root)) {
      lost ??= root instanceof Error ? root : new Error("Connection lost");
      throw again || isUnsent(root) ? new Retryable(error) : error;
    }
    if (isSerializationFailure(root)) throw new Retryable(error);
    throw error;
  } finally {
    client.off("error", onError);
    client.release(lost);
  }
}

function transactionOn(client: PoolClient): Queryable {
  return {
    query: async (sql, params = []) => {
      try {
        return await run(client, sql, params);
      } catch (error) {
        throw fromDatabaseError(error);
      }
    },
  };
}

/** The driver's error under one that was made for callers. */
function driverError(error: unknown): unknown {
  return error instanceof WrennError && error.cause !== undefined ? error.cause : error;
}

async function run<T extends object>(
  client: Client,
  sql: string,
  params: readonly unknown[],
): Promise<T[]> {
  // A text without parameters may hold several statements.
  const name = params.length > 0 ? nameOf(sql) : undefined;
  if (name === undefined) return (await client.query<T>(sql, [...params])).rows;
  return (await client.query<T>({ name, text: sql, values: [...params] })).rows;
}

/** Names of statements by their text: the server parses and plans each once per connection. */
const names = new Map<string, string>();
/** Texts that are put together as they are needed must not fill the server's memory. */
const MAX_NAMES = 500;

function nameOf(sql: string): string | undefined {
  const known = names.get(sql);
  if (known !== undefined || names.size >= MAX_NAMES) return known;
  const name = `s${names.size}`;
  names.set(sql, name);
  return name;
}
