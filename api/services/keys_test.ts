import { assertEquals } from "@std/assert";
import { logger, newApiKey } from "@wrenn/common";
import type { Database, Listener } from "../db/database.ts";
import { Keys } from "./keys.ts";

/** A database that knows every key until `revoked`, and counts who asks. */
function fakeDatabase() {
  const state = { lookups: 0, revoked: false, listener: undefined as Listener | undefined };
  const unused = () => Promise.reject(new Error("Not used here"));
  const db: Database = {
    query: <T extends object>(sql: string): Promise<T[]> => {
      if (!sql.startsWith("SELECT")) return Promise.resolve([]);
      state.lookups++;
      const rows = state.revoked ? [] : [{ id: "key-00000001", team_id: "team-00000001" }];
      return Promise.resolve(rows as T[]);
    },
    listen: (_, listener) => {
      state.listener = listener;
      return { close: () => Promise.resolve() };
    },
    transaction: unused,
    tryLock: unused,
    lock: unused,
    close: () => Promise.resolve(),
    [Symbol.asyncDispose]: () => Promise.resolve(),
  };
  return { db, state };
}

function setUp() {
  const clock = { at: 0, now: () => clock.at, monotonic: () => clock.at };
  const { db, state } = fakeDatabase();
  const keys = new Keys({ db, clock, log: logger("test") });
  return { clock, state, keys, key: newApiKey() };
}

Deno.test("authenticate() believes the database for less than five seconds", async () => {
  const { clock, state, keys, key } = setUp();
  await using _ = keys;
  for (const at of [0, 1000, 3999]) {
    clock.at = at;
    assertEquals((await keys.authenticate(key))?.keyId, "key-00000001");
  }
  assertEquals(state.lookups, 1);
  state.revoked = true;
  clock.at = 4000;
  assertEquals(await keys.authenticate(key), undefined);
});

Deno.test("authenticate() does not remember that a key does not exist", async () => {
  const { state, keys, key } = setUp();
  await using _ = keys;
  state.revoked = true;
  assertEquals(await keys.authenticate(key), undefined);
  state.revoked = false;
  assertEquals((await keys.authenticate(key))?.keyId, "key-00000001");
});

Deno.test("authenticate() asks again after a notification, and after one may have been lost", async () => {
  const { state, keys, key } = setUp();
  await using _ = keys;
  await keys.authenticate(key);
  for (const tell of ["onNotify", "onResync"] as const) {
    state.revoked = true;
    state.listener?.[tell]("key-00000001");
    assertEquals(await keys.authenticate(key), undefined);
    state.revoked = false;
    await keys.authenticate(key);
  }
});

Deno.test("authenticate() does not ask the database about texts that are no keys", async () => {
  const { state, keys } = setUp();
  await using _ = keys;
  for (const text of ["", "wrn_", "' OR 1=1", "x".repeat(10_000)]) {
    assertEquals(await keys.authenticate(text), undefined);
  }
  assertEquals(state.lookups, 0);
});
