import { assert, assertEquals } from "@std/assert";
import fc from "fast-check";
import { type AddressRange, type EgressPlan, toRanges } from "./egress.ts";
import { EGRESS_SETS, egressBatch, readAnswers } from "./egress_batch.ts";

/** What a message says, read by the layout in linux/netlink.h and linux/netfilter/nf_tables.h. */
interface Message {
  readonly type: number;
  readonly flags: number;
  readonly family: number;
  readonly table: string;
  readonly set: string;
  /** Keys, with true for the end of an interval. */
  readonly bounds: readonly (readonly [number, boolean])[];
}

function attributes(bytes: Uint8Array): [type: number, value: Uint8Array][] {
  const found: [number, Uint8Array][] = [];
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  for (let at = 0; at < bytes.length;) {
    const size = view.getUint16(at, true);
    assert(size >= 4 && at + size <= bytes.length);
    found.push([view.getUint16(at + 2, true) & 0x3fff, bytes.subarray(at + 4, at + size)]);
    at += (size + 3) & ~3;
  }
  return found;
}

function read(bytes: Uint8Array): Message[] {
  const text = (value: Uint8Array | undefined) =>
    new TextDecoder().decode(value ?? new Uint8Array()).replace(/\0$/, "");
  const number = (value: Uint8Array | undefined) =>
    value ? new DataView(value.buffer, value.byteOffset).getUint32(0) : undefined;
  const messages: Message[] = [];
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  for (let at = 0; at < bytes.length;) {
    const size = view.getUint32(at, true);
    const fields = new Map(attributes(bytes.subarray(at + 20, at + size)));
    const bounds = attributes(fields.get(3) ?? new Uint8Array()).map(([, element]) => {
      const parts = new Map(attributes(element));
      const [[, key] = []] = attributes(parts.get(1) ?? new Uint8Array());
      return [number(key) ?? NaN, number(parts.get(3)) === 1] as const;
    });
    messages.push({
      type: view.getUint16(at + 4, true),
      flags: view.getUint16(at + 6, true),
      family: view.getUint8(at + 16),
      table: text(fields.get(1)),
      set: text(fields.get(2)),
      bounds,
    });
    at += size;
  }
  return messages;
}

/** Elements of a set after the messages. */
function elements(messages: readonly Message[], set: string): AddressRange[] {
  const bounds = messages.filter((m) => m.set === set && m.type === 0xa0c).flatMap((m) => m.bounds);
  const ranges: AddressRange[] = [];
  bounds.forEach(([first, isEnd], i) => {
    if (isEnd) return;
    const next = bounds[i + 1];
    ranges.push({ first, end: next?.[1] ? next[0] : 2 ** 32 });
  });
  return ranges;
}

const anyRanges = fc.array(
  fc.tuple(fc.integer({ min: 0, max: 0xffffffff }), fc.integer({ min: 0, max: 32 })).map(
    ([base, prefix]) => ({ base: base - base % 2 ** (32 - prefix), prefix }),
  ),
  { maxLength: 20 },
).map(toRanges);

Deno.test("egressBatch() is one transaction that empties each set and fills it with the plan", () => {
  const plan = fc.record<EgressPlan>({ allow: anyRanges, deny: anyRanges, open: anyRanges });
  fc.assert(fc.property(plan, (plan) => {
    const { bytes, messages } = egressBatch(plan);
    const found = read(bytes);
    assertEquals([found[0]?.type, found.at(-1)?.type], [0x10, 0x11]);
    const changes = found.slice(1, -1);
    assertEquals(changes.length, messages);
    for (const part of ["allow", "deny", "open"] as const) {
      const set = EGRESS_SETS[part];
      const own = changes.filter((m) => m.set === set);
      assertEquals([own[0]?.type, own[0]?.bounds.length], [0xa0e, 0]);
      assertEquals(own.filter((m) => m.type === 0xa0e).length, 1);
      assertEquals(elements(found, set), [...plan[part]]);
    }
    for (const { family, table, flags } of changes) {
      assertEquals([family, table, flags & 5], [1, "wrenn", 5]);
    }
  }));
});

Deno.test("egressBatch() spreads many ranges over messages", () => {
  const many = Array.from({ length: 2500 }, (_, i) => ({ first: 4 * i, end: 4 * i + 1 }));
  const { bytes, messages } = egressBatch({ allow: many, deny: [], open: [] });
  assertEquals(messages, 6);
  assertEquals(elements(read(bytes), "allow_out"), many);
});

Deno.test("readAnswers() counts what was accepted and reads what was refused", () => {
  const answer = (error: number, size = 36): Uint8Array => {
    const bytes = new Uint8Array((size + 3) & ~3);
    const view = new DataView(bytes.buffer);
    view.setUint32(0, size, true);
    view.setUint16(4, 2, true);
    view.setInt32(16, error, true);
    return bytes;
  };
  const join = (...parts: Uint8Array[]): Uint8Array<ArrayBuffer> => {
    const all = new Uint8Array(parts.reduce((size, part) => size + part.length, 0));
    parts.reduce((at, part) => (all.set(part, at), at + part.length), 0);
    return all;
  };
  assertEquals(readAnswers(join()), { accepted: 0, errors: [] });
  assertEquals(readAnswers(join(answer(0), answer(-2, 45), answer(0))), {
    accepted: 2,
    errors: [2],
  });
});
