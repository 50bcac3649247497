/** The agent, or the machine it works on, dies at each step of pause, hibernate, wake and fork. */
import { assert, assertEquals } from "@std/assert";
import { newExecutionId, newSandboxId } from "@wrenn/common";
import { RestoredFrom, SandboxStatus } from "@wrenn/proto/agent";
import type { FaultPoint } from "../../agent/sandbox/fault_point.ts";
import { TestAgent } from "./lib/agent.ts";
import { drafts, leftovers, liveSandboxes } from "./lib/leftovers.ts";
import { takeSlots } from "./lib/slots.ts";
import { until, untilEmpty } from "./lib/wait.ts";

const SLOTS = "58140-58159";
const SETUP = { templates: ["minimal"], slots: SLOTS };
const KEPT = "cat ~/kept; cat /dev/shm/kept 2>/dev/null || echo gone";
type Step = "pause" | "hibernate" | "wake" | "fork";

const CAPTURE: readonly FaultPoint[] = [
  "capture.state",
  "capture.memory",
  "capture.disk",
  "capture.committed",
];
const POINTS: Readonly<Record<Step, readonly FaultPoint[]>> = {
  pause: ["pause.frozen", "pause.stopped"],
  hibernate: [...CAPTURE, "hibernate.recorded", "hibernate.ended"],
  wake: ["wake.restored", "wake.resumed", "wake.recorded"],
  fork: [...CAPTURE, "capture.layer", "capture.switched", "fork.captured", "fork.child"],
};
/** No machine that could be killed is named there. */
const WITHOUT_MACHINE: readonly FaultPoint[] = ["hibernate.ended", "fork.captured", "fork.child"];

async function take(agent: TestAgent, id: string, step: Step): Promise<void> {
  const { client } = agent;
  if (step === "pause") await client.pauseSandbox({ id });
  else if (step === "wake") await client.resumeSandbox({ id });
  else if (step === "hibernate") await client.hibernateSandbox({ id });
  else {
    const children = [1, 2].map(() => ({ id: newSandboxId(), executionId: newExecutionId() }));
    await client.forkSandbox({ id, children });
  }
}

async function made(agent: TestAgent): Promise<string> {
  const { id } = await agent.create();
  await agent.sh(id, "echo kept > ~/kept; echo kept > /dev/shm/kept; sync");
  return id;
}

/** The sandbox runs, whatever it takes; answers what it came back from. */
async function woken(agent: TestAgent, id: string): Promise<RestoredFrom> {
  const { restore } = await agent.client.resumeSandbox({ id });
  return restore?.from ?? RestoredFrom.UNSPECIFIED;
}

async function statusOf(agent: TestAgent, id: string): Promise<SandboxStatus> {
  return (await agent.client.getSandbox({ id })).sandbox?.status ?? SandboxStatus.UNSPECIFIED;
}

/** A state that somebody may find a sandbox in for long. */
async function settled(agent: TestAgent, id: string): Promise<SandboxStatus> {
  const { RUNNING, PAUSED, HIBERNATED, ERROR } = SandboxStatus;
  return await until("a state that lasts", async () => {
    const status = await statusOf(agent, id);
    return [RUNNING, PAUSED, HIBERNATED, ERROR].includes(status) ? status : undefined;
  });
}

/** Nothing half made is listed: every copy is whole, and every draft is gone. */
async function requireWhole(agent: TestAgent, id: string): Promise<void> {
  for (const copy of (await liveSandboxes(agent)).filter((live) => live !== id)) {
    assertEquals((await agent.sh(copy, KEPT)).stdout, "kept\nkept\n");
    await agent.destroy(copy);
  }
  await untilEmpty("a draft", () => drafts(agent));
}

async function requireNothingLeft(agent: TestAgent): Promise<void> {
  const idle = [`nft table: table inet wrenn-${agent.slots.first}`, `socket: ${agent.socket}`];
  await untilEmpty(
    "something of a sandbox",
    async () => (await leftovers(agent)).filter((thing) => !idle.includes(thing)),
  );
}

for (const [step, points] of Object.entries(POINTS) as [Step, readonly FaultPoint[]][]) {
  Deno.test(`R-17: kill -9 of the agent at each point of ${step} loses nothing`, async (t) => {
    using _turn = await takeSlots(SLOTS);
    await using agent = await TestAgent.open(SETUP);
    const id = await made(agent);
    for (const point of points) {
      await t.step(point, async () => {
        await agent.end("SIGKILL");
        await agent.start({ WRENN_FAULT_POINT: `agent:${point}` });
        if (step === "wake") await agent.client.hibernateSandbox({ id });
        const outcome = await take(agent, id, step).then(() => "answered", () => "no answer");
        assertEquals(outcome, "no answer", "The point was not reached");
        await agent.process.end("SIGKILL");
        await agent.start();
        const status = await settled(agent, id).catch(async (cause) => {
          throw new Error(`The sandbox is lost; the log:\n${await agent.process.log()}`, { cause });
        });
        assert(status !== SandboxStatus.ERROR, "The sandbox is lost");
        assert(await woken(agent, id) !== RestoredFrom.DISK, "Its memory is lost");
        assertEquals((await agent.sh(id, KEPT)).stdout, "kept\nkept\n");
        await requireWhole(agent, id);
      });
    }
    await agent.destroy(id);
    await requireNothingLeft(agent);
  });

  Deno.test(`R-17: kill -9 of the machine at each point of ${step} keeps the disk`, async (t) => {
    using _turn = await takeSlots(SLOTS);
    await using agent = await TestAgent.open(SETUP);
    for (const point of points) {
      if (WITHOUT_MACHINE.includes(point)) continue;
      await t.step(point, async () => {
        await agent.end("SIGTERM");
        await agent.start({ WRENN_FAULT_POINT: `vmm:${point}` });
        const id = await made(agent);
        if (step === "wake") await agent.client.hibernateSandbox({ id });
        await take(agent, id, step).catch(() => {});
        if (point === "wake.recorded") {
          // It ran again when it died: an error, as at any other time.
          await until(
            "the error",
            async () => await statusOf(agent, id) === SandboxStatus.ERROR || undefined,
          );
          return;
        }
        await until("its end", async () => {
          const { HIBERNATED, RUNNING, ERROR } = SandboxStatus;
          const status = await statusOf(agent, id);
          assert(status !== ERROR, "The sandbox is lost");
          // A wake whose machine dies goes on from the disk.
          return status === HIBERNATED || (step === "wake" && status === RUNNING) || undefined;
        });
        await woken(agent, id);
        assertEquals((await agent.sh(id, KEPT)).stdout.split("\n")[0], "kept");
        await requireWhole(agent, id);
        await agent.destroy(id);
        await requireNothingLeft(agent);
      });
    }
  });
}
