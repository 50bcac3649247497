/** What a guest may reach: IPv4 networks, the ranges that are always closed, and a sandbox's policy. */
import { WrennError } from "@wrenn/common";
import type { NetworkPolicy } from "../network/slots.ts";
import { formatIpv4 } from "./slot_plan.ts";

/** An IPv4 network. */
export interface Cidr {
  /** Lowest address, as an unsigned 32-bit number. */
  readonly base: number;
  /** Prefix length, 0 to 32. */
  readonly prefix: number;
}

/**
 * Networks that no guest reaches, whatever its policy says: this host, private, shared, link-local (cloud
 * metadata), benchmark, multicast and reserved ranges (IANA special-purpose registry, RFC 6890). The
 * documentation ranges stay open: nothing on the internet answers there and tests play it in them.
 */
export const CLOSED_NETWORKS: readonly string[] = [
  "0.0.0.0/8",
  "10.0.0.0/8",
  "100.64.0.0/10",
  "127.0.0.0/8",
  "169.254.0.0/16",
  "172.16.0.0/12",
  "192.0.0.0/24",
  "192.168.0.0/16",
  "198.18.0.0/15",
  "224.0.0.0/4",
  "240.0.0.0/4",
];

/** Most networks in one list of a policy. */
export const MAX_POLICY_NETWORKS = 1000;

/** IPv4 addresses from `first` up to and without `end`, as unsigned numbers; the highest `end` is 2^32. */
export interface AddressRange {
  readonly first: number;
  readonly end: number;
}

/**
 * A policy as what it changes in a slot's rules: the elements of their three sets. The first set that has an
 * address decides about it; an address in none of them is closed.
 *
 * A packet that meets the rules while they change may find some sets with the old plan's elements and some with the
 * new one's. Such a mixture opens nothing that both plans close, because a plan that opens nothing denies everything.
 */
export interface EgressPlan {
  /** Open, whatever the others say (but for {@linkcode CLOSED_NETWORKS}). */
  readonly allow: readonly AddressRange[];
  /** Closed. */
  readonly deny: readonly AddressRange[];
  /** Open: every address or none. */
  readonly open: readonly AddressRange[];
}

/** The policy of a fresh slot: nothing is reached. */
export const CLOSED_POLICY: NetworkPolicy = { internet: false, allowOut: [], denyOut: [] };

const EVERY_ADDRESS: AddressRange = { first: 0, end: 2 ** 32 };

/**
 * Checks a policy and brings it into the form of the rules' sets.
 *
 * @throws {WrennError} `invalid_request`
 */
export function planEgress(policy: NetworkPolicy): EgressPlan {
  const allow = networks(policy.allowOut, "allow_out");
  const deny = networks(policy.denyOut, "deny_out");
  if (!policy.internet) return { allow: [], deny: [EVERY_ADDRESS], open: [] };
  return { allow: toRanges(allow), deny: toRanges(deny), open: [EVERY_ADDRESS] };
}

/** True when two policies are written the same. Others may still mean the same. */
export function samePolicy(a: NetworkPolicy, b: NetworkPolicy): boolean {
  return a.internet === b.internet && sameList(a.allowOut, b.allowOut) &&
    sameList(a.denyOut, b.denyOut);
}

/** The addresses of networks as ranges in ascending order, of which no two touch. */
export function toRanges(cidrs: readonly Cidr[]): AddressRange[] {
  const ranges: { first: number; end: number }[] = [];
  for (const { base, prefix } of reduceCidrs(cidrs)) {
    const end = base + 2 ** (32 - prefix);
    const last = ranges.at(-1);
    if (last?.end === base) last.end = end;
    else ranges.push({ first: base, end });
  }
  return ranges;
}

/** The address as an unsigned 32-bit number; undefined unless it is four decimal numbers without leading zeros. */
export function parseIpv4(text: string): number | undefined {
  const parts = text.split(".");
  if (parts.length !== 4) return undefined;
  let address = 0;
  for (const part of parts) {
    if (!/^(0|[1-9][0-9]{0,2})$/.test(part) || Number(part) > 255) return undefined;
    address = address * 256 + Number(part);
  }
  return address;
}

/**
 * Parses `a.b.c.d/n`, or `a.b.c.d` for one address. Bits below the prefix are cleared.
 *
 * @throws {WrennError} `invalid_request`
 */
export function parseCidr(text: string): Cidr {
  const [address = "", prefixText, ...rest] = text.split("/");
  const base = parseIpv4(address);
  const prefix = prefixText === undefined ? 32 : parsePrefix(prefixText);
  if (base === undefined || prefix === undefined || rest.length > 0) {
    throw new WrennError(
      "invalid_request",
      `Not an IPv4 address or CIDR: '${text.slice(0, 64)}'`,
    );
  }
  return { base: lowest(base, prefix), prefix };
}

/** Canonical text, `a.b.c.d/n`. */
export function formatCidr(cidr: Cidr): string {
  return `${formatIpv4(cidr.base)}/${cidr.prefix}`;
}

/** True when every address of `inner` is in `outer`. */
export function contains(outer: Cidr, inner: Cidr): boolean {
  return outer.prefix <= inner.prefix && lowest(inner.base, outer.prefix) === outer.base;
}

/** Drops the networks that lie inside another one of the list; sorted by address. */
export function reduceCidrs(cidrs: readonly Cidr[]): Cidr[] {
  const sorted = cidrs.toSorted((a, b) => a.base - b.base || a.prefix - b.prefix);
  const kept: Cidr[] = [];
  for (const cidr of sorted) {
    const last = kept.at(-1);
    if (last === undefined || !contains(last, cidr)) kept.push(cidr);
  }
  return kept;
}

function sameList(a: readonly string[], b: readonly string[]): boolean {
  return a === b || (a.length === b.length && a.every((text, i) => text === b[i]));
}

function networks(list: readonly string[], name: string): Cidr[] {
  if (list.length > MAX_POLICY_NETWORKS) {
    throw new WrennError(
      "invalid_request",
      `Too many networks in '${name}': at most ${MAX_POLICY_NETWORKS}`,
    );
  }
  return list.map(parseCidr);
}

function parsePrefix(text: string): number | undefined {
  return /^(0|[1-9][0-9]?)$/.test(text) && Number(text) <= 32 ? Number(text) : undefined;
}

function lowest(address: number, prefix: number): number {
  const size = 2 ** (32 - prefix);
  return Math.floor(address / size) * size;
}
