/** A policy as the bytes of one nf_tables transaction (netlink(7), linux/netfilter/nf_tables.h). */
import type { AddressRange, EgressPlan } from "./egress.ts";

/** Name of the tables inside a slot's namespace. */
export const SLOT_TABLE = "wrenn";

/** The sets of a slot's rules that a policy fills, by their part of the plan. */
export const EGRESS_SETS: Readonly<Record<keyof EgressPlan, string>> = {
  allow: "allow_out",
  deny: "deny_out",
  open: "open_out",
};

/** A transaction that puts a plan in force. */
export interface EgressBatch {
  readonly bytes: Uint8Array<ArrayBuffer>;
  /** How many of its messages the kernel accepts when it is in force. */
  readonly messages: number;
}

/** What the kernel answered to a transaction. */
export interface BatchAnswer {
  /** Messages that were accepted. */
  readonly accepted: number;
  /** Error numbers, positive, of what was refused. With any of them nothing of the transaction is in force. */
  readonly errors: readonly number[];
}

const NLMSG_ERROR = 2;
const BATCH_BEGIN = 0x10;
const BATCH_END = 0x11;
const NFTABLES = 10;
const NEWSETELEM = (NFTABLES << 8) | 12;
const DELSETELEM = (NFTABLES << 8) | 14;
const REQUEST = 1;
const ACK = 4;
const CREATE = 0x400;
const FAMILY_INET = 1;
const NESTED = 0x8000;
const HEADER_SIZE = 16;
/** Attributes, by the structure that has them. */
const List = { table: 1, set: 2, elements: 3, element: 1 } as const;
const Element = { key: 1, flags: 3 } as const;
const DATA_VALUE = 1;
const INTERVAL_END = 1;
/** Ranges per message, each of at most 40 bytes: the length of an attribute has 16 bits. */
const RANGES_PER_MESSAGE = 1000;

const encoder = new TextEncoder();

/** The transaction that replaces the elements of the three sets. */
export function egressBatch(plan: EgressPlan): EgressBatch {
  const writer = new Writer();
  let messages = 0;
  writer.message(BATCH_BEGIN, REQUEST, 0, NFTABLES, () => {});
  const change = (type: number, flags: number, set: string, ranges: readonly AddressRange[]) => {
    messages++;
    writer.message(type, REQUEST | ACK | flags, FAMILY_INET, 0, () => {
      writer.attribute(List.table, encoder.encode(`${SLOT_TABLE}\0`));
      writer.attribute(List.set, encoder.encode(`${set}\0`));
      if (ranges.length > 0) writer.nested(List.elements, () => ranges.forEach(range));
    });
  };
  const range = ({ first, end }: AddressRange): void => {
    bound(first, false);
    // What ends at the highest address has no end.
    if (end < 2 ** 32) bound(end, true);
  };
  const bound = (address: number, isEnd: boolean): void =>
    writer.nested(List.element, () => {
      writer.nested(Element.key, () => writer.attribute(DATA_VALUE, bigEndian(address)));
      if (isEnd) writer.attribute(Element.flags, bigEndian(INTERVAL_END));
    });

  for (const part of ["allow", "deny", "open"] as const) {
    const set = EGRESS_SETS[part];
    change(DELSETELEM, 0, set, []); // Without elements it empties the set.
    for (let at = 0; at < plan[part].length; at += RANGES_PER_MESSAGE) {
      change(NEWSETELEM, CREATE, set, plan[part].slice(at, at + RANGES_PER_MESSAGE));
    }
  }
  writer.message(BATCH_END, REQUEST, 0, NFTABLES, () => {});
  return { bytes: writer.bytes(), messages };
}

/** Reads answers of the kernel, as many whole ones as the bytes hold. */
export function readAnswers(bytes: Uint8Array<ArrayBuffer>): BatchAnswer {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const errors: number[] = [];
  let accepted = 0;
  for (let at = 0; at + HEADER_SIZE + 4 <= bytes.length;) {
    const size = view.getUint32(at, LITTLE);
    if (view.getUint16(at + 4, LITTLE) === NLMSG_ERROR) {
      const error = view.getInt32(at + HEADER_SIZE, LITTLE);
      if (error === 0) accepted++;
      else errors.push(-error);
    }
    at += Math.max(aligned(size), HEADER_SIZE);
  }
  return { accepted, errors };
}

/** Netlink's own numbers are in the machine's order: every machine that Deno runs on is little-endian. */
const LITTLE = true;

function aligned(size: number): number {
  return (size + 3) & ~3;
}

function bigEndian(value: number): Uint8Array {
  const bytes = new Uint8Array(4);
  new DataView(bytes.buffer).setUint32(0, value);
  return bytes;
}

/** Appends messages and attributes to a buffer that grows. */
class Writer {
  #bytes: Uint8Array<ArrayBuffer> = new Uint8Array(1024);
  #view: DataView = new DataView(this.#bytes.buffer);
  #size = 0;
  #sequence = 0;

  bytes(): Uint8Array<ArrayBuffer> {
    return this.#bytes.slice(0, this.#size);
  }

  /** `struct nlmsghdr` and `struct nfgenmsg`, then what `body` appends. */
  message(type: number, flags: number, family: number, resource: number, body: () => void): void {
    const start = this.#take(HEADER_SIZE + 4);
    this.#view.setUint16(start + 4, type, LITTLE);
    this.#view.setUint16(start + 6, flags, LITTLE);
    this.#view.setUint32(start + 8, this.#sequence++, LITTLE);
    this.#view.setUint8(start + HEADER_SIZE, family);
    this.#view.setUint16(start + HEADER_SIZE + 2, resource);
    body();
    this.#view.setUint32(start, this.#size - start, LITTLE);
  }

  attribute(type: number, value: Uint8Array): void {
    const start = this.#take(4 + aligned(value.length));
    this.#view.setUint16(start, 4 + value.length, LITTLE);
    this.#view.setUint16(start + 2, type, LITTLE);
    this.#bytes.set(value, start + 4);
  }

  nested(type: number, body: () => void): void {
    const start = this.#take(4);
    this.#view.setUint16(start + 2, type | NESTED, LITTLE);
    body();
    this.#view.setUint16(start, this.#size - start, LITTLE);
  }

  /** Makes room for zero bytes at the end and answers where they start. */
  #take(size: number): number {
    const start = this.#size;
    this.#size += size;
    if (this.#size > this.#bytes.length) {
      const larger = new Uint8Array(2 * this.#size);
      larger.set(this.#bytes);
      this.#bytes = larger;
      this.#view = new DataView(larger.buffer);
    }
    return start;
  }
}
