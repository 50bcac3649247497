/** The database as the control plane uses it. What stands behind it is one file (`pg_database.ts`). */

/** One row, by column name. */
export type Row = Record<string, unknown>;

/** Options of one statement. */
export interface QueryOptions {
  /** The statement may run twice without harm: it is tried again when the connection is lost in the middle. */
  readonly idempotent?: boolean;
}

/** Runs single statements. */
export interface Queryable {
  /**
   * Runs one statement. `$1`, `$2` stand for parameters; objects become JSON.
   *
   * @throws {WrennError} `unavailable` when the database does not answer, `already_exists` when a row with this
   *   key exists, `conflict` when the statement lost against another one.
   */
  query<T extends object = Row>(
    sql: string,
    params?: readonly unknown[],
    options?: QueryOptions,
  ): Promise<T[]>;
}

/** A subscription to notifications. */
export interface Subscription {
  /** Ends the subscription. */
  close(): Promise<void>;
}

/** What a subscriber does. */
export interface Listener {
  /** A notification came. */
  onNotify(payload: string): void;
  /** The subscription begins, or begins again after notifications may have been lost. */
  onResync(): void;
}

/** A pool of connections to one database. */
export interface Database extends Queryable, AsyncDisposable {
  /**
   * Runs `work` in one transaction: committed when it returns, rolled back when it throws. It is run again from
   * the start, in a new transaction, after a serialization failure, a deadlock, or a connection that was lost
   * before the commit was sent; so it must have no effects but on the database.
   *
   * @throws As {@linkcode Queryable.query}. `unavailable` leaves open whether a commit that was sent took effect.
   */
  transaction<T>(work: (tx: Queryable) => Promise<T>): Promise<T>;
  /** Runs `work` while this process holds a lock of this name; returns undefined at once when another one has it. */
  tryLock<T>(name: string, work: () => Promise<T>): Promise<T | undefined>;
  /** Same, but waits for the lock. `session` is the connection that holds it and has no statement timeout. */
  lock<T>(name: string, work: (session: Queryable) => Promise<T>): Promise<T>;
  /** Subscribes to a channel; connects again by itself. Notifications are hints: after a gap only `onResync` comes. */
  listen(channel: string, listener: Listener): Subscription;
  /** Ends all connections. */
  close(): Promise<void>;
}
