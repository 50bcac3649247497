/** the disk fills up while a sandbox is paused, hibernated, copied or woken, earlier or later in it. */
import { assert, assertEquals } from "@std/assert";
import { statfs } from "node:fs/promises";
import { join } from "node:path";
import { delay, fromConnectError, newExecutionId, newSandboxId, runCommand } from "@wrenn/common";
import { RestoredFrom } from "@wrenn/proto/agent";
import { TestAgent } from "./lib/agent.ts";
import { drafts, liveSandboxes, namesIn } from "./lib/leftovers.ts";
import { takeSlots } from "./lib/slots.ts";

const SLOTS = "58200-58219";
const DISK_MB = 2048;
/** What is left for the step, KiB: of state and memory, none, some or all has room. */
const ROOMS_KB = [0, 64, 12 * 1024];
/** Of the filler, KiB, that is written instead of allocated. */
const MARGIN_KB = 1024;
const STEPS = ["create", "pause", "hibernate", "wake", "fork"] as const;
/** Bytes that the sandbox holds in memory and on its disk. */
const HELD = 4_000_000;
const SUMS = "sha256sum /dev/shm/held ~/held";

Deno.test("R-15: a disk that fills up at any step loses nothing, and room again is enough", async (t) => {
  using _turn = await takeSlots(SLOTS);
  await using agent = await TestAgent.open({
    templates: ["minimal"],
    slots: SLOTS,
    diskMb: DISK_MB,
    env: { WRENN_DISK_RESERVE_MB: "0" },
  });
  const { client } = agent;
  const { id } = await agent.create();
  const { id: witness } = await agent.create();
  const fill = `for f in /dev/shm/held ~/held; do head -c ${HELD} /dev/urandom > $f; done; ${SUMS}`;
  const sums = (await agent.sh(id, fill)).stdout;
  const refused = new Map<string, number>();
  for (const step of STEPS) {
    for (const roomKb of ROOMS_KB) {
      await t.step(`${step} with ${roomKb} KiB`, async () => {
        // Something to write: memory and disk differ from the last snapshot.
        await agent.sh(
          id,
          "for f in /dev/shm/more ~/more; do head -c 3000000 /dev/urandom > $f; done",
        );
        if (step === "wake") await client.hibernateSandbox({ id });
        const filler = await leave(agent, roomKb);
        const outcome = await take(agent, id, step).then(
          () => "done",
          (error: unknown) => fromConnectError(error).code,
        );
        assert(["done", "no_space"].includes(outcome), outcome);
        if (outcome === "no_space") refused.set(step, (refused.get(step) ?? 0) + 1);
        assertEquals((await agent.sh(witness, "echo lives")).stdout, "lives\n");
        // A write for which there is no room waits for it.
        const writing = agent.sh(witness, `head -c ${HELD} /dev/urandom > ~/file; sync; ls ~`);
        await delay(300);
        await Deno.remove(filler);
        assertEquals((await writing).stdout, "file\n");
        const { restore } = await client.resumeSandbox({ id });
        assert(restore?.from !== RestoredFrom.DISK, "Its memory is lost");
        assertEquals((await agent.sh(id, SUMS)).stdout, sums);
        await requireNothingElse(agent, [id, witness]);
      });
    }
  }
  // Where nothing fits, what must write fails; a pause writes nothing.
  for (const step of ["create", "hibernate", "fork"]) {
    assert((refused.get(step) ?? 0) > 0, `${step} never met a full disk`);
  }
  for (const step of STEPS) await take(agent, id, step);
  await client.resumeSandbox({ id });
  assertEquals((await agent.sh(id, SUMS)).stdout, sums);
});

/** Takes a step; new sandboxes are ended again. */
async function take(agent: TestAgent, id: string, step: typeof STEPS[number]): Promise<void> {
  const { client } = agent;
  const child = { id: newSandboxId(), executionId: newExecutionId() };
  switch (step) {
    case "create":
      await client.createSandbox({
        ...child,
        spec: { template: "minimal", vcpus: 1, memoryMb: 256 },
      });
      return await agent.destroy(child.id);
    case "pause":
      return void await client.pauseSandbox({ id });
    case "hibernate":
      return void await client.hibernateSandbox({ id });
    case "wake":
      return void await client.resumeSandbox({ id });
    case "fork":
      await client.forkSandbox({ id, children: [child] });
      assertEquals((await agent.sh(child.id, "cat /dev/shm/held | wc -c")).stdout, `${HELD}\n`);
      return await agent.destroy(child.id);
  }
}

/** Takes all of the disk but so much. */
async function leave(agent: TestAgent, roomKb: number): Promise<string> {
  const path = join(agent.dataDir, "filler");
  const bulkKb = Math.floor(await free(agent) - roomKb - MARGIN_KB);
  await runCommand(["fallocate", "-l", `${bulkKb}KiB`, path]);
  using file = await Deno.open(path, { append: true });
  for (let leftKb = await free(agent) - roomKb; leftKb > 0; leftKb = await free(agent) - roomKb) {
    try {
      await file.write(new Uint8Array(1024 * Math.min(leftKb, MARGIN_KB)));
    } catch (error) {
      // Others write, too, and not every block can be had.
      if (Reflect.get(Object(error), "code") !== "ENOSPC") throw error;
      return path;
    }
  }
  return path;
}

/** Free space, KiB. */
async function free({ dataDir }: TestAgent): Promise<number> {
  const { bavail, bsize } = await statfs(dataDir);
  return bavail * bsize / 1024;
}

/** Nothing half made is listed or left. */
async function requireNothingElse(agent: TestAgent, ids: readonly string[]): Promise<void> {
  assertEquals(await liveSandboxes(agent), [...ids].sort());
  assertEquals(await drafts(agent), []);
  const disks = await namesIn(`${agent.dataDir}/sandboxes`);
  assertEquals(disks.length, ids.length, disks.join("\n"));
}
