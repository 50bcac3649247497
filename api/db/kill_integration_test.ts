/** Every connection of a busy pool is killed by the server. The pool comes back; nothing hangs; the process lives. */
import { assert, assertEquals, assertRejects } from "@std/assert";
import { delay, hasCode, WrennError } from "@wrenn/common";
import { freshDatabase, startTestServer, type TestDatabase } from "../../tasks/postgres/testing.ts";
import type { Database } from "./database.ts";
import { openDatabase } from "./pg_database.ts";

const server = await startTestServer();
Deno.test.afterAll(() => server.stop());

async function withPool(work: (db: Database, database: TestDatabase) => Promise<void>) {
  await using database = await freshDatabase(server);
  await using db = openDatabase(database.url, { maxConnections: 5 });
  await Promise.all(Array.from({ length: 10 }, () => db.query("SELECT pg_sleep(0.02)")));
  await work(db, database);
}

/** 40 queries in two rounds: all must answer. */
async function assertHealthy(db: Database): Promise<void> {
  for (let round = 0; round < 2; round++) {
    const answers = await Promise.all(
      Array.from(
        { length: 20 },
        (_, i) => db.query<{ v: number }>("SELECT $1::int AS v", [i], { idempotent: true }),
      ),
    );
    assertEquals(answers.map(([row]) => row?.v), Array.from({ length: 20 }, (_, i) => i));
  }
}

/** Waits until `count` backends of the database run a statement. */
async function untilBusy(observer: Database, count: number): Promise<void> {
  for (;;) {
    const [row] = await observer.query<{ n: number }>(
      `SELECT count(*)::int AS n FROM pg_stat_activity
       WHERE datname = current_database() AND state = 'active' AND query LIKE '%pg_sleep(60)%'
         AND pid <> pg_backend_pid()`,
    );
    if ((row?.n ?? 0) >= count) return;
    await delay(10);
  }
}

function outcomes(results: PromiseSettledResult<unknown>[]): string[] {
  return results.map((r) => r.status === "fulfilled" ? "ok" : (r.reason as WrennError).code);
}

Deno.test("openDatabase() recovers when all idle connections are killed", () =>
  withPool(async (db, database) => {
    await database.killBackends();
    await assertHealthy(db);
  }));

Deno.test("openDatabase() recovers when connections are killed in a statement", () =>
  withPool(async (db, database) => {
    await using observer = openDatabase(database.url);
    const busy = Promise.allSettled(
      Array.from({ length: 5 }, () => db.query("SELECT pg_sleep(60)")),
    );
    await untilBusy(observer, 5);
    await database.killBackends();
    assertEquals(outcomes(await busy), Array(5).fill("unavailable"));
    await assertHealthy(db);
  }));

Deno.test("openDatabase() repeats an idempotent statement whose connection was killed", () =>
  withPool(async (db, database) => {
    await using observer = openDatabase(database.url);
    // Sleeps only while nobody has put a row there: the second attempt answers at once.
    const sql = "SELECT pg_sleep(CASE WHEN EXISTS (SELECT FROM teams) THEN 0 ELSE 60 END)" +
      " /* pg_sleep(60) */";
    const busy = db.query(sql, [], { idempotent: true });
    await untilBusy(observer, 1);
    await observer.query("INSERT INTO teams (id, name) VALUES ('team-00000001', 'x')");
    await database.killBackends();
    assertEquals((await busy).length, 1);
  }));

Deno.test("transaction() is run again when its connection is killed before the commit", () =>
  withPool(async (db, database) => {
    await using observer = openDatabase(database.url);
    let runs = 0;
    const busy = Promise.all(Array.from({ length: 5 }, (_, i) =>
      db.transaction(async (tx) => {
        runs++;
        await tx.query("INSERT INTO teams (id, name) VALUES ($1, $1)", [`team-0000000${i}`]);
        if (runs <= 5) await tx.query("SELECT pg_sleep(60)");
      })));
    await untilBusy(observer, 5);
    await database.killBackends();
    await busy;
    assertEquals(runs, 10);
    assertEquals(await observer.query("SELECT count(*)::int AS n FROM teams"), [{ n: 5 }]);
    await assertHealthy(db);
  }));

Deno.test("transaction() rolls back and passes on what its work throws", () =>
  withPool(async (db) => {
    const failure = new WrennError("conflict", "No");
    const error = await assertRejects(() =>
      db.transaction(async (tx) => {
        await tx.query("INSERT INTO teams (id, name) VALUES ('team-00000001', 'x')");
        throw failure;
      })
    );
    assert(error === failure);
    assertEquals(await db.query("SELECT id FROM teams"), []);
    const insert = "INSERT INTO teams (id, name) VALUES ('team-00000001', 'x')";
    await db.query(insert);
    const twice = await assertRejects(() => db.transaction((tx) => tx.query(insert)));
    assert(hasCode(twice, "already_exists"));
    await assertHealthy(db);
  }));

Deno.test("transaction() is run again after a deadlock", () =>
  withPool(async (db) => {
    await db.query("INSERT INTO teams (id, name) VALUES ('team-00000001', 'a')");
    await db.query("INSERT INTO teams (id, name) VALUES ('team-00000002', 'b')");
    const both = Promise.withResolvers<void>();
    let waiting = 0;
    let runs = 0;
    const touch = (first: number, second: number): Promise<void> =>
      db.transaction(async (tx) => {
        const sql = "UPDATE teams SET created_at = now() WHERE id = $1";
        runs++;
        await tx.query(sql, [`team-0000000${first}`]);
        if (++waiting === 2) both.resolve();
        await both.promise;
        await tx.query(sql, [`team-0000000${second}`]);
      });
    await Promise.all([touch(1, 2), touch(2, 1)]);
    assertEquals(runs, 3);
  }));

Deno.test("listen() tells to resync after its connection was killed, and goes on", () =>
  withPool(async (db, database) => {
    const events: string[] = [];
    let wake = Promise.withResolvers<void>();
    const subscription = db.listen("news", {
      onNotify: (payload) => (events.push(payload), wake.resolve()),
      onResync: () => (events.push("resync"), wake.resolve()),
    });
    const next = async (): Promise<void> => {
      await wake.promise;
      wake = Promise.withResolvers<void>();
    };
    await next();
    await db.query("SELECT pg_notify('news', 'one')");
    await next();
    await database.killBackends();
    await next();
    await db.query("SELECT pg_notify('news', 'two')", [], { idempotent: true });
    await next();
    await subscription.close();
    assertEquals(events, ["resync", "one", "resync", "two"]);
  }));

Deno.test("tryLock() lets one at a time and frees the lock when its holder is killed", () =>
  withPool(async (db, database) => {
    const held = Promise.withResolvers<void>();
    const end = Promise.withResolvers<void>();
    const first = db.tryLock("x", async () => {
      held.resolve();
      await end.promise;
      return "first";
    });
    await held.promise;
    assertEquals(await db.tryLock("x", () => Promise.resolve("second")), undefined);
    await database.killBackends();
    assertEquals(await db.tryLock("x", () => Promise.resolve("third")), "third");
    end.resolve();
    await first;
  }));

Deno.test("query() answers unavailable when there is no server", async () => {
  await using db = openDatabase("postgresql://postgres@%2Fnonexistent/x");
  const error = await assertRejects(() => db.query("SELECT 1"));
  assert(hasCode(error, "unavailable"));
});

Deno.test("connections killed again and again under load: idempotent statements all answer", () =>
  withPool(async (db, database) => {
    let done = false;
    const load = Array.from({ length: 10 }, async () => {
      while (!done) await db.query("SELECT 1", [], { idempotent: true });
    });
    for (let i = 0; i < 20; i++) {
      await delay(10);
      await database.killBackends();
      // Every attempt of a statement may meet a kill; between two rounds it must get through.
      await db.query("SELECT 1", [], { idempotent: true });
    }
    done = true;
    await Promise.all(load);
    await assertHealthy(db);
  }));

Deno.test("query() gives up a server that does not answer, and does not use that connection again", async () => {
  await using database = await freshDatabase(server);
  await using db = openDatabase(database.url, { maxConnections: 1, statementTimeoutMs: 300 });
  const [backend] = await db.query<{ pid: number }>("SELECT pg_backend_pid() AS pid");
  assert(backend);
  Deno.kill(backend.pid, "SIGSTOP");
  try {
    const error = await assertRejects(() => db.query("SELECT 1"));
    assert(hasCode(error, "unavailable"));
    await assertHealthy(db);
  } finally {
    Deno.kill(backend.pid, "SIGCONT");
  }
});
