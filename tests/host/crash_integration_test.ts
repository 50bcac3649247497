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

Deno.test("After kill -9 of the agent its sandboxes go on where they were", async () => {
  using _turn = await takeSlots(SLOTS);
  await using platform = await TestPlatform.open(SETUP);
  const { agent } = platform;
  const [running, paused, hibernated] = await Promise.all([
    platform.create(),
    platform.create(),
    platform.create(),
  ]);
  const ids = [running, paused, hibernated];
  const counts = "echo kept > /dev/shm/kept; " +
    "(i=0; while sleep 0.2; do i=$((i+1)); echo $i > /tmp/count; done) >/dev/null 2>&1 &";
  for (const id of ids) await platform.sh(id, counts);
  const pids = new Map<string, string>();
  const counter = "pgrep -f 'while sleep' | head -1";
  for (const id of ids) pids.set(id, await platform.sh(id, counter));
  assertEquals((await platform.act(paused, "pause")).status, "paused");
  assertEquals((await platform.act(hibernated, "hibernate")).status, "hibernated");
  const machines = await processesNaming(agent.runDir);
  assertEquals(machines.length, 2);

  await agent.end("SIGKILL");
  const orphaned = await ofSandboxes(agent);
  const expected: [string, number][] = [
    ["process: ", 2],
    ["namespace: ", 2],
    ["link: ", 2],
    [`${agent.dataDir}/records`, 3],
    [agent.runDir, 2],
  ];
  for (const [kind, count] of expected) {
    const found = orphaned.filter((thing) => thing.startsWith(kind)).length;
    assertEquals(found, count, `The check does not see what it looks for: '${kind}'`);
  }
  assertEquals(await platform.sh(running, "true"), "host_unavailable");

  await agent.start();
  assertEquals(await processesNaming(agent.runDir), machines);
  const states = async (): Promise<string[]> =>
    await Promise.all(ids.map(async (id) => (await platform.get(id)).status));
  await until(
    "the agent's return",
    async () => await platform.sh(running, "echo up") === "up\n" || undefined,
  );
  assertEquals(await states(), ["running", "paused", "hibernated"]);
  assertEquals((await platform.act(paused, "resume")).restored?.from, "paused");
  assertEquals((await platform.act(hibernated, "resume")).restored?.from, "memory");
  for (const id of ids) {
    assertEquals(await platform.sh(id, "hostname; cat /dev/shm/kept"), `${id}\nkept\n`);
    assertEquals(await platform.sh(id, counter), pids.get(id));
    const before = Number(await platform.sh(id, "cat /tmp/count"));
    await until(
      "the count to go on",
      async () => Number(await platform.sh(id, "cat /tmp/count")) > before || undefined,
    );
  }
  for (const id of ids) assertEquals(await platform.destroy(id), 204);
  await untilEmpty("something of a sandbox", () => ofSandboxes(agent));
});

Deno.test("After kill -9 of the agent and its machines, what was paused has its disk", async () => {
  using _turn = await takeSlots(SLOTS);
  await using platform = await TestPlatform.open(SETUP);
  const { agent } = platform;
  const [running, paused] = await Promise.all([platform.create(), platform.create()]);
  await platform.sh(paused, "echo kept > ~/kept");
  await platform.act(paused, "pause");
  await agent.end("SIGKILL");
  for (const pid of await processesNaming(agent.runDir)) Deno.kill(pid, "SIGKILL");
  await agent.start();
  const { error } = await untilEnded(platform, running);
  assertEquals(error?.code, "host_unavailable");
  assert(error && error.message.length > 0);
  assertEquals(await platform.sh(running, "true"), "sandbox_not_running");
  const { restored } = await platform.act(paused, "resume");
  assertEquals(restored?.from, "disk");
  assert((restored?.reason ?? "").length > 0);
  assertEquals(await platform.sh(paused, "cat ~/kept"), "kept\n");

  const again = await platform.create();
  assertEquals(await platform.sh(again, "echo again"), "again\n");
  for (const id of [running, paused, again]) assertEquals(await platform.destroy(id), 204);
  assertEquals((await platform.list()).map(({ status }) => status), Array(3).fill("stopped"));
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
