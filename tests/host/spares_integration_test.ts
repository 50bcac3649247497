/** Processes that wait for a machine to bring back: they are used, they are nobody's, and nothing of them stays. */
import { assert, assertEquals } from "@std/assert";
import { RestoredFrom, type SpareStats } from "@wrenn/proto/agent";
import { TestAgent } from "./lib/agent.ts";
import { leftovers, processesNaming } from "./lib/leftovers.ts";
import { takeSlots } from "./lib/slots.ts";
import { until, untilEmpty } from "./lib/wait.ts";

const SLOTS = "58200-58219";
const COUNT = 2;

async function figures(agent: TestAgent): Promise<SpareStats> {
  const { spares } = await agent.client.getStats({});
  if (!spares) throw new Error("The agent tells nothing of its spare processes");
  return spares;
}

async function untilReady(agent: TestAgent): Promise<void> {
  await until(
    "the processes that wait",
    async () => (await figures(agent)).ready === COUNT || undefined,
  );
}

Deno.test("A sandbox wakes in a process that waited, which a killed agent leaves to the next to clear", async () => {
  using _turn = await takeSlots(SLOTS);
  await using agent = await TestAgent.open({
    templates: ["minimal"],
    slots: SLOTS,
    env: { WRENN_SPARES: String(COUNT) },
  });
  const { id } = await agent.create();
  const wake = async (): Promise<void> => {
    await agent.client.hibernateSandbox({ id });
    assertEquals((await agent.client.resumeSandbox({ id })).restore?.from, RestoredFrom.MEMORY);
    assertEquals((await agent.sh(id, "cat /dev/shm/kept")).stdout, "kept\n");
  };
  await agent.sh(id, "echo kept > /dev/shm/kept");
  await untilReady(agent);
  const waiting = new Set(await processesNaming(agent.runDir));
  const { hits } = await figures(agent);
  await wake();
  assertEquals((await figures(agent)).hits, hits + 1n);
  await agent.client.pauseSandbox({ id });
  await agent.client.resumeSandbox({ id });
  await untilReady(agent);

  // One that is dead is no reason to fail.
  const machines = (await processesNaming(agent.runDir)).filter((pid) => waiting.has(pid));
  assertEquals(
    machines.length,
    COUNT,
    "the sandbox runs in one that waited, beside one that waits",
  );
  await agent.client.hibernateSandbox({ id });
  for (const pid of await processesNaming(agent.runDir)) Deno.kill(pid, "SIGKILL");
  assertEquals((await agent.client.resumeSandbox({ id })).restore?.from, RestoredFrom.MEMORY);
  assertEquals((await agent.sh(id, "cat /dev/shm/kept")).stdout, "kept\n");

  await untilReady(agent);
  const before = await processesNaming(agent.runDir);
  assertEquals(before.length, 1 + COUNT);
  await agent.end("SIGKILL");
  await agent.start();
  const after = await processesNaming(agent.runDir);
  assertEquals(after.length, 1, "the sandbox's alone");
  assert(after.every((pid) => before.includes(pid)));
  assertEquals((await agent.sh(id, "cat /dev/shm/kept")).stdout, "kept\n");
  await wake();
  await untilReady(agent);

  await agent.destroy(id);
  await agent.end("SIGTERM");
  await untilEmpty("something of a process that waited", () => leftovers(agent));
});
