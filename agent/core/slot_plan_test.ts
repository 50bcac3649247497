import { assert, assertEquals, assertThrows } from "@std/assert";
import fc from "fast-check";
import { contains, parseCidr, parseIpv4 } from "./egress.ts";
import {
  FIRST_SLOT,
  formatIpv4,
  HOST_SIDE_RANGE,
  LAST_SLOT,
  planSlot,
  slotIndexOf,
  slotIndexOfVeth,
  VETH_RANGE,
} from "./slot_plan.ts";

const anyIndex = fc.integer({ min: FIRST_SLOT, max: LAST_SLOT });

Deno.test("planSlot() gives the documented names and addresses", () => {
  assertEquals(planSlot(1), {
    index: 1,
    namespace: "ns-1",
    hostVeth: "veth-1",
    tap: "tap0",
    hostIp: "10.11.0.1",
    vethHostIp: "10.12.0.2",
    vethGuestIp: "10.12.0.3",
    guestIp: "169.254.0.21",
    gatewayIp: "169.254.0.22",
    guestMac: "02:FC:00:00:00:05",
  });
});

Deno.test("planSlot() carries over octets as one 32-bit number", () => {
  const carried = planSlot(256);
  assertEquals([carried.hostIp, carried.vethHostIp], ["10.11.1.0", "10.12.2.0"]);
  const half = planSlot(32768);
  assertEquals([half.hostIp, half.vethHostIp], ["10.11.128.0", "10.13.0.0"]);
  const last = planSlot(LAST_SLOT);
  assertEquals(
    [last.hostIp, last.vethHostIp, last.vethGuestIp],
    ["10.11.255.254", "10.13.255.252", "10.13.255.253"],
  );
});

Deno.test("planSlot() never gives two slots a name or an address in common, over all indexes", () => {
  const seen = new Set<string>();
  for (let index = FIRST_SLOT; index <= LAST_SLOT; index++) {
    const { namespace, hostVeth, hostIp, vethHostIp, vethGuestIp } = planSlot(index);
    for (const name of [namespace, hostVeth, hostIp, vethHostIp, vethGuestIp]) seen.add(name);
  }
  assertEquals(seen.size, LAST_SLOT * 5);
});

Deno.test("planSlot() stays in its ranges and pairs the veth ends in one /31", () => {
  const hostSide = parseCidr(HOST_SIDE_RANGE);
  const veths = parseCidr(VETH_RANGE);
  fc.assert(fc.property(anyIndex, (index) => {
    const slot = planSlot(index);
    const pair = parseCidr(`${slot.vethHostIp}/31`);
    assertEquals(formatIpv4(pair.base), slot.vethHostIp);
    assertEquals(pair.base + 1, parseIpv4(slot.vethGuestIp));
    assert(contains(veths, pair));
    assert(contains(hostSide, parseCidr(slot.hostIp)));
    assert(slot.hostVeth.length <= 15, "fits an interface name");
  }));
});

Deno.test("slotIndexOf() and slotIndexOfVeth() invert planSlot()", () => {
  fc.assert(fc.property(anyIndex, (index) => {
    assertEquals(slotIndexOf(planSlot(index).namespace), index);
    assertEquals(slotIndexOfVeth(planSlot(index).hostVeth), index);
  }));
});

Deno.test("slotIndexOf() refuses every name that planSlot() cannot give", () => {
  for (
    const name of ["ns-0", "ns-01", "ns-65535", "ns-99999", "ns-1x", "xns-1", "ns-", "veth-1", ""]
  ) {
    assertEquals(slotIndexOf(name), undefined, name);
  }
  fc.assert(fc.property(fc.string(), (name) => {
    const index = slotIndexOf(name);
    assert(index === undefined || planSlot(index).namespace === name);
  }));
});

Deno.test("planSlot() throws for what is not a slot index", () => {
  for (const index of [0, -1, 65535, 1.5, NaN, Infinity]) {
    assertThrows(() => planSlot(index), RangeError, "Slot index");
  }
});
