import { assert, assertEquals, assertRejects } from "@std/assert";
import { join } from "node:path";
import { delay } from "@wrenn/common";
import { withClient } from "./cluster.ts";
import { type PostgresServer, startPostgres } from "./embedded.ts";
import { serverProcesses } from "./orphans.ts";
import { freshDatabase, startTestServer } from "./testing.ts";

/** A folder that the server's user can reach, removed afterwards. */
async function withFolder(work: (dataDir: string) => Promise<void>): Promise<void> {
  const folder = await Deno.makeTempDir({ prefix: "wrenn-pgtest-" });
  await Deno.chmod(folder, 0o755);
  try {
    await work(join(folder, "postgres"));
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

async function insert(server: PostgresServer, value: number): Promise<void> {
  await withClient(server.url, async (client) => {
    await client.query("CREATE TABLE IF NOT EXISTS t (v int)");
    await client.query("INSERT INTO t VALUES ($1)", [value]);
  });
}

async function values(server: PostgresServer): Promise<number[]> {
  return await withClient(server.url, async (client) => {
    const { rows } = await client.query<{ v: number }>("SELECT v FROM t ORDER BY v");
    return rows.map((row) => row.v);
  });
}

Deno.test("startPostgres() keeps data over restarts and leaves no process", () =>
  withFolder(async (dataDir) => {
    for (const value of [1, 2]) {
      const server = await startPostgres({ dataDir, durable: true });
      await insert(server, value);
      assertEquals(await values(server), value === 1 ? [1] : [1, 2]);
      await server.stop();
      await server.stop();
      assertEquals(await serverProcesses(join(dataDir, "data")), []);
    }
    const left: string[] = [];
    for await (const { name } of Deno.readDir(dataDir)) left.push(name);
    assertEquals(left.sort(), ["data", "lock", "password", "postgres.log", "postgres.log.1"]);
  }));

Deno.test("startPostgres() asks for a password when it is durable", () =>
  withFolder(async (dataDir) => {
    await using server = await startPostgres({ dataDir, durable: true });
    const url = server.url.replace(/:[0-9a-f]+@/, ":wrong@");
    await assertRejects(() => withClient(url, () => Promise.resolve()), Error, "password");
  }));

Deno.test("startPostgres() shows the server folders that its user cannot reach", () =>
  withFolder(async (dataDir) => {
    const parent = join(dataDir, "private");
    const socketDir = join(dataDir, "sockets");
    for (const folder of [parent, socketDir]) {
      await Deno.mkdir(folder, { recursive: true, mode: 0o700 });
    }
    const own = join(parent, "postgres");
    await using server = await startPostgres({ dataDir: own, socketDir, durable: true });
    await insert(server, 1);
    assertEquals(await values(server), [1]);
  }));

Deno.test("startPostgres() listens on a port when it is told to", () =>
  withFolder(async (dataDir) => {
    const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
    const { port } = listener.addr;
    listener.close();
    await using server = await startPostgres({ dataDir, port, durable: true });
    assert(server.url.endsWith(`@127.0.0.1:${port}/wrenn`));
    await insert(server, 1);
  }));

Deno.test("startPostgres() refuses a folder that is in use", () =>
  withFolder(async (dataDir) => {
    await using _ = await startPostgres({ dataDir, durable: false });
    await assertRejects(() => startPostgres({ dataDir, durable: false }), Error, "another process");
  }));

Deno.test("startPostgres() recovers after the server was killed", () =>
  withFolder(async (dataDir) => {
    const server = await startPostgres({ dataDir, durable: true });
    await insert(server, 1);
    for (const { pid } of await serverProcesses(join(dataDir, "data"))) {
      // A child may end with its parent before its turn.
      await Promise.resolve().then(() => Deno.kill(pid, "SIGKILL")).catch(() => {});
    }
    await server.stop();
    await using again = await startPostgres({ dataDir, durable: true });
    assertEquals(await values(again), [1]);
  }));

Deno.test("startPostgres() ends a server that its starter left behind", () =>
  withFolder(async (dataDir) => {
    const server = await startPostgres({ dataDir, durable: true });
    await insert(server, 1);
    const orphan = await startOrphan(server, dataDir);
    await using again = await startPostgres({ dataDir, durable: true });
    const found = (await serverProcesses(join(dataDir, "data"))).map((p) => p.pid);
    assert(!found.includes(orphan) && found.includes(again.pid));
    assertEquals(await values(again), [1]);
  }));

Deno.test("a server ends when the process that started it is killed", () =>
  withFolder(async (dataDir) => {
    const program = `
      import { startPostgres } from ${JSON.stringify(import.meta.resolve("./embedded.ts"))};
      await startPostgres({ dataDir: ${JSON.stringify(dataDir)}, durable: true });
      await Deno.stdout.write(new TextEncoder().encode("ready"));
      await new Promise((resolve) => setTimeout(resolve, 1e6));`;
    const child = new Deno.Command(Deno.execPath(), {
      args: ["eval", "--quiet", program],
      cwd: new URL("../..", import.meta.url),
      stdout: "piped",
    }).spawn();
    const reader = child.stdout.getReader();
    await reader.read();
    const data = join(dataDir, "data");
    assert((await serverProcesses(data)).length > 0);
    child.kill("SIGKILL");
    await child.status;
    await reader.cancel();
    while ((await serverProcesses(data)).length > 0) await delay(20);
  }));

Deno.test("freshDatabase() gives each caller a schema of its own", async () => {
  await using server = await startTestServer();
  const [a, b] = await Promise.all([freshDatabase(server), freshDatabase(server)]);
  await withClient(
    a.url,
    (c) => c.query("INSERT INTO teams (id, name) VALUES ('team-00000001', 'a')"),
  );
  const count = "SELECT count(*)::int AS n FROM teams";
  assertEquals((await withClient(a.url, (c) => c.query(count))).rows, [{ n: 1 }]);
  assertEquals((await withClient(b.url, (c) => c.query(count))).rows, [{ n: 0 }]);
});

/** The same server again, started by a shell that is gone: nobody's child, in nobody's care. */
async function startOrphan(server: PostgresServer, dataDir: string): Promise<number> {
  const cmdline = await Deno.readTextFile(`/proc/${server.pid}/cmdline`);
  const argv = cmdline.split("\0").filter((word) => word !== "");
  await server.stop();
  const user = Deno.uid() === 0 ? "setpriv --reuid 65534 --regid 65534 --clear-groups" : "";
  const script = `${user} setsid "$@" >/dev/null 2>&1 </dev/null &`;
  await new Deno.Command("/bin/sh", { args: ["-c", script, "sh", ...argv], cwd: "/" }).output();
  for (;;) {
    const pids = (await serverProcesses(join(dataDir, "data"))).map((p) => p.pid);
    const file = join(dataDir, "data/postmaster.pid");
    const text = await Deno.readTextFile(file).catch(() => "");
    const pid = Number(text.split("\n")[0]);
    if (pids.includes(pid) && text.includes("ready")) return pid;
    await delay(20);
  }
}
