import { assert, assertEquals, assertNotEquals } from "@std/assert";
import { logger, newApiKey } from "@wrenn/common";
import { freshDatabase, startTestServer } from "../../tasks/postgres/testing.ts";
import type { Database } from "../db/database.ts";
import { bootstrapKey, createKey, ensureTeam, revokeKey } from "../db/keys.ts";
import { openDatabase } from "../db/pg_database.ts";
import { Keys } from "./keys.ts";

const server = await startTestServer();
Deno.test.afterAll(() => server.stop());

/** A clock that moves when it is told to. */
class TestClock {
  at: number = 0;
  now = (): number => this.at;
  monotonic = (): number => this.at;
}

async function withKeys(
  work: (keys: Keys, db: Database, clock: TestClock) => Promise<void>,
): Promise<void> {
  await using database = await freshDatabase(server);
  await using db = openDatabase(database.url);
  const clock = new TestClock();
  await using keys = new Keys({ db, clock, log: logger("test") });
  await work(keys, db, clock);
}

Deno.test("authenticate() finds the owner of a key, and of nothing else", () =>
  withKeys(async (keys, db) => {
    const teamId = await ensureTeam(db, "a");
    const key = await createKey(db, teamId, "laptop");
    assertEquals((await keys.authenticate(key))?.teamId, teamId);
    for (const wrong of ["", "x", newApiKey(), `${key}a`, key.slice(0, -1), key.toUpperCase()]) {
      assertEquals(await keys.authenticate(wrong), undefined);
    }
  }));

Deno.test("authenticate() accepts keys of E2B's shape", () =>
  withKeys(async (keys, db) => {
    const key = `e2b_${"0f".repeat(20)}`;
    const teamId = await ensureTeam(db, "a");
    await db.query(
      `INSERT INTO api_keys (id, team_id, name, hash, prefix)
       VALUES ('key-00000001', $1, 'e2b', sha256($2::text::bytea), 'e2b_0f0f')`,
      [teamId, key],
    );
    assertEquals(await keys.authenticate(key), { teamId, keyId: "key-00000001" });
  }));

Deno.test("no key is stored, only its hash and eight letters", () =>
  withKeys(async (_, db) => {
    const key = await createKey(db, await ensureTeam(db, "a"), "laptop");
    const [row] = await db.query<{ text: string }>("SELECT k::text AS text FROM api_keys k");
    assert(row && !row.text.includes(key) && row.text.includes(key.slice(0, 8)));
    assert(!row.text.includes(key.slice(0, 9)));
  }));

Deno.test("authenticate() refuses a revoked key in every replica once they have been told", () =>
  withKeys(async (keys, db, clock) => {
    await using other = new Keys({ db, clock, log: logger("test") });
    const teamId = await ensureTeam(db, "a");
    const key = await createKey(db, teamId, "laptop");
    const keyId = (await keys.authenticate(key))?.keyId ?? "";
    assertEquals((await other.authenticate(key))?.keyId, keyId);
    assert(!(await revokeKey(db, await ensureTeam(db, "b"), keyId)), "another team's key");
    assert(await revokeKey(db, teamId, keyId));
    assert(!(await revokeKey(db, teamId, keyId)));
    for (const service of [keys, other]) while (await service.authenticate(key));
  }));

Deno.test("authenticate() writes when a key was used, at most once a minute", () =>
  withKeys(async (keys, db, clock) => {
    const key = await createKey(db, await ensureTeam(db, "a"), "laptop");
    const used = async (): Promise<string | null | undefined> => {
      const sql = "SELECT last_used_at::text AS at FROM api_keys";
      return (await db.query<{ at: string | null }>(sql))[0]?.at;
    };
    await keys.authenticate(key);
    while (await used() === null);
    const first = await used();
    clock.at += 5000;
    await keys.authenticate(key);
    assertEquals(await used(), first);
    clock.at += 60_000;
    await keys.authenticate(key);
    while (await used() === first);
  }));

Deno.test("bootstrapKey() keeps a key that works and makes a new one for any other", () =>
  withKeys(async (keys, db) => {
    const first = await bootstrapKey(db);
    assertEquals(await bootstrapKey(db, first), first);
    const owner = await keys.authenticate(first);
    for (const stale of [newApiKey(), "nonsense", ""]) {
      const next = await bootstrapKey(db, stale);
      assertNotEquals(next, stale);
      assertEquals((await keys.authenticate(next))?.teamId, owner?.teamId);
    }
    await db.query("UPDATE api_keys SET revoked_at = now()");
    assertNotEquals(await bootstrapKey(db, first), first);
    const others = await createKey(db, await ensureTeam(db, "other"), "x");
    assertNotEquals(await bootstrapKey(db, others), others);
  }));
