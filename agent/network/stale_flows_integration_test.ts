/** What becomes of the connections that a copied or restored guest believes it has (C-4 of its first packets too). */
import { delay } from "@wrenn/common";
import { assert, assertEquals } from "@std/assert";
import { NetnsSlots } from "./netns_slots.ts";
import type { NetworkPolicy, Slot } from "./slots.ts";
import {
  etherType,
  ETHERTYPE_ARP,
  Flag,
  guestFrame,
  readSegment,
  type Segment,
  tcpChecksum,
} from "./testing/frames.ts";
import { HOST_UPLINK, Lab, PORT, PUBLIC } from "./testing/lab.ts";
import { TapWire } from "./testing/tap_wire.ts";

const OPEN: NetworkPolicy = { internet: true, allowOut: [], denyOut: [] };
/** Far below the second that TCP or ARP wait before they try again. */
const AT_ONCE_MS = 50;
const OWN_PORT = 40123;

/** Counts what comes out of slots, before anything on the host can drop it. */
const COUNTER = `table inet outside {
  chain seen {
    type filter hook prerouting priority -400; policy accept;
    iifname "veth-*" counter
  }
}
`;

/** Packets that have come out of slots. */
async function counted(lab: Lab): Promise<number> {
  const text = await lab.shell("host", "nft list table inet outside");
  return Number(/packets ([0-9]+)/.exec(text)?.[1]);
}

/** Connections that conntrack knows in a slot's namespace. */
async function tracked(lab: Lab, slot: Slot): Promise<string[]> {
  const text = await lab.shell(
    "host",
    `nsenter --net=/run/netns/${slot.namespace} cat /proc/net/nf_conntrack`,
  );
  return text.split("\n").filter((line) => line !== "");
}

async function world(first: number, last: number): Promise<{ lab: Lab; slots: NetnsSlots }> {
  const lab = new Lab(`wt${first}`);
  await lab.world();
  await lab.runIn("host")(["nft", "-f", "-"], { stdin: COUNTER });
  const slots = new NetnsSlots({ range: { first, last }, run: lab.runIn("host") });
  await slots.start();
  return { lab, slots };
}

const segment = (part: Partial<Segment>): Uint8Array<ArrayBuffer> =>
  guestFrame({
    fromPort: OWN_PORT,
    to: PUBLIC,
    toPort: PORT,
    flags: Flag.ack,
    seq: 1000,
    ack: 2000,
    payload: "",
    ...part,
  });

Deno.test("A segment of an unknown connection is reset at once, and nothing of it leaves the slot", async () => {
  const { lab, slots } = await world(40011, 40012);
  await using _ = lab;
  try {
    const slot = await slots.claim();
    await using wire = await TapWire.open(slot);
    const reset = async (part: Partial<Segment>, what: string): Promise<void> => {
      wire.arrivals.length = 0;
      await wire.send(segment(part));
      const answer = await wire.next((frame) => {
        const found = readSegment(frame);
        return found && { found, sum: tcpChecksum(frame) };
      }, 500);
      assert(answer, `${what}: silence`);
      const { found: { found, sum }, afterMs } = answer;
      assert(found.flags & Flag.rst, `${what}: no reset`);
      assert(afterMs < AT_ONCE_MS, `${what}: ${afterMs} ms`);
      assertEquals([found.from, found.fromPort, found.to, found.toPort, sum], [
        part.to ?? PUBLIC,
        part.toPort ?? PORT,
        slot.guestIp,
        part.fromPort ?? OWN_PORT,
        0,
      ]);
      // The number that the guest's kernel demands of a reset (RFC 5961).
      if ((part.flags ?? Flag.ack) & Flag.ack) assertEquals(found.seq, part.ack ?? 2000, what);
    };
    // Under every policy, and whoever the other end was: also the host that called the guest.
    for (const policy of [undefined, OPEN]) {
      if (policy) await slots.applyPolicy(slot, policy);
      await reset({}, "bare acknowledgement");
      await reset({ flags: Flag.ack | Flag.psh, payload: "data" }, "data");
      await reset({ flags: Flag.ack | Flag.fin }, "end");
      await reset({ flags: Flag.ack | Flag.syn }, "answer to a connection of the host");
      await reset({ to: slot.vethHostIp, fromPort: 49983, toPort: 50000 }, "to this host");
      await reset({ to: "10.12.0.2", fromPort: 49983, toPort: 50000 }, "to the original's host");
      await reset({ to: "192.168.7.1" }, "to a closed network");
    }
    // A reset is not answered, and goes nowhere either.
    wire.arrivals.length = 0;
    await wire.send(segment({ flags: Flag.rst, ack: 0 }));
    await wire.send(segment({ flags: Flag.rst | Flag.ack }));
    assertEquals(await wire.next((frame) => readSegment(frame), 200), undefined);
    assertEquals(await counted(lab), 0);
    assertEquals(await tracked(lab, slot), []);
  } finally {
    await slots.stop();
  }
});

Deno.test("The first packet of a guest gets its answer at once, without ARP", async () => {
  const { lab, slots } = await world(40021, 40022);
  await using _ = lab;
  try {
    // The host's own neighbours on its uplink are the host's affair.
    assertEquals(await lab.reach("host", [PUBLIC]), { [PUBLIC]: `inet ${HOST_UPLINK}` });
    const slot = await slots.claim();
    await slots.applyPolicy(slot, OPEN);
    await using wire = await TapWire.open(slot);
    await wire.send(segment({ flags: Flag.syn, ack: 0 }));
    const answer = await wire.next((frame) => readSegment(frame));
    assert(answer, "silence");
    assertEquals(answer.found.flags, Flag.syn | Flag.ack);
    assertEquals([answer.found.from, answer.found.ack], [PUBLIC, 1001]);
    assert(answer.afterMs < AT_ONCE_MS, `${answer.afterMs} ms`);

    // The connection works, and a segment far outside of its window does not end it.
    const theirs = answer.found.seq + 1;
    await wire.send(segment({ seq: 1001, ack: theirs }));
    await wire.send(segment({ seq: 900_000_000, ack: theirs, payload: "stray" }));
    const flags = Flag.ack | Flag.psh;
    await wire.send(segment({ flags, seq: 1001, ack: theirs, payload: "who\n" }));
    const line = await wire.next((frame) => readSegment(frame)?.payload || undefined);
    assertEquals(line?.found, `inet ${HOST_UPLINK}\n`);
    const resets = wire.arrivals.filter(({ frame }) => (readSegment(frame)?.flags ?? 0) & Flag.rst);
    assertEquals(resets.length, 0);
    // It left with the slot's address.
    const [flow = ""] = await tracked(lab, slot);
    assert(flow.includes(`dst=${slot.vethGuestIp} `), flow);
    assertEquals(wire.arrivals.filter(({ frame }) => etherType(frame) === ETHERTYPE_ARP), []);
  } finally {
    await slots.stop();
  }
});

Deno.test("The host's first packet to a guest needs no ARP either, and the guest's answers reach it", async () => {
  const { lab, slots } = await world(40031, 40032);
  await using _ = lab;
  try {
    const slot = await slots.claim();
    await using wire = await TapWire.open(slot);
    const talk = lab.talk("host", slot.hostIp);
    const call = await wire.next((frame) => readSegment(frame));
    assert(call, "silence");
    assertEquals([call.found.flags & Flag.syn, call.found.from, call.found.to], [
      Flag.syn,
      slot.vethHostIp,
      slot.guestIp,
    ]);
    const to = { to: call.found.from, toPort: call.found.fromPort, fromPort: PORT };
    await wire.send(segment({ ...to, flags: Flag.syn | Flag.ack, ack: call.found.seq + 1 }));
    const answer = talk("who");
    const line = await wire.next((frame) => {
      const found = readSegment(frame);
      return found?.payload ? found : undefined;
    });
    assertEquals(line?.found.payload, "who\n");
    const ack = (line?.found.seq ?? 0) + 4;
    const flags = Flag.ack | Flag.psh;
    await wire.send(segment({ ...to, flags, seq: 1001, ack, payload: "wire\n" }));
    assertEquals(await answer, "wire");
    assertEquals(wire.arrivals.filter(({ frame }) => etherType(frame) === ETHERTYPE_ARP), []);
  } finally {
    await slots.stop();
  }
});

Deno.test("A guest's kernel in a fresh slot drops its old connections at once and opens new ones", async () => {
  const { lab, slots } = await world(40041, 40042);
  await using _ = lab;
  try {
    const [first, second] = [await slots.claim(), await slots.claim()];
    await slots.applyPolicy(first, OPEN);
    await slots.applyPolicy(second, OPEN);
    await lab.guest("a", first);
    const answer = `inet ${HOST_UPLINK}`;
    const talk = lab.talk("a", PUBLIC);
    assertEquals(await talk("who"), answer);

    await lab.plug("a", second);
    const before = await counted(lab);
    const began = performance.now();
    assertEquals(await talk("who"), "silence");
    const tookMs = performance.now() - began;
    // A connection that hangs is silent after 1500 ms.
    assert(tookMs < 700, `${tookMs} ms`);
    assertEquals(await counted(lab), before);
    assert(before > 0);

    assertEquals(await lab.reach("a", [PUBLIC]), { [PUBLIC]: answer });
    assertEquals(
      (await lab.reach("host", [second.hostIp]))[second.hostIp],
      `a ${second.vethHostIp}`,
    );
    assertEquals(await lab.talk("a", PUBLIC)("who"), answer);
  } finally {
    await slots.stop();
  }
});

Deno.test("Nothing of a former sandbox reaches the next one that has its index", async () => {
  const { lab, slots } = await world(40071, 40071);
  await using _ = lab;
  try {
    const former = await slots.claim();
    await slots.applyPolicy(former, OPEN);
    await lab.guest("a", former);
    // The server goes on sending to a guest that is gone, and the host still knows the connection.
    const download = lab.talk("a", PUBLIC)("get 100000000");
    await delay(300);
    await lab.unplug("a");
    await slots.release(former);
    const next = await slots.claim();
    assertEquals(next, former);
    await slots.applyPolicy(next, OPEN);
    await lab.runIn("host")(["nft", "-f", "-"], {
      stdin: `table inet outside {
        chain to_guests {
          type filter hook postrouting priority 300; policy accept;
          oifname ${next.hostVeth} counter
        }
      }
`,
    });
    await using wire = await TapWire.open(next);
    await delay(2500);
    const text = await lab.shell("host", "nft list chain inet outside to_guests");
    assert(Number(/packets ([0-9]+)/.exec(text)?.[1]) > 0, "the server has tried");
    assertEquals(wire.arrivals, []);
    assertEquals(await tracked(lab, next), []);
    assertEquals(await download, "silence");
  } finally {
    await slots.stop();
  }
});
