/** Parts of the platform die at the worst moment: nothing stays on the host, and the database tells the truth. */
import { assert, assertEquals } from "@std/assert";
import { SandboxStatus } from "@wrenn/proto/agent";
import { delay } from "@wrenn/common";
import { TestAgent } from "./lib/agent.ts";
import { leftovers, processesNaming } from "./lib/leftovers.ts";
import { MINIMAL, type Shown, TestPlatform } from "./lib/platform.ts";
import { takeSlots } from "./lib/slots.ts";
import { until, untilEmpty } from "./lib/wait.ts";

const SLOTS = "58100-58119";
const SETUP = { templates: ["minimal"], slots: SLOTS };
const ENDED = ["stopped", "error"];

/** A command that goes on; {@linkcode sleeps} tells whether it has begun. */
const SLEEP = "touch /tmp/begun; sleep 1000";

async function sleeps(agent: TestAgent, id: string): Promise<true | undefined> {
  return (await agent.sh(id, "test -e /tmp/begun")).exitCode === 0 || undefined;
}

/** What a host agent without sandboxes has on the host. */
const idle = (agent: TestAgent): string[] =>
  [`nft table: table inet wrenn-${agent.slots.first}`, `socket: ${agent.socket}`].sort();

/** What there is of sandboxes on the host. */
async function ofSandboxes(agent: TestAgent): Promise<string[]> {
  return (await leftovers(agent)).filter((thing) => !idle(agent).includes(thing));
}

async function untilEnded(platform: TestPlatform, id: string): Promise<Shown> {
  return await until(`the end of '${id}' in the database`, async () => {
    const sandbox = await platform.get(id);
    return ENDED.includes(sandbox.status) ? sandbox : undefined;
  });
}

Deno.test("After kill -9 of the agent its leftovers are gone and the database converges", async () => {
  using _turn = await takeSlots(SLOTS);
  await using platform = await TestPlatform.open(SETUP);
  const { agent } = platform;
  const ids = await Promise.all([1, 2, 3].map(() => platform.create()));
  for (const id of ids) assertEquals(await platform.sh(id, "hostname"), `${id}\n`);
  const machines = await processesNaming(agent.runDir);
  assertEquals(machines.length, 3);

  await agent.end("SIGKILL");
  const orphaned = await ofSandboxes(agent);
  for (const kind of ["process: ", "namespace: ", "link: ", `${agent.dataDir}/`, agent.runDir]) {
    const found = orphaned.filter((thing) => thing.startsWith(kind)).length;
    assertEquals(found, 3, `The check does not see what it looks for: '${kind}'`);
  }
  assertEquals(await platform.sh(ids[0] ?? "", "true"), "host_unavailable");

  await agent.start();
  await untilEmpty("something of the dead agent", () => ofSandboxes(agent));
  assertEquals(await leftovers(agent), idle(agent));
  assertEquals((await agent.client.listSandboxes({})).sandboxes, []);
  for (const id of ids) {
    const { error } = await untilEnded(platform, id);
    assertEquals(error?.code, "host_unavailable");
    assert(error && error.message.length > 0);
    assertEquals(await platform.sh(id, "true"), "sandbox_not_running");
  }

  const again = await platform.create();
  assertEquals(await platform.sh(again, "echo again"), "again\n");
  for (const id of [...ids, again]) assertEquals(await platform.destroy(id), 204);
  assertEquals((await platform.list()).map(({ status }) => status), Array(4).fill("stopped"));
  await untilEmpty("something of a sandbox", () => ofSandboxes(agent));
});

Deno.test("A machine that is killed is an error with a reason, and the others go on", async () => {
  using _turn = await takeSlots(SLOTS);
  await using platform = await TestPlatform.open(SETUP);
  const { agent } = platform;
  const victim = await platform.create();
  const [pid] = await processesNaming(agent.runDir);
  assert(pid !== undefined);
  const others = await Promise.all([1, 2].map(() => platform.create()));
  const running = platform.sh(victim, SLEEP).catch(String);
  await until("the command", () => sleeps(agent, victim));

  Deno.kill(pid, "SIGKILL");
  const { status, error } = await untilEnded(platform, victim);
  assertEquals([status, error?.code], ["error", "guest_unavailable"]);
  assert(["guest_unavailable", "sandbox_not_running"].includes(await running));
  for (const id of others) assertEquals(await platform.sh(id, "hostname"), `${id}\n`);
  await until("the end of what the machine had", async () => {
    const namespaces = (await ofSandboxes(agent)).filter((thing) => thing.startsWith("namespace"));
    return namespaces.length === 2 || undefined;
  });
  await Promise.all([victim, ...others].map((id) => platform.destroy(id)));
  await untilEmpty("something of a sandbox", () => ofSandboxes(agent));
});

Deno.test("After kill -9 of the control plane in a create, host and database agree", async () => {
  using _turn = await takeSlots(SLOTS);
  await using platform = await TestPlatform.open(SETUP);
  const { agent } = platform;
  const kept = await platform.create();
  const create = platform.call("POST", "/v1/sandboxes", MINIMAL).then(
    ({ status }) => status,
    () => "no answer",
  );
  const half = await until("the start on the host", async () => {
    const { sandboxes } = await agent.client.listSandboxes({});
    return sandboxes.find((sandbox) => sandbox.status === SandboxStatus.STARTING);
  });
  await platform.api.end("SIGKILL");
  assertEquals(await create, "no answer");

  await platform.startApi();
  const row = await until("a state that lasts", async () => {
    const sandbox = await platform.get(half.id);
    return ["running", ...ENDED].includes(sandbox.status) ? sandbox : undefined;
  });
  // The host has what the database has, whichever of the two it is.
  const live = await until("the same state on the host", async () => {
    const { sandboxes } = await agent.client.listSandboxes({});
    const found = sandboxes.filter(({ status }) => status === SandboxStatus.RUNNING)
      .map(({ id }) => id).sort();
    const expected = row.status === "running" ? [kept, half.id] : [kept];
    return String(found) === String(expected.sort()) ? found : undefined;
  });
  for (const id of live) assertEquals(await platform.sh(id, "hostname"), `${id}\n`);
  assertEquals((await platform.list()).map(({ id }) => id).sort(), [kept, half.id].sort());

  await Promise.all([kept, half.id].map((id) => platform.destroy(id)));
  await untilEmpty("something of a sandbox", () => ofSandboxes(agent));
});

Deno.test("SIGTERM of the agent leaves nothing, whatever its callers do", async () => {
  using _turn = await takeSlots(SLOTS);
  await using agent = await TestAgent.open(SETUP);
  const { client } = agent;
  const made = await Promise.all([1, 2].map(() => agent.create()));
  const id = made[0]?.id ?? "";
  // A third one is starting, and calls of every kind are under way; one never ends its request.
  const outcome = (work: Promise<unknown>): Promise<string> =>
    work.then(() => "answered", () => "failed");
  const calls = [
    outcome(agent.create()),
    outcome(agent.sh(id, SLEEP)),
    outcome((async () => {
      for await (const _ of client.watchSandboxes({})) { /* to the end */ }
    })()),
    outcome((async () => {
      for await (const _ of client.watchDir({ file: { id, path: "/tmp" } })) { /* to the end */ }
    })()),
  ];
  const held = await holdRequest(agent.socket);
  await until("calls under way", async () => {
    const listed = await client.listSandboxes({});
    const states = listed.sandboxes.map(({ status }) => status);
    const third = states.includes(SandboxStatus.STARTING) || states.length === 3;
    return third && await sleeps(agent, id);
  });

  const { code } = await agent.end("SIGTERM");
  held.close();
  await Promise.all(calls);
  assertEquals(code, 0, await agent.process.log());
  assertEquals(await leftovers(agent), []);
  // Not even a moment later: nothing of it goes on in the background.
  await delay(500);
  assertEquals(await leftovers(agent), []);
});

/** A connection with a request whose body never comes. */
async function holdRequest(socket: string): Promise<Deno.UnixConn> {
  const conn = await Deno.connect({ transport: "unix", path: socket });
  const head = [
    "POST /wrenn.agent.v1.AgentService/ListSandboxes HTTP/1.1",
    "host: localhost",
    "content-type: application/proto",
    "expect: 100-continue",
    "content-length: 10",
  ];
  await conn.write(new TextEncoder().encode(`${head.join("\r\n")}\r\n\r\n`));
  await conn.read(new Uint8Array(100));
  return conn;
}
