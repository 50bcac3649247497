import { delay, hasCode } from "@wrenn/common";
import { assert, assertEquals, assertRejects } from "@std/assert";
import { planSlot } from "../core/slot_plan.ts";
import { NetnsSlots } from "./netns_slots.ts";
import type { NetworkPolicy, Slot } from "./slots.ts";
import { HOST_UPLINK, Lab, PORT, PUBLIC } from "./testing/lab.ts";
import { pattern, sha256 } from "./testing/net_peer.ts";
import { sweeping } from "./testing/sweeping.ts";

const OPEN: NetworkPolicy = { internet: true, allowOut: [], denyOut: [] };
const CLOSED: NetworkPolicy = { internet: false, allowOut: [], denyOut: [] };
const BULK = 16 * 1024 * 1024;

/** Namespaces and veths of slots from 40000 to 40099 on a host of the lab, and its tables. */
async function left(lab: Lab): Promise<string[]> {
  const text = await lab.shell(
    "host",
    `ls /run/netns | grep -E '^ns-400[0-9][0-9]$' || true
    ls /proc/sys/net/ipv4/conf | grep -E '^veth-' || true
    nft list tables`,
  );
  return text.split("\n").filter((line) => line !== "");
}

const namesOf = ({ namespace, hostVeth }: Slot): string[] => [namespace, hostVeth];

Deno.test("Slots of a killed agent are taken over, and their connections go on", async () => {
  await using lab = new Lab("wt40001");
  await lab.world();
  const range = { first: 40001, last: 40009 };
  await using _ = sweeping(lab, range);
  const table = "table inet wrenn-40001";
  const before = await left(lab);
  const holder = await lab.holder("host", [range.first, range.last, 3, 2]);
  const [index = 0, spare = 0] = holder.claimed;
  const planned = planSlot(index);
  await lab.guest("a", planned);
  const answers = { outward: `inet ${HOST_UPLINK}`, inward: `a ${planned.vethHostIp}` };
  const [outward, inward] = [lab.talk("a", PUBLIC), lab.talk("host", planned.hostIp)];
  const talk = async () => ({ outward: await outward("who"), inward: await inward("who") });
  assertEquals(await talk(), answers);
  await delay(150);
  assert((await left(lab)).length > 5, "a pool was being filled");
  await holder.kill();

  const run = lab.runIn("host");
  const keep = new Set([index, spare, 50_000]);
  const next = new NetnsSlots({ range, run });
  await next.start({ keep });
  assertEquals(
    (await left(lab)).toSorted(),
    [
      ...namesOf(planned),
      ...namesOf(planSlot(spare)),
      table,
    ].toSorted(),
  );
  assertEquals(await talk(), answers);
  const slot = await next.adopt(index);
  assertEquals(slot, planned);
  assertEquals([next.inUse(), next.figures().kept], [1, 1]);
  for (const wrong of [index, 40009, 50_000]) {
    assert(hasCode(await assertRejects(() => next.adopt(wrong)), "not_found"));
  }
  const others = [await next.claim(), await next.claim()];
  assert(others.every((other) => other.index !== index && other.index !== spare));
  for (const other of others) await next.release(other);

  // Which policy is in force is not known: the first one is written in any case, the second is the same.
  await next.applyPolicy(slot, OPEN);
  await next.applyPolicy(slot, OPEN);
  const { policies, policiesUnchanged } = next.figures();
  assertEquals([policies.count, policiesUnchanged], [1, 1]);
  assertEquals(await talk(), answers);
  await next.applyPolicy(slot, CLOSED);
  assertEquals(await talk(), { ...answers, outward: "silence" });
  await next.applyPolicy(slot, OPEN);

  // Another start, and another, under a conversation and a transfer.
  const again = lab.talk("a", PUBLIC);
  assertEquals(await again("who"), answers.outward);
  let transferred = false;
  const get = { kind: "tcp", host: PUBLIC, port: PORT, line: `get ${BULK}` } as const;
  const transfer = lab.probe("a", [get]).finally(() => transferred = true);
  let starts = 0;
  while (!transferred || starts < 10) {
    await new NetnsSlots({ range, run }).start({ keep });
    starts++;
    assertEquals([await again("who"), await inward("who")], [answers.outward, answers.inward]);
  }
  assertEquals(await transfer, [await sha256(pattern(BULK))]);

  // A stop that lets sandboxes go on lets them be protected, too.
  await next.stop({ keep: new Set([index]) });
  assertEquals(await again("who"), answers.outward);
  assert((await left(lab)).includes(table));
  const last = new NetnsSlots({ range, run });
  await last.start();
  assertEquals(await left(lab), [table]);
  await last.stop();
  assertEquals(await left(lab), before);
});

Deno.test("The host's table protects at every moment of a start", async () => {
  await using lab = new Lab("wt40011");
  await lab.world();
  const range = { first: 40011, last: 40019 };
  await using _ = sweeping(lab, range);
  const run = lab.runIn("host");
  const slots = new NetnsSlots({ range, run });
  await slots.start();
  const slot = await slots.claim();
  // The host alone holds: the flood comes from a namespace without rules.
  await lab.shell("host", `nsenter --net=/run/netns/${slot.namespace} nft flush ruleset`);
  const forbidden = "10.99.0.1";
  const counter = `table inet seen {
    chain arrivals { type filter hook prerouting priority raw; policy accept; ip daddr ${forbidden} counter; }
  }`.replaceAll(";", "\n");
  await lab.runIn("inet")(["nft", "-f", "-"], { stdin: counter });
  const seen = async (): Promise<number> =>
    Number(/packets ([0-9]+)/.exec(await lab.shell("inet", "nft list table inet seen"))?.[1]);
  const stop = await lab.flood(slot.namespace, forbidden);
  for (let i = 0; i < 20; i++) {
    await new NetnsSlots({ range, run }).start({ keep: new Set([slot.index]) });
  }
  assertEquals(await seen(), 0);
  // The flood is one that arrives where no table stops it.
  await lab.shell("host", "nft delete table inet wrenn-40011");
  await delay(100);
  assert(await seen() > 1000, `${await seen()} packets`);
  await stop();
  await slots.stop();
});

/** Ways to break a slot, as commands on the host; `inside` enters its namespace. */
const DAMAGES: Readonly<Record<string, (slot: Slot, inside: string) => string>> = {
  "its namespace": (slot) => `ip netns del ${slot.namespace}`,
  "its namespace's file": (slot) => `umount /run/netns/${slot.namespace}`,
  "its veth": (slot) => `ip link del ${slot.hostVeth}`,
  "its veth is down": (slot) => `ip link set ${slot.hostVeth} down`,
  "the veth's address": (slot) => `ip addr flush dev ${slot.hostVeth}`,
  "the host's route": (slot) => `ip route del ${slot.hostIp}`,
  "the host's neighbour": (slot) => `ip neigh del ${slot.vethGuestIp} dev ${slot.hostVeth}`,
  "its TAP": (_, inside) => `${inside} ip link del tap0`,
  "its TAP is another device": (slot, inside) =>
    `${inside} sh -ec 'ip link del tap0; ip link add tap0 address 02:fc:00:00:00:06 type veth
      ip link set tap0 up; ip addr add ${slot.gatewayIp}/30 dev tap0
      ip neigh replace ${slot.guestIp} lladdr ${slot.guestMac} dev tap0 nud permanent'`,
  "the gateway's address": (_, inside) => `${inside} ip addr flush dev tap0`,
  "the default route": (_, inside) => `${inside} ip route del default`,
  "the guest's neighbour": (slot, inside) => `${inside} ip neigh del ${slot.guestIp} dev tap0`,
  "forwarding": (_, inside) => `${inside} sh -c 'echo 0 > /proc/sys/net/ipv4/ip_forward'`,
  "what conntrack picks up": (_, inside) =>
    `${inside} sh -c 'echo 1 > /proc/sys/net/netfilter/nf_conntrack_tcp_loose'`,
  "its tables": (_, inside) => `${inside} nft flush ruleset`,
  "its ARP table": (_, inside) => `${inside} nft delete table arp wrenn`,
  "one rule": (_, inside) => `${inside} nft insert rule inet wrenn egress accept`,
  "a closed network": (_, inside) =>
    `${inside} nft delete element inet wrenn closed '{ 10.0.0.0/8 }'`,
  "a table too much": (_, inside) => `${inside} nft add table inet other`,
};

Deno.test("A slot of which something is missing is not taken over but removed", async () => {
  await using lab = new Lab("wt40021");
  await lab.namespace("host");
  const run = lab.runIn("host");
  const range = { first: 40021, last: 40049 };
  await using _ = sweeping(lab, range);
  const old = new NetnsSlots({ range, run });
  await old.start();
  const whole = await old.claim();
  await old.applyPolicy(whole, {
    ...OPEN,
    denyOut: ["8.8.8.0/24", "1.1.1.1"],
    allowOut: ["8.8.8.8"],
  });
  const broken = new Map<Slot, string>();
  for (const [what, damage] of Object.entries(DAMAGES)) {
    const slot = await old.claim();
    await lab.shell("host", damage(slot, `nsenter --net=/run/netns/${slot.namespace}`));
    broken.set(slot, what);
  }

  const next = new NetnsSlots({ range, run });
  await next.start({ keep: new Set([whole, ...broken.keys()].map(({ index }) => index)) });
  assertEquals(next.figures().kept, broken.size + 1);
  for (const [slot, what] of broken) {
    const error: unknown = await next.adopt(slot.index).then(() => undefined, (error) => error);
    assert(hasCode(error, "internal"), what);
    assert(!/[0-9]{5}|ns-/.test(error.message), "a message for callers");
  }
  assertEquals((await next.adopt(whole.index)).index, whole.index);
  assertEquals([next.inUse(), next.figures().kept, next.figures().lost], [1, 0, 0]);
  assertEquals(await left(lab), [...namesOf(whole), "table inet wrenn-40021"]);
  await next.stop();
  assertEquals(await left(lab), []);
});
