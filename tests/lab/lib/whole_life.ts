/** The life of sandboxes on a host with KVM and device-mapper, seen from outside. Nobody else has anything on it. */
import { assert, assertEquals } from "@std/assert";
import { join } from "node:path";
import { create } from "@bufbuild/protobuf";
import { newExecutionId, newSandboxId } from "@wrenn/common";
import { RestoredFrom, type WriteFileRequest, WriteFileRequestSchema } from "@wrenn/proto/agent";
import { hostState, leaked } from "../../../tasks/lib/leaks.ts";
import { TestAgent } from "../../host/lib/agent.ts";
import { leftovers, processesNaming } from "../../host/lib/leftovers.ts";
import { untilEmpty } from "../../host/lib/wait.ts";
import { groupOf } from "../../../agent/vmm/cgroup.ts";
import { mountPointAsItIs } from "../../../agent/vmm/firecracker/testing/mount_point.ts";

const SLOTS = "58300-58319";

/**
 * Sandboxes of an agent are made, used, put to sleep, woken, copied and destroyed, and the agent is killed meanwhile.
 *
 * @param env What chooses the VMM.
 */
export async function wholeLife(env: Readonly<Record<string, string>>): Promise<void> {
  const before = await hostState();
  const removeMountPoint = await mountPointAsItIs();
  {
    await using agent = await TestAgent.open({
      templates: ["minimal"],
      slots: SLOTS,
      env: {
        WRENN_ACCEL: "kvm",
        WRENN_ROOTFS: "dm",
        // A first boot, typical commands and a snapshot: a virtual machine in an emulated one takes its time.
        WRENN_GUEST_TIMEOUT_SEC: "900",
        ...env,
      },
    });
    const id = await step("create", async () => (await agent.create()).id);
    await step("exec and files", () => worksIn(agent, id));
    await step("pause and resume", async () => {
      await agent.client.pauseSandbox({ id });
      await agent.client.resumeSandbox({ id });
      await goesOn(agent, id);
    });
    await step("hibernate and wake", async () => {
      await agent.client.hibernateSandbox({ id });
      assertEquals(await processesNaming(agent.runDir), []);
      const { restore } = await agent.client.resumeSandbox({ id });
      assertEquals(restore?.from, RestoredFrom.MEMORY, restore?.reason);
      await goesOn(agent, id);
    });
    const children = Array.from(
      { length: 4 },
      () => ({ id: newSandboxId(), executionId: newExecutionId() }),
    );
    await step("fork", async () => {
      await agent.client.forkSandbox({ id, children });
      for (const child of [{ id }, ...children]) await goesOn(agent, child.id);
    });
    const [paused = "", asleep = "", forgotten = "", gone = ""] = children.map((c) => c.id);
    await step("kill -9 of the agent, and a new one", async () => {
      await agent.destroy(gone);
      await agent.client.pauseSandbox({ id: paused });
      await agent.client.hibernateSandbox({ id: asleep });
      await keepsAndCleans(agent, forgotten);
      await agent.client.resumeSandbox({ id: paused });
      const { restore } = await agent.client.resumeSandbox({ id: asleep });
      assertEquals(restore?.from, RestoredFrom.MEMORY, restore?.reason);
      for (const each of [id, paused, asleep]) await goesOn(agent, each);
    });
    await step("destroy", async () => {
      for (const each of [id, paused, asleep]) await agent.destroy(each);
      const idle = [
        `nft table: table inet wrenn-${agent.slots.first}`,
        `socket: ${agent.socket}`,
        // Of all its machines; each has its own below it.
        `cgroup: /sys/fs/cgroup/${groupOf(agent.runDir)}`,
      ];
      await untilEmpty(
        "something of a sandbox",
        async () => (await leftovers(agent)).filter((thing) => !idle.includes(thing)),
      );
    });
  }
  await removeMountPoint();
  // `ip netns` mounts it once for all on a host.
  const once = "mount: /run/netns";
  await untilEmpty(
    "a leak",
    async () => leaked(before, await hostState()).filter((thing) => thing !== once),
  );
}

/** Commands, files in and out, and a process, a file in memory and one on the disk for {@linkcode goesOn}. */
async function worksIn(agent: TestAgent, id: string): Promise<void> {
  const start = "echo kept > /dev/shm/kept; echo kept > /root/kept; sync; " +
    "sleep 100000 >/dev/null 2>&1 & echo $! > /dev/shm/pid";
  assertEquals((await agent.sh(id, start)).exitCode, 0);
  await goesOn(agent, id);
  assertEquals(await agent.sh(id, "echo out; echo err >&2; exit 3"), {
    stdout: "out\n",
    stderr: "err\n",
    exitCode: 3,
  });
  const bytes = crypto.getRandomValues(new Uint8Array(60_000));
  async function* upload(): AsyncGenerator<WriteFileRequest> {
    const start = { id, path: "/root/bytes" };
    yield create(WriteFileRequestSchema, { event: { case: "start", value: start } });
    yield create(WriteFileRequestSchema, { event: { case: "data", value: bytes } });
  }
  assertEquals((await agent.client.writeFile(upload())).size, BigInt(bytes.length));
  const back: Uint8Array[] = [];
  for await (const { data } of agent.client.readFile({ file: { id, path: "/root/bytes" } })) {
    back.push(data);
  }
  assertEquals(await new Blob(back as BlobPart[]).bytes(), bytes);
}

/** The sandbox bears its own name, and has the process and the files of its origin. */
async function goesOn(agent: TestAgent, id: string): Promise<void> {
  const asked = "hostname; cat /dev/shm/kept /root/kept; cat /proc/$(cat /dev/shm/pid)/comm";
  const { stdout, stderr } = await agent.sh(id, asked);
  assertEquals(stdout, `${id}\nkept\nkept\nsleep\n`, stderr);
}

/** Kills the agent, makes it forget a sandbox, and starts it: that one is cleaned away, and the others are as they were. */
async function keepsAndCleans(agent: TestAgent, forgotten: string): Promise<void> {
  const machines = await processesNaming(agent.runDir);
  const had = await onHost(agent);
  await agent.end("SIGKILL");
  assertEquals(await onHost(agent), had, "all of it outlives the agent");
  await Deno.remove(join(agent.dataDir, "records", `${forgotten}.json`));
  await agent.start();
  const now = await onHost(agent);
  assertEquals(now.filter((thing) => !had.includes(thing)), []);
  const went = had.filter((thing) => !now.includes(thing));
  const count = (kind: string): number => went.filter((thing) => thing.startsWith(kind)).length;
  assertEquals([count("namespace: "), count("link: ")], [1, 1], went.join("\n"));
  // Its disk's, and those of layers that no other disk has.
  assert(count("device: ") >= 1 && count("loop: ") >= 1, went.join("\n"));
  const kept = await processesNaming(agent.runDir);
  assertEquals(machines.filter((pid) => !kept.includes(pid)).length, 1);
  assertEquals(kept.filter((pid) => !machines.includes(pid)), []);
}

/** Devices, namespaces, links, loops, run folders and disks: what has no number that differs from start to start. */
async function onHost(agent: TestAgent): Promise<string[]> {
  const ours = (thing: string): boolean =>
    /^(?:device|namespace|link|loop|cgroup): /.test(thing) || thing.startsWith("/");
  const things = [...await hostState(), ...await leftovers(agent)].filter(ours);
  return [...new Set(things)].sort();
}

/** Says how long a step took: the lab's figures. */
async function step<T>(name: string, work: () => Promise<T>): Promise<T> {
  const began = performance.now();
  try {
    return await work();
  } catch (cause) {
    throw new Error(`In the step '${name}'`, { cause });
  } finally {
    const seconds = ((performance.now() - began) / 1000).toFixed(1);
    await Deno.stdout.write(new TextEncoder().encode(`${name}: ${seconds} s\n`));
  }
}
