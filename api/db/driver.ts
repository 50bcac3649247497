/**
 * npm:pg as far as the platform uses it, with types of our own: those of `@types/pg` bring Node's, which disagree
 * with Deno's.
 */
import driver from "pg";

/** Settings of a connection. */
export interface ClientConfig {
  readonly connectionString: string;
  readonly connectionTimeoutMillis?: number;
  readonly keepAlive?: boolean;
  readonly application_name?: string;
  /** Milliseconds after which the server ends a statement. */
  readonly statement_timeout?: number;
  /** Milliseconds to wait for a lock. */
  readonly lock_timeout?: number;
  /** Milliseconds after which the server ends a session that idles in a transaction. */
  readonly idle_in_transaction_session_timeout?: number;
  /** Milliseconds after which the driver gives up a statement. */
  readonly query_timeout?: number;
}

/** Settings of a pool. */
export interface PoolConfig extends ClientConfig {
  readonly max?: number;
  readonly idleTimeoutMillis?: number;
}

/** Answer to a statement. */
export interface QueryResult<T> {
  readonly rows: T[];
  readonly rowCount: number | null;
}

/** What the events of a client carry. */
interface ClientEvents {
  error: [Error];
  end: [];
  notification: [{ readonly channel: string; readonly payload?: string }];
}

/** A connection. */
export interface Client {
  /** Without values the text may hold several statements. */
  query<T = Record<string, unknown>>(
    sql: string,
    values?: readonly unknown[],
  ): Promise<QueryResult<T>>;
  /** Prepares the statement once per connection and name. */
  query<T = Record<string, unknown>>(
    statement: { name: string; text: string; values: readonly unknown[] },
  ): Promise<QueryResult<T>>;
  connect(): Promise<void>;
  end(): Promise<void>;
  escapeIdentifier(name: string): string;
  on<E extends keyof ClientEvents>(event: E, listener: (...args: ClientEvents[E]) => void): void;
  off<E extends keyof ClientEvents>(event: E, listener: (...args: ClientEvents[E]) => void): void;
}

/** A connection lent by a pool. */
export interface PoolClient extends Client {
  /** Gives it back; with an error it is closed instead. */
  release(error?: Error): void;
}

/** Connections to one database. */
export interface Pool {
  connect(): Promise<PoolClient>;
  end(): Promise<void>;
  on(event: "error", listener: (error: Error) => void): void;
  on(event: "connect", listener: (client: Client) => void): void;
}

/** A connection that is not connected yet. */
export const Client: new (config: ClientConfig) => Client = driver.Client;
/** An empty pool. */
export const Pool: new (config: PoolConfig) => Pool = driver.Pool;
