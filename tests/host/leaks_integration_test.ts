/** Sandboxes come and go on one host agent, with real virtual machines: nothing stays, nothing grows. */
import { assert, assertEquals } from "@std/assert";
import { hostState, leaked } from "../../tasks/lib/leaks.ts";
import { planSlot } from "../../agent/core/slot_plan.ts";
import { qmpArgument } from "../../agent/core/qemu_args.ts";
import { TestAgent } from "./lib/agent.ts";
import { leftovers, processesNaming } from "./lib/leftovers.ts";
import { takeSlots } from "./lib/slots.ts";
import { until, untilEmpty } from "./lib/wait.ts";

const SLOTS = "58120-58139";
/** A process that gives memory back only when it likes to may keep this much. */
const RSS_SLACK_BYTES = 64 * 1024 * 1024;
/** An agent that has no sandbox has its rules and its socket on the host, and nothing else. */
const idle = (agent: TestAgent): string[] =>
  [`nft table: table inet wrenn-${agent.slots.first}`, `socket: ${agent.socket}`].sort();

async function openFiles(pid: number): Promise<number> {
  return (await Array.fromAsync(Deno.readDir(`/proc/${pid}/fd`))).length;
}

async function residentBytes(pid: number): Promise<number> {
  const status = await Deno.readTextFile(`/proc/${pid}/status`);
  return Number(/^VmRSS:\s+(\d+) kB$/m.exec(status)?.[1]) * 1024;
}

/** Waits until the agent has nothing but what an idle one has. */
async function untilIdle(agent: TestAgent): Promise<void> {
  const expected = idle(agent);
  await untilEmpty(
    "something of a sandbox",
    async () => (await leftovers(agent)).filter((thing) => !expected.includes(thing)),
  );
}

Deno.test("Twenty sandboxes in turn and five at once leave nothing, and the agent does not grow", async () => {
  using _turn = await takeSlots(SLOTS);
  const before = await hostState();
  {
    await using agent = await TestAgent.open({ templates: ["minimal"], slots: SLOTS });
    const { pid } = agent.process;
    const cycle = async (text: string): Promise<void> => {
      const { id } = await agent.create();
      assertEquals(await agent.sh(id, `echo ${text}`), {
        stdout: `${text}\n`,
        stderr: "",
        exitCode: 0,
      });
      await agent.destroy(id);
    };
    for (let i = 0; i < 3; i++) await cycle(`warm ${i}`);
    await untilIdle(agent);
    assertEquals(await leftovers(agent), idle(agent));
    const [files, memory] = [await openFiles(pid), await residentBytes(pid)];

    // Two lanes, as two processors allow: a start of one meets an end of the other.
    const lane = async (name: string, turns: number): Promise<void> => {
      for (let i = 0; i < turns; i++) await cycle(`${name} ${i}`);
    };
    await Promise.all([lane("left", 8), lane("right", 9)]);
    const made = await Promise.all(Array.from({ length: 5 }, () => agent.create()));
    assertEquals(new Set(made.map((sandbox) => sandbox.hostIp)).size, 5);
    const names = await Promise.all(made.map(({ id }) => agent.sh(id, "hostname")));
    assertEquals(names.map((ran) => ran.stdout.trim()), made.map(({ id }) => id));
    const present = await leftovers(agent);
    const { dataDir, runDir } = agent;
    const places = [`${dataDir}/sandboxes`, `${dataDir}/records`, runDir];
    for (const kind of ["process: ", "namespace: ", "link: ", ...places]) {
      const found = present.filter((thing) => thing.startsWith(kind)).length;
      assertEquals(found, 5, `The check does not see what it looks for: '${kind}'`);
    }
    await Promise.all(made.map(({ id }) => agent.destroy(id)));

    await untilIdle(agent);
    // Connections of this test to the agent may be pooled: as many as were open at once, not as many as were made.
    await until(
      "the agent to close its files",
      async () => await openFiles(pid) <= files + 4 ? true : undefined,
    );
    const grown = await residentBytes(pid) - memory;
    assert(grown < RSS_SLACK_BYTES, `The agent has grown by ${grown} bytes`);
    assertEquals(agent.process.hasEnded, false);
  }
  // Others work on this machine as well: of what has appeared, only what could be this agent's counts.
  const ours = (thing: string): boolean =>
    /wrenn-(host-|581[23]\d)|(ns|veth)-581[23]\d$/.test(thing);
  await untilEmpty("a leak", async () => leaked(before, await hostState()).filter(ours));
});

Deno.test("Two hundred orphans in the guest leave no zombie", async () => {
  using _turn = await takeSlots(SLOTS);
  await using agent = await TestAgent.open({ templates: ["minimal"], slots: SLOTS });
  const { id } = await agent.create();
  const orphans = "for i in $(seq 200); do (true & exec true) & done; wait";
  assertEquals((await agent.sh(id, orphans)).exitCode, 0);
  // A parent that does not wait: its child is a zombie, which shows that the count sees one.
  const count = "grep -l '^State:.Z' /proc/[0-9]*/status 2>/dev/null | wc -l";
  const seen = await agent.sh(id, `sh -c 'true & exec sleep 3' & sleep 1; ${count}`);
  assert(Number(seen.stdout) >= 1, "The count of zombies sees none");
  await until(
    "the end of every zombie",
    async () => (await agent.sh(id, count)).stdout.trim() === "0" ? true : undefined,
  );
});

Deno.test("The sweep at the start kills no process that only looks like a machine", async () => {
  using _turn = await takeSlots(SLOTS);
  await using agent = await TestAgent.open({ templates: ["minimal"], slots: SLOTS });
  const { id } = await agent.create();
  const machines = await processesNaming(agent.runDir);
  assertEquals(machines.length, 1);
  await agent.end("SIGKILL");
  // Without a record nobody wants the machine back.
  await Deno.remove(`${agent.dataDir}/records/${id}.json`);

  const runDir = `${agent.runDir}/sb-0000beef`;
  // Each names the run folder as a machine does; the first bears a machine's very argument.
  const forged = [
    ["-c", 'exec -a "$0" sleep 600', qmpArgument(runDir)],
    ["-c", 'exec -a "$0" tail -f /dev/null', `qemu-system-x86_64 ${runDir}/qmp.sock`],
    [
      "-c",
      'exec -a "$0" sleep 600',
      `qemu-system-x86_64 -name guest=${id}.0 ${agent.runDir}/${id}`,
    ],
  ].map((args) => new Deno.Command("bash", { args, stdin: "null" }).spawn());
  try {
    const alive = async (): Promise<number[]> => {
      const found = await processesNaming(agent.runDir);
      return forged.map((child) => child.pid).filter((pid) => found.includes(pid));
    };
    await until("the forged processes", async () => (await alive()).length === 3 || undefined);
    await agent.start();
    assertEquals(await alive(), forged.map((child) => child.pid));
    const rest = await processesNaming(agent.runDir);
    assertEquals(rest.filter((pid) => machines.includes(pid)), [], "A machine outlived the sweep");
    assertEquals((await agent.client.listSandboxes({})).sandboxes, []);
    // Its slot is free again.
    const again = await agent.create();
    assertEquals(again.hostIp, planSlot(agent.slots.first).hostIp);
    await agent.destroy(again.id);
  } finally {
    for (const child of forged) {
      child.kill("SIGKILL");
      await child.status;
    }
  }
});
