/** What runs in a sandbox goes on through pause, hibernate, a restart of the agent, and fork; copies differ. */
import { assert, assertEquals, assertNotEquals } from "@std/assert";
import { join } from "node:path";
import { delay, newExecutionId, newSandboxId, newSnapshotId } from "@wrenn/common";
import { RestoredFrom } from "@wrenn/proto/agent";
import { planSlot } from "../../agent/core/slot_plan.ts";
import { HostSecret } from "../../agent/sandbox/host_secret.ts";
import { TestAgent } from "./lib/agent.ts";
import { takeSlots } from "./lib/slots.ts";
import { until } from "./lib/wait.ts";

const SLOTS = "58160-58199";
/** Wakes and copies come by processes that waited, and when there are none, by new ones. */
const SPARES = { env: { WRENN_SPARES: "2" } };
const CLOCK_LIMIT_MS = 100;
const DRIFT_LIMIT = 500e-6;

/** Counts the connections that it gets, in memory, and says which process it is. */
const SERVER = `
import os, socket
listener = socket.create_server(("127.0.0.1", 7777))
count = 0
while True:
    connection, _ = listener.accept()
    count += 1
    connection.sendall(f"{count} {os.environ['KEPT']} {os.getpid()}".encode())
    connection.close()
`;
const ASK = `python3 -c 'import socket
print(socket.create_connection(("127.0.0.1", 7777)).recv(99).decode())'; cat /dev/shm/kept`;

Deno.test("A process, its port, tmpfs, environment and counter survive pause, hibernate, restart and fork", async () => {
  using _turn = await takeSlots(SLOTS);
  await using agent = await TestAgent.open({ templates: ["base"], slots: SLOTS, ...SPARES });
  const { id } = await agent.create();
  const start = `cat > /tmp/server.py <<'END'${SERVER}END
echo kept > /dev/shm/kept
KEPT=kept nohup python3 /tmp/server.py >/tmp/server.log 2>&1 &`;
  assertEquals((await agent.sh(id, start)).exitCode, 0);
  const first = await until("the server", async () => {
    const { stdout, exitCode } = await agent.sh(id, `${ASK} 2>/dev/null`);
    return exitCode === 0 && stdout.startsWith("1 ") ? stdout : undefined;
  });
  const pid = first.split(/\s/)[2];
  let asked = 1;
  const goesOn = async (sandbox: string, count: number): Promise<void> => {
    assertEquals((await agent.sh(sandbox, ASK)).stdout, `${count} kept ${pid}\nkept\n`);
  };

  await agent.client.pauseSandbox({ id });
  await agent.client.resumeSandbox({ id });
  await goesOn(id, ++asked);

  await agent.client.hibernateSandbox({ id });
  const woken = await agent.client.resumeSandbox({ id });
  assertEquals(woken.restore?.from, RestoredFrom.MEMORY);
  await goesOn(id, ++asked);

  await agent.client.hibernateSandbox({ id });
  await agent.end("SIGTERM");
  await agent.start();
  assertEquals(
    (await agent.client.resumeSandbox({ id })).restore?.from,
    RestoredFrom.MEMORY,
  );
  await goesOn(id, ++asked);

  const children = [1, 2].map(() => ({ id: newSandboxId(), executionId: newExecutionId() }));
  await agent.client.forkSandbox({ id, children });
  for (const sandbox of [id, ...children.map((child) => child.id)]) {
    await goesOn(sandbox, asked + 1);
    await agent.destroy(sandbox);
  }
});

Deno.test("R-20: a hundred steps of pause, hibernate and fork keep what memory and disk hold", async () => {
  using _turn = await takeSlots(SLOTS);
  await using agent = await TestAgent.open({ templates: ["minimal"], slots: SLOTS, ...SPARES });
  const { client } = agent;
  let { id } = await agent.create();
  const fill = "for f in /dev/shm/data ~/data; do head -c 8000000 /dev/urandom > $f; done; " +
    "sha256sum /dev/shm/data ~/data";
  const sums = (await agent.sh(id, fill)).stdout;
  assert(/^[0-9a-f]{64} /.test(sums));
  const check = async (step: number): Promise<void> => {
    const { stdout } = await agent.sh(id, "sha256sum /dev/shm/data ~/data");
    assertEquals(stdout, sums, `after step ${step}`);
  };
  for (let step = 1; step <= 100; step++) {
    if (step % 20 === 0) {
      const child = { id: newSandboxId(), executionId: newExecutionId() };
      await client.forkSandbox({ id, children: [child] });
      await agent.destroy(id);
      id = child.id;
    } else {
      if (step % 5 === 0) await client.hibernateSandbox({ id });
      else await client.pauseSandbox({ id });
      await client.resumeSandbox({ id });
    }
    if (step % 5 === 0) await check(step);
    // Changes between generations, so that each has a diff of its own.
    await agent.sh(id, `head -c 300000 /dev/urandom > /dev/shm/more; cp /dev/shm/more ~/more`);
  }
  await agent.destroy(id);
});

Deno.test("C-1, C-6: a hundred copies differ from each other and change no file of their origin", async () => {
  using _turn = await takeSlots(SLOTS);
  await using agent = await TestAgent.open({ templates: ["minimal"], slots: SLOTS, ...SPARES });
  const { id } = await agent.create();
  const { snapshot } = await agent.client.snapshotSandbox({ id, snapshotId: newSnapshotId() });
  assert(snapshot);
  const origin = join(agent.dataDir, "snapshots", snapshot.id);
  const before = await digests(origin);
  assert(before.length > 4, "The snapshot has no files");
  const seen = new Identities();
  for (let round = 0; round < 10; round++) {
    const children = Array.from(
      { length: 10 },
      () => ({ id: newSandboxId(), executionId: newExecutionId() }),
    );
    const made = await agent.client.forkSandbox({ id, children });
    for (const { report } of made.children) {
      assert(report?.entropyReseeded && report.clockSet);
    }
    await Promise.all(children.map(async (child) => {
      await seen.read(agent, child.id);
      const heavy = "head -c 2000000 /dev/urandom | tee /dev/shm/heavy > ~/heavy; sync";
      assertEquals((await agent.sh(child.id, heavy)).exitCode, 0);
      await agent.destroy(child.id);
    }));
  }
  seen.requireDifferent(100);
  assertEquals(await digests(origin), before);
});

Deno.test("C-1: fifty sandboxes of one golden snapshot differ from each other at their first command", async () => {
  using _turn = await takeSlots(SLOTS);
  await using agent = await TestAgent.open({ templates: ["minimal"], slots: SLOTS, ...SPARES });
  const seen = new Identities();
  for (let i = 0; i < 50; i++) {
    const { id } = await agent.create();
    await seen.read(agent, id);
    await agent.destroy(id);
  }
  seen.requireDifferent(50);
});

Deno.test("C-2: the guest's clock is the host's after a create and after an hour of hibernation", async () => {
  using _turn = await takeSlots(SLOTS);
  await using agent = await TestAgent.open({ templates: ["base"], slots: SLOTS, ...SPARES });
  const { id } = await agent.create();
  await requireClock(agent, id);
  // Memory whose clock stands an hour back is what an hour of hibernation leaves.
  await agent.sh(id, "date -s @$(($(date +%s) - 3600))");
  const { stdout } = await agent.sh(id, "date +%s");
  assert(Number(stdout) < Date.now() / 1000 - 3000, "The clock was not set back");
  await agent.client.hibernateSandbox({ id });
  await agent.client.resumeSandbox({ id });
  await requireClock(agent, id);
});

Deno.test("C-2: the guest's clock drifts by less than 500 ppm", async () => {
  using _turn = await takeSlots(SLOTS);
  await using agent = await TestAgent.open({ templates: ["base"], slots: SLOTS, ...SPARES });
  const { id } = await agent.create();
  await agent.sh(id, "true");
  // Corrections of the clock after the create are over by then.
  await delay(1000);
  const first = await clockOffset(agent, id);
  await delay(30_000);
  const last = await clockOffset(agent, id);
  const elapsed = last.at - first.at;
  const [least, most] = [(last.low - first.high) / elapsed, (last.high - first.low) / elapsed];
  assert(least < DRIFT_LIMIT && most > -DRIFT_LIMIT, `${least * 1e6} to ${most * 1e6} ppm`);
  assert(most - least < 8 * DRIFT_LIMIT, `Measured too coarsely: ${least * 1e6} to ${most * 1e6}`);
});

Deno.test("C-3: the token of the original is none of its copy's", async () => {
  using _turn = await takeSlots(SLOTS);
  await using agent = await TestAgent.open({ templates: ["minimal"], slots: SLOTS, ...SPARES });
  const { id } = await agent.create();
  const machines = async (): Promise<string[]> =>
    (await Array.fromAsync(Deno.readDir(agent.runDir), ({ name }) => name))
      .filter((name) => /^[0-9a-f]{16}$/.test(name));
  const [original = ""] = await machines();
  const child = { id: newSandboxId(), executionId: newExecutionId() };
  const { children } = await agent.client.forkSandbox({ id, children: [child] });
  const copy = (await machines()).find((name) => name !== original) ?? "";
  const secret = await HostSecret.load(agent.dataDir);
  const [theirs, ours] = [secret.token(original), secret.token(copy)];
  assertNotEquals(theirs, ours);
  const address = children[0]?.sandbox?.hostIp ?? "";
  assertNotEquals(address, planSlot(agent.slots.first).hostIp);
  const statusFor = async (token: string): Promise<number> => {
    const url = `http://${address}:49983/files?path=/etc/hostname&username=root`;
    const response = await fetch(url, { headers: { "x-access-token": token } });
    await response.body?.cancel();
    return response.status;
  };
  assertEquals(await statusFor(ours), 200);
  assertEquals(await statusFor(theirs), 401);
});

/** What must differ between sandboxes of one origin. */
class Identities {
  readonly #random = new Set<string>();
  readonly #machines = new Set<string>();
  readonly #names = new Set<string>();

  /** By the first command of a sandbox. */
  async read(agent: TestAgent, id: string): Promise<void> {
    const script = "head -c 16 /dev/urandom | od -An -tx1 | tr -d ' \\n'; echo; " +
      "cat /etc/machine-id; hostname";
    const { stdout } = await agent.sh(id, script);
    const [random = "", machine = "", name = ""] = stdout.split("\n");
    assertEquals([random.length, machine.length, name], [32, 32, id]);
    this.#random.add(random);
    this.#machines.add(machine);
    this.#names.add(name);
  }

  requireDifferent(count: number): void {
    const sizes = [this.#random, this.#machines, this.#names].map(({ size }) => size);
    assertEquals(sizes, [count, count, count]);
  }
}

/** By how many milliseconds the guest is ahead, as bounds that many questions narrow, and when (ms). */
async function clockOffset(
  agent: TestAgent,
  id: string,
): Promise<{ low: number; high: number; at: number }> {
  let [low, high] = [-Infinity, Infinity];
  for (let i = 0; i < 40; i++) {
    const before = performance.timeOrigin + performance.now();
    const { stdout } = await agent.sh(id, "date +%s%N");
    const after = performance.timeOrigin + performance.now();
    const guest = Number(BigInt(stdout) / 1000n) / 1000;
    low = Math.max(low, guest - after);
    high = Math.min(high, guest - before);
  }
  return { low, high, at: performance.now() };
}

/** The guest's time lies between the host's before and after the question, give or take the limit. */
async function requireClock(agent: TestAgent, id: string): Promise<void> {
  const before = Date.now();
  const { stdout } = await agent.sh(id, "date +%s%3N");
  const guest = Number(stdout);
  const after = Date.now();
  assert(guest > before - CLOCK_LIMIT_MS, `${before - guest} ms behind`);
  assert(guest < after + CLOCK_LIMIT_MS, `${guest - after} ms ahead`);
}

/** `sha256sum` of every file in a folder. */
async function digests(folder: string): Promise<string[]> {
  const files = await Array.fromAsync(Deno.readDir(folder), ({ name }) => join(folder, name));
  const { stdout } = await new Deno.Command("sha256sum", { args: files.sort() }).output();
  return new TextDecoder().decode(stdout).trim().split("\n");
}
