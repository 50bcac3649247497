/** The control plane as its operator meets it: a process with an environment, signals and an exit code. */
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { join } from "node:path";
import { delay } from "@wrenn/common";
import { freshDatabase, startTestServer, type TestDatabase } from "../tasks/postgres/testing.ts";
import { bootstrapKey } from "./db/keys.ts";
import { openDatabase } from "./db/pg_database.ts";
import { FakeAgent } from "./testing/fake_agent.ts";

const server = await startTestServer();
Deno.test.afterAll(() => server.stop());

const SECRET = "a secret of the test";
const main = new URL("./main.ts", import.meta.url).pathname;

function start(env: Record<string, string>): Deno.ChildProcess {
  return new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", "--quiet", main],
    env: { ...env, WRENN_LOG_LEVEL: "info" },
    stdin: "null",
    stdout: "null",
    stderr: "piped",
  }).spawn();
}

/** An agent over a Unix socket that asks for the secret. */
function serveAgent(path: string): { agent: FakeAgent; http: Deno.HttpServer<Deno.UnixAddr> } {
  const agent = new FakeAgent();
  const handler = agent.handler();
  const http = Deno.serve({ path, onListen: () => {} }, async (request) => {
    const shown = request.headers.get("authorization");
    if (shown !== `Bearer ${SECRET}`) return new Response(null, { status: 401 });
    return await handler(request) ?? new Response(null, { status: 404 });
  });
  return { agent, http };
}

interface Setting {
  readonly url: string;
  readonly database: TestDatabase;
  readonly agent: FakeAgent;
  readonly child: Deno.ChildProcess;
  readonly log: Promise<string>;
  /** Asks until the answer is as wanted. */
  until(path: string, status: number): Promise<void>;
}

async function withControlPlane(work: (setting: Setting) => Promise<void>): Promise<void> {
  await using database = await freshDatabase(server);
  const folder = await Deno.makeTempDir();
  const socket = join(folder, "agent.sock");
  const { agent, http } = serveAgent(socket);
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { port } = listener.addr;
  listener.close();
  const child = start({
    DATABASE_URL: database.url,
    CP_LISTEN_ADDR: `127.0.0.1:${port}`,
    CP_HOST_AGENT_ADDR: `unix:${socket}`,
    WRENN_AGENT_SECRET: SECRET,
  });
  const log = new Response(child.stderr).text();
  const url = `http://127.0.0.1:${port}`;
  const until = async (path: string, status: number): Promise<void> => {
    for (let attempt = 0; attempt < 600; attempt++) {
      const response = await fetch(`${url}${path}`).catch(() => undefined);
      await response?.body?.cancel();
      if (response?.status === status) return;
      await delay(50);
    }
    throw new Error(`'${path}' does not answer ${status}`);
  };
  try {
    await work({ url, database, agent, child, log, until });
  } finally {
    await Promise.resolve().then(() => child.kill("SIGKILL")).catch(() => {}); // it has ended
    await child.status;
    await log;
    await http.shutdown();
    await Deno.remove(folder, { recursive: true });
  }
}

Deno.test("the control plane serves, survives its database's failures and ends on SIGTERM", () =>
  withControlPlane(async ({ url, database, agent, child, log, until }) => {
    await until("/ready", 200);
    await using db = openDatabase(database.url);
    const key = await bootstrapKey(db);
    const call = (path: string, init: RequestInit = {}): Promise<Response> =>
      fetch(`${url}${path}`, {
        ...init,
        headers: { "x-api-key": key, "content-type": "application/json" },
      });
    const created = await call("/v1/sandboxes", {
      method: "POST",
      body: JSON.stringify({ template: "base" }),
    });
    assertEquals(created.status, 201);
    const { id } = await created.json();
    assertEquals(agent.vms.size, 1);
    await database.killBackends();
    await until("/ready", 200);
    const read = await call(`/v1/sandboxes/${id}`);
    assertEquals([(await read.json()).status, read.status], ["running", 200]);
    child.kill("SIGTERM");
    assertEquals((await child.status).code, 0);
    const text = await log;
    assertStringIncludes(text, "Control plane stops");
    assert(!text.includes(key) && !text.includes(SECRET), "secrets in the log");
  }));

Deno.test("the control plane is not ready while its host is away, and ready when it is back", () =>
  withControlPlane(async ({ agent, until, child }) => {
    await until("/ready", 200);
    agent.down = true;
    await until("/ready", 503);
    agent.down = false;
    await until("/ready", 200);
    child.kill("SIGINT");
    assertEquals((await child.status).code, 0);
  }));

Deno.test("the control plane does not start with a wrong environment, and says why", async () => {
  const child = start({
    DATABASE_URL: "mysql://x",
    CP_HOST_AGENT_ADDR: "",
    WRENN_AGENT_SECRET: "",
  });
  const text = await new Response(child.stderr).text();
  assertEquals((await child.status).code, 1);
  for (const name of ["DATABASE_URL", "CP_HOST_AGENT_ADDR", "WRENN_AGENT_SECRET"]) {
    assertStringIncludes(text, `${name}: must`);
  }
});

Deno.test("the control plane does not start without its database, and says why", async () => {
  const child = start({
    DATABASE_URL: "postgresql://x@127.0.0.1:1/x",
    CP_LISTEN_ADDR: "127.0.0.1:0",
    CP_HOST_AGENT_ADDR: "127.0.0.1:1",
    WRENN_AGENT_SECRET: SECRET,
  });
  const text = await new Response(child.stderr).text();
  assertEquals((await child.status).code, 1);
  assertStringIncludes(text, "Cannot start: Database unavailable: connect ECONNREFUSED");
});
