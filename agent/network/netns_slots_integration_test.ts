import { hasCode } from "@wrenn/common";
import { assert, assertEquals, assertRejects } from "@std/assert";
import { HOST_UPLINK, Lab, PORT, PRIVATE, PUBLIC, PUBLIC_6 } from "./testing/lab.ts";
import { pattern, type Probe, sha256 } from "./testing/net_peer.ts";
import { TAP_MAC } from "../core/slot_plan.ts";
import { NetnsSlots } from "./netns_slots.ts";
import type { NetworkPolicy, Slot } from "./slots.ts";

const OPEN: NetworkPolicy = { internet: true, allowOut: [], denyOut: [] };
const MANY = 8 * 1024 * 1024;

/** Everything of the network that slots touch, as text to compare. */
async function picture(lab: Lab, range: string): Promise<string> {
  return await lab.shell(
    "host",
    `ip netns list | cut -d' ' -f1 | grep -E '${range}' | sort || true
    ip -o link show | cut -d' ' -f2- | sed 's/@.*//' ; ip -4 addr show; ip -4 route show table all; ip neigh show nud permanent
    nft list ruleset`,
  );
}

Deno.test("NetnsSlots: a guest reaches the internet as the host, and nothing else", async () => {
  await using lab = new Lab("wt63000");
  await lab.world();
  const slots = new NetnsSlots({ range: { first: 63000, last: 63009 }, run: lab.runIn("host") });
  await slots.start();
  try {
    const [a, b] = [await slots.claim(), await slots.claim()];
    await lab.guest("a", a);
    await lab.guest("b", b);

    // The servers answer the host, so silence towards the guest is the rules' doing.
    const fromHost = await lab.reach("host", [...PRIVATE, PUBLIC, PUBLIC_6, a.hostIp, b.hostIp]);
    for (const [host, text] of Object.entries(fromHost)) assert(text !== null, host);
    assertEquals(fromHost[a.hostIp], `a ${a.vethHostIp}`);
    assertEquals(fromHost[b.hostIp], `b ${b.vethHostIp}`);

    assertEquals(await lab.reach("a", [PUBLIC]), { [PUBLIC]: null }, "closed before a policy");
    await slots.applyPolicy(a, { ...OPEN, allowOut: ["0.0.0.0/0"] });
    await slots.applyPolicy(b, OPEN);
    assertEquals(await lab.reach("a", [PUBLIC]), { [PUBLIC]: `inet ${HOST_UPLINK}` });

    const forbidden = [
      ...PRIVATE,
      ...[HOST_UPLINK, a.vethHostIp, a.vethGuestIp, a.hostIp, a.gatewayIp],
      ...[b.hostIp, b.vethHostIp, b.vethGuestIp],
      ...[PUBLIC_6, "2001:db8:1::2"],
    ];
    const silence = Object.fromEntries(forbidden.map((host) => [host, null]));
    assertEquals(await lab.reach("a", forbidden), silence);
    // The host's rules hold alone, when a namespace lets everything through; and a namespace's hold alone.
    const inside = (stdin: string) =>
      lab.runIn("host")(["nsenter", `--net=/run/netns/${a.namespace}`, "nft", "-f", "-"], {
        stdin,
      });
    const { stdout: rules } = await inside("list ruleset\n");
    await inside("insert rule inet wrenn egress accept\n");
    assertEquals(await lab.reach("a", forbidden), silence);
    await inside(`flush ruleset\n${rules}`);
    await lab.shell("host", "nft flush chain inet wrenn-63000 forward");
    assertEquals(await lab.reach("a", forbidden), silence);
    await slots.start();

    // From the lab's internet, which has a route to them, guests cannot be called.
    assertEquals(await lab.reach("inet", [a.hostIp]), { [a.hostIp]: null });
  } finally {
    await slots.stop();
  }
});

Deno.test("NetnsSlots: large transfers work both ways, past a smaller MTU on the uplink", async () => {
  await using lab = new Lab("wt63010");
  await lab.world();
  const slots = new NetnsSlots({ range: { first: 63010, last: 63019 }, run: lab.runIn("host") });
  await slots.start();
  try {
    const slot = await slots.claim();
    await slots.applyPolicy(slot, OPEN);
    await lab.guest("a", slot);
    const sum = await sha256(pattern(MANY));
    const transfers = (host: string) =>
      ["get", "put"].map((verb) => ({
        kind: "tcp" as const,
        host,
        port: PORT,
        line: `${verb} ${MANY}`,
      }));
    assertEquals(await lab.probe("host", transfers(slot.hostIp)), [sum, sum]);
    assertEquals(await lab.probe("a", transfers(PUBLIC)), [sum, sum]);
  } finally {
    await slots.stop();
  }
});

Deno.test("NetnsSlots: a policy is in force at once, on open connections too", async () => {
  await using lab = new Lab("wt63020");
  await lab.world();
  const slots = new NetnsSlots({ range: { first: 63020, last: 63029 }, run: lab.runIn("host") });
  await slots.start();
  try {
    const slot = await slots.claim();
    await lab.guest("a", slot);
    const reach = async (policy: NetworkPolicy): Promise<string | null | undefined> => {
      await slots.applyPolicy(slot, policy);
      return (await lab.reach("a", [PUBLIC]))[PUBLIC];
    };
    const answer = `inet ${HOST_UPLINK}`;
    assertEquals(await reach(OPEN), answer);
    const outward = lab.talk("a", PUBLIC);
    const inward = lab.talk("host", slot.hostIp);
    assertEquals(await outward("who"), answer);
    assertEquals(await inward("who"), `a ${slot.vethHostIp}`);

    assertEquals(await reach({ ...OPEN, denyOut: ["203.0.113.0/24", "203.0.113.10"] }), null);
    assertEquals(await outward("who"), "silence");
    assertEquals(await inward("who"), `a ${slot.vethHostIp}`);
    assertEquals(
      await reach({ internet: true, allowOut: [PUBLIC], denyOut: ["0.0.0.0/0"] }),
      answer,
    );
    assertEquals(await reach({ internet: false, allowOut: ["0.0.0.0/0"], denyOut: [] }), null);
    assertEquals(await inward("who"), `a ${slot.vethHostIp}`);
    assertEquals(await reach(OPEN), answer);

    const wrong = slots.applyPolicy(slot, { ...OPEN, denyOut: ["1.2.3.4; flush ruleset"] });
    assert(hasCode(await assertRejects(() => wrong), "invalid_request"));
    assertEquals(await lab.reach("a", [PUBLIC]), { [PUBLIC]: answer }, "the policy before stays");
  } finally {
    await slots.stop();
  }
});

Deno.test("NetnsSlots: packets with another source address or MAC are dropped", async () => {
  await using lab = new Lab("wt63030");
  await lab.world();
  const slots = new NetnsSlots({ range: { first: 63030, last: 63039 }, run: lab.runIn("host") });
  await slots.start();
  try {
    const slot = await slots.claim();
    await slots.applyPolicy(slot, OPEN);
    await lab.guest("a", slot);
    // The rules alone, without the kernel's reverse path filter and ARP to help them.
    await lab.shell(
      "host",
      `nsenter --net=/run/netns/${slot.namespace} sh -euc 'for f in /proc/sys/net/ipv4/conf/*/rp_filter; do echo 0 > $f; done'`,
    );
    // A change of address empties the neighbour table.
    const mac = (address: string) =>
      lab.shell(
        "a",
        `ip link set eth0 address ${address}; ip neigh replace ${slot.gatewayIp} lladdr ${TAP_MAC} dev eth0`,
      );
    await mac(slot.guestMac);
    const forged = ["198.51.100.7", slot.hostIp, slot.vethGuestIp, slot.vethHostIp];
    for (const from of forged) await lab.shell("a", `ip addr add ${from}/32 dev lo`);
    const to = { host: PUBLIC, port: PORT } as const;
    const send = (line: string, from: string): Probe => ({ ...to, kind: "udp", line, from });
    await lab.probe("a", forged.map((from) => send(`from ${from}`, from)));
    await mac("02:FC:00:00:00:77");
    await lab.probe("a", [send("other MAC", slot.guestIp)]);
    await mac(slot.guestMac);
    await lab.probe("a", [send("honest", slot.guestIp)]);
    const seen = await lab.probe("a", [{ ...to, kind: "tcp", line: "seen" }]);
    assertEquals(seen, [JSON.stringify(["honest"])]);
  } finally {
    await slots.stop();
  }
});

Deno.test("NetnsSlots: the host stays closed when its own chains and addresses would let guests in", async () => {
  await using lab = new Lab("wt63040");
  await lab.world();
  // What container software does: accept early, and publish a port of the host by destination NAT.
  const published = `table inet other {
    chain in { type filter hook input priority -100; policy accept; accept; }
    chain forward { type filter hook forward priority -100; policy accept; accept; }
    chain nat { type nat hook prerouting priority dstnat; policy accept;
      ip daddr ${HOST_UPLINK} tcp dport ${PORT} dnat ip to ${PUBLIC}; }
  }`.replaceAll(";", "\n");
  await lab.runIn("host")(["nft", "-f", "-"], { stdin: published });
  const slots = new NetnsSlots({ range: { first: 63040, last: 63049 }, run: lab.runIn("host") });
  await slots.start();
  try {
    const slot = await slots.claim();
    await slots.applyPolicy(slot, OPEN);
    await lab.guest("a", slot);
    const answers = await lab.reach("a", [PUBLIC, HOST_UPLINK, slot.vethHostIp]);
    assertEquals(answers, {
      [PUBLIC]: `inet ${HOST_UPLINK}`,
      [HOST_UPLINK]: null,
      [slot.vethHostIp]: null,
    });
  } finally {
    await slots.stop();
  }
});

Deno.test("NetnsSlots: claims, releases and the sweep after a death leave nothing", async () => {
  await using lab = new Lab("wt63050");
  await lab.namespace("host");
  const options = { range: { first: 63050, last: 63059 }, run: lab.runIn("host") };
  const before = await picture(lab, "ns-6305");
  const slots = new NetnsSlots(options);
  await slots.start();
  const started = await picture(lab, "ns-6305");
  for (let i = 0; i < 20; i++) {
    const slot = await slots.claim();
    await slots.release(slot);
    await slots.release(slot);
  }
  assertEquals(slots.inUse(), 0);
  assertEquals(await picture(lab, "ns-6305"), started);

  const all: Slot[] = await Promise.all(Array.from({ length: 10 }, () => slots.claim()));
  assertEquals(new Set(all.map((slot) => slot.index)).size, 10);
  const full = await assertRejects(() => slots.claim());
  assert(hasCode(full, "capacity_exhausted"));
  assertEquals(slots.inUse(), 10);

  // A dead agent: its slots stay, one half removed, one half made. The next one starts from the picture.
  await lab.shell("host", "ip link del veth-63051; ip netns del ns-63052; : > /run/netns/ns-63052");
  const next = new NetnsSlots(options);
  await next.start();
  assertEquals(await picture(lab, "ns-6305"), started);
  await next.claim();
  await next.stop();
  assertEquals(await picture(lab, "ns-6305"), before);
});

Deno.test("NetnsSlots: a failed claim undoes itself, and names in use by others are passed over", async () => {
  await using lab = new Lab("wt63060");
  await lab.namespace("host");
  const run = lab.runIn("host");
  const range = { first: 63060, last: 63061 };
  let breaking = false;
  const slots = new NetnsSlots({
    range,
    run: (argv, options) =>
      run(
        argv,
        breaking && options?.stdin?.includes("netns add")
          ? { ...options, stdin: options.stdin.replace("route add 10.11", "route add nonsense") }
          : options,
      ),
  });
  await slots.start();
  const started = await picture(lab, "ns-6306");
  breaking = true;
  assert(hasCode(await assertRejects(() => slots.claim()), "internal"));
  assertEquals([await picture(lab, "ns-6306"), slots.inUse()], [started, 0]);
  breaking = false;

  // 63061 is next. A namespace with a process in it is not touched; an empty one is removed and passed over.
  await run(["ip", "netns", "add", "ns-63061"]);
  const holder = new Deno.Command("nsenter", {
    args: ["--net=/run/netns/ns-63061", "sleep", "600"],
    stdin: "null",
    stdout: "null",
  }).spawn();
  try {
    assertEquals((await slots.claim()).index, 63060);
    assert((await run(["ip", "netns", "list"])).stdout.includes("ns-63061"));
  } finally {
    holder.kill("SIGKILL");
    await holder.status;
  }
  await slots.stop();
  await run(["ip", "netns", "del", "ns-63061"]);
});
