import { delay, hasCode, type RunCommand } from "@wrenn/common";
import { assert, assertEquals, assertRejects } from "@std/assert";
import { NetnsSlots } from "./netns_slots.ts";
import type { NetworkPolicy } from "./slots.ts";
import { HOST_UPLINK, Lab, PUBLIC } from "./testing/lab.ts";
import { sweeping } from "./testing/sweeping.ts";

const OPEN: NetworkPolicy = { internet: true, allowOut: [], denyOut: [] };

/** Namespaces and veths of the slots 40050 to 40099, and the tables of a host. */
async function left(lab: Lab): Promise<string[]> {
  const text = await lab.shell(
    "host",
    `ls /run/netns /sys/class/net | grep -E '^ns-400[5-9]' || true
    ls /proc/sys/net/ipv4/conf | grep -E '^veth-' || true
    nft list tables`,
  );
  return text.split("\n").filter((line) => line !== "");
}

async function until(what: string, done: () => boolean | Promise<boolean>): Promise<void> {
  for (let i = 0; i < 600; i++) {
    if (await done()) return;
    await delay(10);
  }
  throw new Error(`Waited too long for ${what}`);
}

Deno.test("Ready slots: claims take them at once, each is closed and clean, and the pool refills behind", async () => {
  await using lab = new Lab("wt40051");
  await lab.world();
  const range = { first: 40051, last: 40060 };
  await using _ = sweeping(lab, range);
  let running = 0;
  let most = 0;
  const run: RunCommand = async (argv, options) => {
    const builds = options?.stdin?.includes("netns add") ? 1 : 0;
    most = Math.max(most, running += builds);
    try {
      return await lab.runIn("host")(argv, options);
    } finally {
      running -= builds;
    }
  };
  const slots = new NetnsSlots({ range, run, ready: 3 });
  await slots.start();
  try {
    await until("a full pool", () => slots.ready() === 3);
    assertEquals([slots.inUse(), most], [0, 1]);

    const began = performance.now();
    const claimed = [await slots.claim(), await slots.claim(), await slots.claim()];
    const tookMs = performance.now() - began;
    // Building one takes longer than that.
    assert(tookMs < 10, `three claims took ${tookMs} ms`);
    assertEquals(claimed.map(({ index }) => index), [40051, 40052, 40053]);
    assertEquals([slots.inUse(), slots.ready()], [3, 0]);
    // With the pool empty a claim builds its own.
    const fourth = await slots.claim();
    assertEquals(fourth.index, 40054);
    await until("a full pool", () => slots.ready() === 3);

    const [a] = claimed;
    assert(a);
    await lab.guest("a", a);
    assertEquals(await lab.reach("a", [PUBLIC]), { [PUBLIC]: null }, "closed before a policy");
    assertEquals(await lab.reach("host", [a.hostIp]), { [a.hostIp]: `a ${a.vethHostIp}` });
    await slots.applyPolicy(a, OPEN);
    assertEquals(await lab.reach("a", [PUBLIC]), { [PUBLIC]: `inet ${HOST_UPLINK}` });

    // A released slot is destroyed: its index comes back last, in a new namespace.
    const inode = async (): Promise<number | null> =>
      (await Deno.stat(`/run/netns/${a.namespace}`)).ino;
    const before = await inode();
    await slots.release(a);
    await assertRejects(inode, Deno.errors.NotFound);
    const rest = await Promise.all(Array.from({ length: 7 }, () => slots.claim()));
    assertEquals(slots.inUse(), 10);
    assert(hasCode(await assertRejects(() => slots.claim()), "capacity_exhausted"));
    assertEquals(rest.filter(({ index }) => index === a.index).length, 1);
    assert(await inode() !== before);

    const figures = slots.figures();
    assertEquals(figures.claimsReady + figures.claimsBuilt, 11);
    assertEquals([figures.claimed, figures.ready, figures.lost, figures.kept], [10, 0, 0, 0]);
    assertEquals([figures.builds.count, figures.removals.count], [11, 1]);
    assertEquals([figures.policies.count, figures.policiesUnchanged], [1, 0]);
    assert(figures.builds.totalMs > 11 && figures.removals.totalMs > 1);
  } finally {
    await slots.stop();
  }
  assertEquals(await left(lab), []);
  assert(hasCode(await assertRejects(() => slots.claim()), "unavailable"));
});

Deno.test("Slots: a claim waits for one that is being removed when none is free", async () => {
  await using lab = new Lab("wt40062");
  await lab.namespace("host");
  const range = { first: 40062, last: 40062 };
  await using _ = sweeping(lab, range);
  const slots = new NetnsSlots({ range, run: lab.runIn("host"), ready: 0 });
  await slots.start();
  const first = await slots.claim();
  const removed = slots.release(first);
  const second = await slots.claim();
  assertEquals([second.index, second === first], [40062, false]);
  await removed;
  assert(hasCode(await assertRejects(() => slots.claim()), "capacity_exhausted"));
  await slots.stop();
  assertEquals(await left(lab), []);
});

Deno.test("Ready slots: a claim waits for the last index when it is on its way into the pool", async () => {
  await using lab = new Lab("wt40061");
  await lab.namespace("host");
  const range = { first: 40061, last: 40061 };
  await using _ = sweeping(lab, range);
  const building = Promise.withResolvers<void>();
  const run: RunCommand = async (argv, options) => {
    if (options?.stdin?.includes("netns add")) building.resolve();
    return await lab.runIn("host")(argv, options);
  };
  const slots = new NetnsSlots({ range, run, ready: 1 });
  await slots.start();
  await building.promise;
  assertEquals((await slots.claim()).index, 40061);
  await slots.stop();
  assertEquals(await left(lab), []);
});

Deno.test("Ready slots: builds that fail pause and leave nothing; stop ends a build on its way", async () => {
  await using lab = new Lab("wt40063");
  await lab.namespace("host");
  const range = { first: 40063, last: 40069 };
  await using _ = sweeping(lab, range);
  let breaking = true;
  const run: RunCommand = (argv, options) =>
    lab.runIn("host")(
      argv,
      breaking && options?.stdin?.includes("netns add")
        ? { ...options, stdin: options.stdin.replace("route add 10.11", "route add nonsense") }
        : options,
    );
  const slots = new NetnsSlots({ range, run, ready: 2 });
  await slots.start();
  await until("a failure", () => slots.figures().buildFailures > 0);
  await delay(300);
  assertEquals([slots.figures().buildFailures, slots.ready()], [1, 0]);
  assertEquals(await left(lab), ["table inet wrenn-40063"]);
  breaking = false;
  await until("a full pool", () => slots.ready() === 2);
  await slots.claim();
  await delay(60);
  await slots.stop();
  assertEquals(await left(lab), []);
});

Deno.test("applyPolicy() writes once, and again after a failure", async () => {
  await using lab = new Lab("wt40071");
  await lab.namespace("host");
  const range = { first: 40071, last: 40072 };
  await using _ = sweeping(lab, range);
  const slots = new NetnsSlots({ range, run: lab.runIn("host") });
  await slots.start();
  try {
    const slot = await slots.claim();
    const sets = (): Promise<string> =>
      lab.shell(
        "host",
        `nsenter --net=/run/netns/${slot.namespace} nft list ruleset | grep -A3 -E 'set (allow|deny|open)' | grep elements || true`,
      );
    const policy = { internet: true, allowOut: ["203.0.113.7"], denyOut: ["203.0.113.0/24"] };
    // A fresh slot has the closed policy already.
    await slots.applyPolicy(slot, { internet: false, allowOut: [], denyOut: [] });
    await slots.applyPolicy(slot, policy);
    assertEquals((await sets()).match(/{.*}/g), [
      "{ 203.0.113.7 }",
      "{ 203.0.113.0/24 }",
      "{ 0.0.0.0/0 }",
    ]);
    const began = performance.now();
    for (let i = 0; i < 100; i++) await slots.applyPolicy(slot, structuredClone(policy));
    const eachMs = (performance.now() - began) / 100;
    assert(eachMs < 0.1, `${eachMs} ms`);
    const { policies, policiesUnchanged } = slots.figures();
    assertEquals([policies.count, policiesUnchanged], [1, 101]);

    // Lists that the caller changes afterwards change nothing.
    const mine = { internet: true, allowOut: ["8.8.8.8"], denyOut: [] as string[] };
    await slots.applyPolicy(slot, mine);
    mine.allowOut.push("9.9.9.9");
    await slots.applyPolicy(slot, mine);
    assertEquals((await sets()).match(/{.*}/)?.[0], "{ 8.8.8.8, 9.9.9.9 }");

    // Writes that come together are in force one after the other, and the last one stays.
    const last = { ...policy, allowOut: ["9.9.9.9"] };
    await Promise.all([policy, OPEN, mine, last].map((p) => slots.applyPolicy(slot, p)));
    assertEquals((await sets()).match(/{.*}/)?.[0], "{ 9.9.9.9 }");
    const [early, late] = [slots.applyPolicy(slot, OPEN), slots.applyPolicy(slot, mine)];
    await early;
    await slots.applyPolicy(slot, OPEN);
    await late;
    assertEquals((await sets()).match(/{.*}/)?.[0], "{ 0.0.0.0/0 }");
    const before = slots.figures().policies.count;
    await slots.applyPolicy(slot, OPEN);
    assertEquals([before, slots.figures().policies.count], [10, 10]);

    const inside = (command: string): Promise<string> =>
      lab.shell("host", `nsenter --net=/run/netns/${slot.namespace} nft '${command}'`);
    await inside("flush chain inet wrenn egress; delete set inet wrenn open_out");
    const failure = await assertRejects(() => slots.applyPolicy(slot, mine));
    assert(hasCode(failure, "internal"));
    await inside("add set inet wrenn open_out { type ipv4_addr; flags interval; }");
    await slots.applyPolicy(slot, OPEN);
    assertEquals(slots.figures().policies.count, 11, "it is not known what is in force");
  } finally {
    await slots.stop();
  }
});

Deno.test("A killed agent that was filling its pool leaves nothing that the next start does not remove", async () => {
  await using lab = new Lab("wt40081");
  await lab.namespace("host");
  const before = await left(lab);
  const range = { first: 40081, last: 40099 };
  await using _ = sweeping(lab, range);
  for (const afterMs of [0, 55, 62, 70, 90, 130]) {
    const { kill, claimed } = await lab.holder("host", [range.first, range.last, 8, 1]);
    assertEquals(claimed.length, 1);
    await delay(afterMs);
    await kill();
    const next = new NetnsSlots({ range, run: lab.runIn("host") });
    await next.start();
    assertEquals(await left(lab), ["table inet wrenn-40081"], `killed after ${afterMs} ms`);
    await next.stop();
    assertEquals(await left(lab), before);
  }
});

Deno.test("A start waits for the builder of a killed agent, which would make a slot after the sweep", async () => {
  await using lab = new Lab("wt40091");
  await lab.namespace("host");
  const range = { first: 40091, last: 40099 };
  await using _ = sweeping(lab, range);
  const { kill } = await lab.holder("host", [range.first, range.last, 8, 0, 0.7]);
  await delay(150);
  await kill();
  assertEquals(await left(lab), ["table inet wrenn-40091"], "the builder has not begun");
  const next = new NetnsSlots({ range, run: lab.runIn("host") });
  await next.start();
  assertEquals(await left(lab), ["table inet wrenn-40091"]);
  await delay(1000);
  assertEquals(await left(lab), ["table inet wrenn-40091"]);
  await next.stop();
});
