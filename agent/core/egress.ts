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

/** A policy that has been checked: networks in canonical form, none of a list inside another. */
export interface EgressPlan {
  /** False closes everything outbound. */
  readonly internet: boolean;
  /** Open although `deny` names them. */
  readonly allow: readonly string[];
  /** Closed. */
  readonly deny: readonly string[];
}

/**
 * Checks a policy and brings its networks into canonical form.
 *
 * @throws {WrennError} `invalid_request`
 */
export function planEgress(policy: NetworkPolicy): EgressPlan {
  return {
    internet: policy.internet,
    allow: canonical(policy.allowOut, "allow_out"),
    deny: canonical(policy.denyOut, "deny_out"),
  };
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

function canonical(list: readonly string[], name: string): string[] {
  if (list.length > MAX_POLICY_NETWORKS) {
    throw new WrennError(
      "invalid_request",
      `Too many networks in '${name}': at most ${MAX_POLICY_NETWORKS}`,
    );
  }
  return reduceCidrs(list.map(parseCidr)).map(formatCidr);
}

function parsePrefix(text: string): number | undefined {
  return /^(0|[1-9][0-9]?)$/.test(text) && Number(text) <= 32 ? Number(text) : undefined;
}

function lowest(address: number, prefix: number): number {
  const size = 2 ** (32 - prefix);
  return Math.floor(address / size) * size;
}
