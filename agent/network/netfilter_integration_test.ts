import { assert, assertEquals, assertRejects } from "@std/assert";
import fc from "fast-check";
import { type AddressRange, type EgressPlan, parseIpv4, toRanges } from "../core/egress.ts";
import { EGRESS_SETS, egressBatch, SLOT_TABLE } from "../core/egress_batch.ts";
import { transact } from "./netfilter.ts";
import { Lab } from "./testing/lab.ts";

const LAB = "wt40001";
const NAMESPACE = `${LAB}-nf`;

/** A namespace with the three sets. */
async function world(): Promise<Lab> {
  const lab = new Lab(LAB);
  await lab.namespace("nf");
  const sets = Object.values(EGRESS_SETS).map((set) =>
    `set ${set} {\ntype ipv4_addr\nflags interval\n}\n`
  );
  await lab.runIn("nf")(["nft", "-f", "-"], {
    stdin: `table inet ${SLOT_TABLE} {\n${sets.join("")}}\n`,
  });
  return lab;
}

/** Elements of a set, as nft reads them. */
async function listed(lab: Lab, set: string): Promise<AddressRange[]> {
  const text = await lab.shell("nf", `nft -j list set inet ${SLOT_TABLE} ${set}`);
  type Element = string | { prefix: { addr: string; len: number } } | { range: [string, string] };
  const entry = JSON.parse(text).nftables.find((o: { set?: unknown }) => o.set);
  return toRanges((entry.set.elem ?? []).flatMap((element: Element) => {
    if (typeof element === "string") return { base: parseIpv4(element) ?? NaN, prefix: 32 };
    if ("prefix" in element) {
      return { base: parseIpv4(element.prefix.addr) ?? NaN, prefix: element.prefix.len };
    }
    const [first = NaN, last = NaN] = element.range.map(parseIpv4);
    return Array.from({ length: last - first + 1 }, (_, i) => ({ base: first + i, prefix: 32 }));
  }));
}

/** Networks that touch, nest and end at both ends of the address space; ranges stay small enough to list. */
const anyRanges = fc.array(
  fc.tuple(
    fc.constantFrom(0, 0x08080800, 0xcb007100, 0xffffff00),
    fc.integer({ min: 0, max: 255 }),
    fc.integer({ min: 24, max: 32 }),
  ).map(([net, host, prefix]) => {
    const base = net + host;
    return { base: base - base % 2 ** (32 - prefix), prefix };
  }),
  { maxLength: 12 },
).map(toRanges);
const anyPlan = fc.record<EgressPlan>({
  allow: anyRanges,
  deny: anyRanges,
  open: fc.constantFrom<AddressRange[]>([], [{ first: 0, end: 2 ** 32 }]),
});

Deno.test("transact() puts plans in force one after the other, as nft reads them", async () => {
  await using lab = await world();
  const before = await Deno.readLink("/proc/self/ns/net");
  await fc.assert(
    fc.asyncProperty(anyPlan, async (plan) => {
      const { bytes, messages } = egressBatch(plan);
      const { accepted, errors, closed } = await transact(NAMESPACE, bytes);
      await closed;
      assertEquals([accepted, errors], [messages, []]);
      for (const part of ["allow", "deny", "open"] as const) {
        assertEquals(await listed(lab, EGRESS_SETS[part]), [...plan[part]]);
      }
    }),
    { numRuns: 25 },
  );
  assertEquals(await Deno.readLink("/proc/self/ns/net"), before);
});

Deno.test("transact() says what the kernel refused, and nothing of it is in force", async () => {
  await using lab = await world();
  const first = egressBatch({ allow: [{ first: 8, end: 9 }], deny: [], open: [] });
  await (await transact(NAMESPACE, first.bytes)).closed;
  await lab.shell("nf", `nft delete set inet ${SLOT_TABLE} ${EGRESS_SETS.open}`);
  const { bytes } = egressBatch({ allow: [], deny: [], open: [] });
  const refused = await transact(NAMESPACE, bytes);
  await refused.closed;
  assertEquals(refused.errors, [2]);
  assertEquals(await listed(lab, EGRESS_SETS.allow), [{ first: 8, end: 9 }]);
});

Deno.test("transact() throws for a missing namespace and stays where it was", async () => {
  const before = await Deno.readLink("/proc/self/ns/net");
  const { bytes } = egressBatch({ allow: [], deny: [], open: [] });
  const error = await assertRejects(() => transact("wt40001-none", bytes), Error);
  assert(error.message.startsWith("Cannot open namespace 'wt40001-none'"), error.message);
  assertEquals(await Deno.readLink("/proc/self/ns/net"), before);
});
