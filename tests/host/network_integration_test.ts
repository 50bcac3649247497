/**
 * What a real guest reaches: the agent runs in a namespace that plays the host, whose uplink leads to a namespace
 * that plays the internet and the private networks behind it. No packet leaves the machine.
 */
import { assert, assertEquals } from "@std/assert";
import { newExecutionId, newSandboxId } from "@wrenn/common";
import { planSlot } from "../../agent/core/slot_plan.ts";
import {
  HOST_UPLINK,
  Lab,
  PORT,
  PRIVATE,
  PUBLIC,
  PUBLIC_6,
} from "../../agent/network/testing/lab.ts";
import { TestAgent } from "./lib/agent.ts";
import { addIpv6, probeFromGuest, serveInGuest } from "./lib/guest_network.ts";
import { takeSlots } from "./lib/slots.ts";
import { until } from "./lib/wait.ts";

const SLOTS = "58000-58019";
/** Where the guest's own server listens, on its localhost alone. */
const LOCAL_PORT = 9123;

/** A TCP segment that is lost is repeated after a second (RFC 6298). */
const RETRANSMISSION_MS = 900;

const silence = (hosts: readonly string[]): Record<string, null> =>
  Object.fromEntries(hosts.map((host) => [host, null]));

Deno.test("A real guest reaches the internet as the host, and nothing else", async () => {
  using _turn = await takeSlots(SLOTS);
  await using lab = new Lab("wh58000");
  await lab.world();
  await using agent = await TestAgent.open({
    templates: ["base"],
    slots: SLOTS,
    namespace: lab.name("host"),
  });
  const [a, b] = await Promise.all([agent.create(), agent.create({ internet: false })]);
  const slotOf = (hostIp: string): ReturnType<typeof planSlot> => {
    for (let index = agent.slots.first; index <= agent.slots.last; index++) {
      if (planSlot(index).hostIp === hostIp) return planSlot(index);
    }
    throw new Error(`No slot has the address '${hostIp}'`);
  };
  const [slotA, slotB] = [slotOf(a.hostIp), slotOf(b.hostIp)];
  await serveInGuest(agent, a.id, { host: "0.0.0.0", port: PORT, name: "a" });
  await serveInGuest(agent, b.id, { host: "0.0.0.0", port: PORT, name: "b" });
  await serveInGuest(agent, a.id, { host: "127.0.0.1", port: LOCAL_PORT, name: "local" });

  const own = [HOST_UPLINK, slotA.vethHostIp, slotA.vethGuestIp, slotA.hostIp, slotA.gatewayIp];
  const other = [slotB.hostIp, slotB.vethHostIp, slotB.vethGuestIp];
  const behind = [...PRIVATE, PUBLIC_6];

  // Every server answers the host: silence towards a guest is the rules' doing.
  const fromHost = await lab.reach("host", [PUBLIC, ...behind, HOST_UPLINK, a.hostIp, b.hostIp]);
  assertEquals(fromHost[PUBLIC], `inet ${HOST_UPLINK}`);
  for (const host of behind) assert(fromHost[host]?.startsWith("inet "), `${host} is dead`);
  assertEquals(fromHost[HOST_UPLINK], `host ${HOST_UPLINK}`);
  assertEquals([fromHost[a.hostIp], fromHost[b.hostIp]], [
    `a ${slotA.vethHostIp}`,
    `b ${slotB.vethHostIp}`,
  ]);
  for (const host of [slotA.vethHostIp, slotB.vethHostIp]) {
    assertEquals((await lab.reach("host", [host]))[host], `host ${host}`);
  }
  const udp = (line: string) => (host: string) =>
    ({ kind: "udp", host, port: PORT, line: `${line} ${host}` }) as const;
  const ipv4 = behind.filter((host) => !host.includes(":"));
  await lab.probe("host", [PUBLIC, ...ipv4].map(udp("host")));

  // A hostile guest gives itself an IPv6 address and a route.
  await addIpv6(agent, a.id);
  const forbidden = [...own, ...other, ...behind, "2001:db8:1::2"];
  const [fromA, fromB] = await Promise.all([
    probeFromGuest(agent, a.id, { hosts: [PUBLIC, ...forbidden], port: PORT, name: "a" }),
    probeFromGuest(agent, b.id, { hosts: [PUBLIC, a.hostIp, ...PRIVATE], port: PORT, name: "b" }),
  ]);
  assertEquals(fromA, { [PUBLIC]: `inet ${HOST_UPLINK}`, ...silence(forbidden) });
  assertEquals(fromB, silence([PUBLIC, a.hostIp, ...PRIVATE]));

  // Each probe sent a datagram as well: the servers tell what has come.
  const seen = async (host: string): Promise<string[]> => {
    const [answer] = await lab.probe("host", [{ kind: "tcp", host, port: PORT, line: "seen" }]);
    return JSON.parse(answer ?? "null").toSorted();
  };
  const control = [PUBLIC, ...ipv4].map((host) => `host ${host}`);
  assertEquals(await seen(PUBLIC), [`a ${PUBLIC}`, ...control].toSorted());
  assertEquals(await seen(HOST_UPLINK), []);

  // From the internet, which has a route to the slots, guests cannot be called.
  assertEquals(await lab.reach("inet", [a.hostIp]), silence([a.hostIp]));

  // A server on the guest's localhost is reached through the mirror of its port, by the host alone.
  const local = { kind: "tcp", host: a.hostIp, port: LOCAL_PORT, line: "who" } as const;
  const answer = await until(
    "the mirror of a port",
    async () => (await lab.probe("host", [local]))[0] ?? undefined,
  );
  assertEquals(answer.split(" ")[0], "local");
  assertEquals(await lab.probe("inet", [local]), [null]);

  await Promise.all([a, b].map(({ id }) => agent.destroy(id)));
});

/** Connects, asks who it is, and prints the answer and the milliseconds that it took. */
const FIRST_PACKET = `
import json, socket, sys, time
socket.socket().connect_ex(("127.0.0.1", 9)) # the code is translated then, and no packet has left
began = time.monotonic()
with socket.create_connection((sys.argv[1], int(sys.argv[2])), 10) as s:
    s.sendall(b"who\\n")
    answer = s.makefile().readline().strip()
print(json.dumps([answer, round((time.monotonic() - began) * 1000)]))
`;

Deno.test("C-4: a woken and a copied guest reach the internet with their first packet, through a new slot", async () => {
  using _turn = await takeSlots(SLOTS);
  await using lab = new Lab("wh58001");
  await lab.world();
  await using agent = await TestAgent.open({
    templates: ["base"],
    slots: SLOTS,
    namespace: lab.name("host"),
  });
  const requireInternet = async (id: string): Promise<void> => {
    const ran = await agent.sh(id, `python3 -c '${FIRST_PACKET}' ${PUBLIC} ${PORT}`, "user");
    const [answer, ms] = JSON.parse(ran.stdout || `["${ran.stderr}", 0]`);
    assertEquals(answer, `inet ${HOST_UPLINK}`);
    // A first packet that waits for ARP is lost and comes again after a second.
    assert(ms < RETRANSMISSION_MS, `The first packet took ${ms} ms`);
  };
  const { id, hostIp } = await agent.create();
  await requireInternet(id);
  await agent.client.hibernateSandbox({ id });
  // Takes what the sleeper has left.
  const other = await agent.create();
  const { sandbox } = await agent.client.resumeSandbox({ id });
  assert(sandbox && sandbox.hostIp !== hostIp, "It came back to the slot that it had");
  await requireInternet(id);
  const copy = { id: newSandboxId(), executionId: newExecutionId() };
  await agent.client.forkSandbox({ id, children: [copy] });
  await requireInternet(copy.id);
  await Promise.all([id, other.id, copy.id].map((each) => agent.destroy(each)));
});
