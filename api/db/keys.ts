/** Teams and API keys in the database. A key is stored as its SHA-256 alone. */
import { newApiKey } from "@wrenn/common";
import { isAcceptedKey, keyPrefix } from "../core/api_keys.ts";
import type { Database, Queryable } from "./database.ts";

/** Channel that says "a key was revoked". */
export const KEYS_CHANNEL = "wrenn_keys";

/** The owner of a key. */
export interface KeyOwner {
  readonly teamId: string;
  readonly keyId: string;
}

/** SHA-256 of a key. Keys have 160 bits and more of randomness, so that a slow hash would protect nothing. */
export async function hashKey(key: string): Promise<Uint8Array> {
  return new Uint8Array(await crypto.subtle.digest("SHA-256", new TextEncoder().encode(key)));
}

/** Owner of the key that is not revoked. The index compares hashes, which tell nothing about a key. */
export async function findKeyOwner(db: Queryable, hash: Uint8Array): Promise<KeyOwner | undefined> {
  const [row] = await db.query<{ id: string; team_id: string }>(
    "SELECT id, team_id FROM api_keys WHERE hash = $1 AND revoked_at IS NULL",
    [bytes(hash)],
    { idempotent: true },
  );
  return row && { keyId: row.id, teamId: row.team_id };
}

/** Notes when a key was last used. */
export async function touchKey(db: Queryable, keyId: string): Promise<void> {
  const sql = "UPDATE api_keys SET last_used_at = now() WHERE id = $1";
  await db.query(sql, [keyId], { idempotent: true });
}

/** Makes a key and returns it; it cannot be read again. */
export async function createKey(db: Queryable, teamId: string, name: string): Promise<string> {
  const key = newApiKey();
  await db.query(
    "INSERT INTO api_keys (id, team_id, name, hash, prefix) VALUES ($1, $2, $3, $4, $5)",
    [newId("key"), teamId, name, bytes(await hashKey(key)), keyPrefix(key)],
  );
  return key;
}

/** Ends a key, at once in every replica. True when it was valid until now. */
export async function revokeKey(db: Queryable, teamId: string, keyId: string): Promise<boolean> {
  const rows = await db.query(
    `WITH revoked AS (
       UPDATE api_keys SET revoked_at = now()
       WHERE id = $1 AND team_id = $2 AND revoked_at IS NULL RETURNING id
     ) SELECT pg_notify($3, id) FROM revoked`,
    [keyId, teamId, KEYS_CHANNEL],
  );
  return rows.length > 0;
}

/** The team of this name, made when there is none. */
export async function ensureTeam(db: Queryable, name: string): Promise<string> {
  const [row] = await db.query<{ id: string }>(
    `INSERT INTO teams (id, name) VALUES ($1, $2)
     ON CONFLICT (name) DO UPDATE SET name = EXCLUDED.name RETURNING id`,
    [newId("team"), name],
  );
  if (!row) throw new Error(`Cannot make the team '${name}'`);
  return row.id;
}

/**
 * Makes sure that there is the team "default" with a key.
 *
 * @param existing Key of an earlier start; it is kept when it still belongs to that team.
 * @returns A key that works. A new one is returned this once and stored as a hash.
 */
export async function bootstrapKey(db: Database, existing?: string): Promise<string> {
  const teamId = await ensureTeam(db, "default");
  if (existing !== undefined && isAcceptedKey(existing)) {
    const owner = await findKeyOwner(db, await hashKey(existing));
    if (owner?.teamId === teamId) return existing;
  }
  return await createKey(db, teamId, "default");
}

function newId(prefix: string): string {
  return `${prefix}-${crypto.getRandomValues(new Uint8Array(4)).toHex()}`;
}

/** Text form of a `bytea` parameter. */
function bytes(hash: Uint8Array): string {
  return `\\x${hash.toHex()}`;
}
