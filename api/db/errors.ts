/** What went wrong in the database, in the platform's codes. */
import { WrennError } from "@wrenn/common";

/** Lost against a concurrent transaction; the same work may succeed when it is done again. */
const RETRY_STATES = new Set(["40001", "40P01"]);
/** Constraint violations that say "there is one already". */
const UNIQUE_VIOLATION = "23505";
/** Waited too long for a lock, or was canceled by a timeout. */
const TIMEOUT_STATES = new Set(["55P03", "57014"]);
/** The server has no room for another connection, or starts or ends just then. */
const DOWN_STATES = new Set(["53300", "57P01", "57P02", "57P03", "57P05", "25P03"]);

/** PostgreSQL's five-character code of an error that the server sent. */
export function sqlState(error: unknown): string | undefined {
  if (!(error instanceof Error) || !("code" in error) || typeof error.code !== "string") {
    return undefined;
  }
  return /^[0-9A-Z]{5}$/.test(error.code) && "severity" in error ? error.code : undefined;
}

/** True when the connection is gone or could not be had: a new one may work. */
export function isConnectionLoss(error: unknown): boolean {
  const state = sqlState(error);
  if (state !== undefined) return state.startsWith("08") || DOWN_STATES.has(state);
  if (!(error instanceof Error)) return false;
  if ("code" in error && /^E[A-Z]{3,}$/.test(String(error.code))) return true;
  return /Connection terminated|connection timeout|timeout exceeded when trying to connect|Client has encountered a connection error|Query read timeout|Client was closed|Connection ended/i
    .test(error.message);
}

/**
 * True when the server has not seen the end of what was sent: the socket was closed before. A statement is
 * executed, and a transaction committed, only when all of its message has come.
 */
export function isUnsent(error: unknown): boolean {
  return error instanceof Error && "code" in error && error.code === "EPIPE";
}

/** True when a transaction may be run again from its start because of another transaction. */
export function isSerializationFailure(error: unknown): boolean {
  return RETRY_STATES.has(sqlState(error) ?? "");
}

/** An error of the driver as a WrennError; errors that others threw pass. */
export function fromDatabaseError(error: unknown): unknown {
  if (error instanceof WrennError) return error;
  const state = sqlState(error);
  const options = { cause: error };
  if (isConnectionLoss(error)) {
    return new WrennError("unavailable", "Database unavailable", options);
  }
  if (state === undefined) return error;
  if (state === UNIQUE_VIOLATION) {
    return new WrennError("already_exists", "Already exists", options);
  }
  if (RETRY_STATES.has(state)) {
    return new WrennError("conflict", "Changed by another request at the same time", options);
  }
  if (TIMEOUT_STATES.has(state)) {
    return new WrennError("unavailable", "Database too slow", options);
  }
  return new WrennError("internal", "Internal error", options);
}
