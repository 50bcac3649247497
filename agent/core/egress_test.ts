import { WrennError } from "@wrenn/common";
import { assert, assertEquals, assertThrows } from "@std/assert";
import fc from "fast-check";
import {
  type AddressRange,
  type Cidr,
  CLOSED_NETWORKS,
  CLOSED_POLICY,
  contains,
  type EgressPlan,
  formatCidr,
  MAX_POLICY_NETWORKS,
  parseCidr,
  parseIpv4,
  planEgress,
  reduceCidrs,
  samePolicy,
  toRanges,
} from "./egress.ts";
import { formatIpv4 } from "./slot_plan.ts";

const anyAddress = fc.integer({ min: 0, max: 0xffffffff });
const anyCidr = fc.tuple(anyAddress, fc.integer({ min: 0, max: 32 })).map(([address, prefix]) =>
  parseCidr(`${formatIpv4(address)}/${prefix}`)
);
const holds = (list: readonly Cidr[], address: number): boolean =>
  list.some((cidr) => contains(cidr, { base: address, prefix: 32 }));

Deno.test("parseIpv4() inverts formatIpv4()", () => {
  fc.assert(fc.property(anyAddress, (address) => {
    assertEquals(parseIpv4(formatIpv4(address)), address);
  }));
});

Deno.test("parseCidr() clears the bits below the prefix and takes a bare address as /32", () => {
  assertEquals(formatCidr(parseCidr("10.1.2.3/8")), "10.0.0.0/8");
  assertEquals(formatCidr(parseCidr("203.0.113.7")), "203.0.113.7/32");
  assertEquals(formatCidr(parseCidr("255.255.255.255/0")), "0.0.0.0/0");
  assertEquals(formatCidr(parseCidr("255.255.255.255/1")), "128.0.0.0/1");
});

Deno.test("parseCidr() is stable on its own output", () => {
  fc.assert(fc.property(anyCidr, (cidr) => {
    assertEquals(parseCidr(formatCidr(cidr)), cidr);
  }));
});

Deno.test("parseCidr() refuses what is not an IPv4 network with invalid_request", () => {
  const wrong = [
    "",
    "1.2.3",
    "1.2.3.4.5",
    "256.0.0.1",
    "01.2.3.4",
    "1.2.3.4/33",
    "1.2.3.4/",
    "1.2.3.4/08",
    "1.2.3.4/8/8",
    "1.2.3.4/-1",
    " 1.2.3.4",
    "1.2.3.4\n",
    "::/0",
    "fe80::1",
    "example.com",
    "0x7f.0.0.1",
    "1.2.3.4-1.2.3.9",
    "} ; flush ruleset",
  ];
  for (const text of wrong) {
    const error = assertThrows(() => parseCidr(text), WrennError, "Not an IPv4");
    assertEquals(error.code, "invalid_request", text);
  }
  fc.assert(fc.property(fc.string({ unit: fc.constantFrom(..."0123456789./:a ") }), (text) => {
    try {
      parseCidr(text);
    } catch (error) {
      assert(error instanceof WrennError);
      return;
    }
    assert(/^[0-9./]+$/.test(text), text);
  }));
});

Deno.test("contains() agrees with the arithmetic of first and last address", () => {
  fc.assert(fc.property(anyCidr, anyCidr, (a, b) => {
    const end = (c: Cidr): number => c.base + 2 ** (32 - c.prefix) - 1;
    assertEquals(contains(a, b), a.base <= b.base && end(b) <= end(a));
  }));
});

Deno.test("reduceCidrs() keeps the same addresses and leaves no network inside another", () => {
  const near = fc.tuple(fc.integer({ min: 0, max: 255 }), fc.integer({ min: 24, max: 32 }))
    .map(([low, prefix]) => parseCidr(`10.0.0.${low}/${prefix}`));
  fc.assert(fc.property(fc.array(fc.oneof(near, anyCidr)), anyAddress, (list, address) => {
    const reduced = reduceCidrs(list);
    for (const probe of [address, 0x0a000000 + (address % 256)]) {
      assertEquals(holds(reduced, probe), holds(list, probe));
    }
    for (const a of reduced) {
      for (const b of reduced) assert(a === b || !contains(a, b), "laminar and unique");
    }
  }));
});

Deno.test("toRanges() holds the same addresses, in order, and no two ranges touch", () => {
  fc.assert(fc.property(fc.array(anyCidr, { maxLength: 12 }), anyAddress, (cidrs, other) => {
    const ranges = toRanges(cidrs);
    ranges.forEach(({ first, end }, i) => {
      assert(first < end);
      assert((ranges[i - 1]?.end ?? -1) < first);
    });
    const edges = cidrs.flatMap(({ base, prefix }) => [base - 1, base, base + 2 ** (32 - prefix)]);
    for (const address of [other, ...edges].filter((a) => a >= 0 && a < 2 ** 32)) {
      const inRanges = ranges.some(({ first, end }) => first <= address && address < end);
      assertEquals(inRanges, holds(cidrs, address));
    }
  }));
});

Deno.test("planEgress() gives both lists as ranges, and opens the rest", () => {
  const plan = planEgress({
    internet: true,
    allowOut: ["203.0.113.9/24", "203.0.113.7"],
    denyOut: ["8.8.8.8", "255.255.255.254/31"],
  });
  assertEquals(plan, {
    allow: [{ first: 0xcb007100, end: 0xcb007200 }],
    deny: [{ first: 0x08080808, end: 0x08080809 }, { first: 0xfffffffe, end: 2 ** 32 }],
    open: [{ first: 0, end: 2 ** 32 }],
  });
});

Deno.test("planEgress() without internet denies everything, and checks the lists all the same", () => {
  const plan = (allowOut: string[]) => planEgress({ internet: false, allowOut, denyOut: [] });
  const everything = [{ first: 0, end: 2 ** 32 }];
  assertEquals(plan(["0.0.0.0/0"]), { allow: [], deny: everything, open: [] });
  assertEquals(planEgress(CLOSED_POLICY), plan([]));
  assertThrows(() => plan(["nonsense"]), WrennError);
});

Deno.test("A mixture of two plans opens nothing that both close", () => {
  const text = anyCidr.map(formatCidr);
  const policy = fc.record({
    internet: fc.boolean(),
    allowOut: fc.array(text, { maxLength: 3 }),
    denyOut: fc.array(text, { maxLength: 3 }),
  });
  const inside = (ranges: readonly AddressRange[], address: number): boolean =>
    ranges.some(({ first, end }) => first <= address && address < end);
  const isOpen = ({ allow, deny, open }: EgressPlan, address: number): boolean =>
    inside(allow, address) || (!inside(deny, address) && inside(open, address));
  const side = fc.constantFrom(0 as const, 1 as const);
  fc.assert(
    fc.property(policy, policy, anyAddress, side, side, side, (a, b, other, allow, deny, open) => {
      const plans = [planEgress(a), planEgress(b)] as const;
      const mixture = {
        allow: plans[allow].allow,
        deny: plans[deny].deny,
        open: plans[open].open,
      };
      const edges = plans.flatMap((plan) =>
        [...plan.allow, ...plan.deny].map(({ first }) => first)
      );
      for (const address of [other, ...edges]) {
        if (isOpen(mixture, address)) assert(plans.some((plan) => isOpen(plan, address)));
      }
      for (const [i, { internet, allowOut, denyOut }] of [a, b].entries()) {
        const expected = internet &&
          (holds(allowOut.map(parseCidr), other) || !holds(denyOut.map(parseCidr), other));
        assertEquals(isOpen(plans[i] ?? mixture, other), expected);
      }
    }),
    { numRuns: 1000 },
  );
});

Deno.test("samePolicy() is true for equal texts and for nothing else", () => {
  const text = fc.constantFrom("1.2.3.4", "1.2.3.4/32", "5.6.7.8");
  const policy = fc.record({
    internet: fc.boolean(),
    allowOut: fc.array(text, { maxLength: 2 }),
    denyOut: fc.array(text, { maxLength: 2 }),
  });
  fc.assert(fc.property(policy, policy, (a, b) => {
    assert(samePolicy(a, structuredClone(a)));
    assertEquals(samePolicy(a, b), JSON.stringify(a) === JSON.stringify(b));
  }));
});

Deno.test("planEgress() bounds the number of networks", () => {
  const many = Array.from({ length: MAX_POLICY_NETWORKS + 1 }, () => "1.2.3.4");
  const error = assertThrows(
    () => planEgress({ internet: true, allowOut: [], denyOut: many }),
    WrennError,
    "deny_out",
  );
  assertEquals(error.code, "invalid_request");
});

Deno.test("CLOSED_NETWORKS names the host's, private and reserved ranges and no documentation range", () => {
  const closed = CLOSED_NETWORKS.map(parseCidr);
  assertEquals(closed.map(formatCidr), [...CLOSED_NETWORKS]);
  assertEquals(reduceCidrs(closed).length, closed.length);
  const reached = (address: string): boolean => !holds(closed, parseIpv4(address) ?? 0);
  for (
    const address of ["0.1.2.3", "10.11.0.1", "100.64.0.1", "127.0.0.1", "169.254.169.254"].concat(
      ["172.31.255.255", "192.0.0.170", "192.168.0.1", "198.19.0.1", "239.0.0.1"],
      ["255.255.255.255"],
    )
  ) assertEquals(reached(address), false, address);
  for (const address of ["203.0.113.1", "192.0.2.1", "198.51.100.1", "1.1.1.1", "172.32.0.1"]) {
    assertEquals(reached(address), true, address);
  }
});
