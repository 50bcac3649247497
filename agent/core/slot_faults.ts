/** Whether a slot that an agent before this one built is whole: what was found, against the slot's plan. */
import type { Slot } from "../network/slots.ts";
import { EGRESS_SETS } from "./egress_batch.ts";
import { GUEST_PREFIX, HOST_VETH_MAC, TAP_MAC, UPLINK_MAC, UPLINK_NAME } from "./slot_plan.ts";
import { SLOT_SETTINGS } from "./slot_settings.ts";

/** A link that has an IPv4 address. */
export interface FoundLink {
  readonly name: string;
  readonly up: boolean;
  readonly mac: string;
  /** `veth`, `tun` and so on. */
  readonly kind: string;
  /** `address/prefix`. */
  readonly addresses: readonly string[];
}

/** An IPv4 route of the main table. */
export interface FoundRoute {
  /** `default`, an address or a network. */
  readonly to: string;
  readonly via: string | undefined;
  readonly dev: string | undefined;
}

/** A fixed neighbour entry. */
export interface FoundNeighbour {
  readonly address: string;
  readonly mac: string | undefined;
  readonly dev: string;
}

/** Links, routes and fixed neighbours of one network namespace. */
export interface FoundNetwork {
  readonly links: readonly FoundLink[];
  readonly routes: readonly FoundRoute[];
  readonly neighbours: readonly FoundNeighbour[];
}

/** What is inside a slot's namespace. */
export interface FoundInside extends FoundNetwork {
  /** Values of {@linkcode SLOT_SETTINGS}, by path; missing ones are not there. */
  readonly settings: ReadonlyMap<string, string>;
  /** All rules, as `nft list` writes them. */
  readonly rules: string;
}

/**
 * What is missing or wrong, as parts of a sentence; nothing when the slot is whole.
 *
 * @param host What is in the host's namespace.
 * @param inside What is in the slot's; undefined when it cannot be entered.
 * @param rules What {@linkcode comparableRules} makes of the rules of a slot that is whole.
 */
export function slotFaults(
  slot: Slot,
  host: FoundNetwork,
  inside: FoundInside | undefined,
  rules: string,
): string[] {
  const { hostVeth, vethHostIp, vethGuestIp, hostIp, tap, gatewayIp, guestIp, guestMac } = slot;
  const faults = [
    ...linkFaults(host, hostVeth, "veth", HOST_VETH_MAC, `${vethHostIp}/31`),
    ...routeFaults(host, hostIp, vethGuestIp, hostVeth),
    ...neighbourFaults(host, vethGuestIp, UPLINK_MAC, hostVeth),
  ];
  if (inside === undefined) return ["its namespace", ...faults];
  faults.push(
    ...linkFaults(inside, UPLINK_NAME, "veth", UPLINK_MAC, `${vethGuestIp}/31`),
    ...linkFaults(inside, tap, "tun", TAP_MAC, `${gatewayIp}/${GUEST_PREFIX}`),
    ...routeFaults(inside, "default", vethHostIp, UPLINK_NAME),
    ...neighbourFaults(inside, vethHostIp, HOST_VETH_MAC, UPLINK_NAME),
    ...neighbourFaults(inside, guestIp, guestMac, tap),
  );
  for (const { path, value, optional } of SLOT_SETTINGS) {
    const found = inside.settings.get(path);
    if (found !== value && !(optional && found === undefined)) faults.push(`setting '${path}'`);
  }
  if (comparableRules(inside.rules, slot) !== rules) faults.push("its rules");
  return faults;
}

/** Rules without what differs between slots that are whole: their addresses, and the elements of a policy. */
export function comparableRules(text: string, slot: Slot): string {
  let comparable = text;
  for (const set of Object.values(EGRESS_SETS)) {
    const elements = new RegExp(`(set ${set} \\{[^{}]*?)\\s*elements = \\{[^{}]*\\}`);
    comparable = comparable.replace(elements, "$1");
  }
  for (const name of ["hostIp", "vethHostIp", "vethGuestIp"] as const) {
    const address = slot[name].replaceAll(".", "\\.");
    comparable = comparable.replaceAll(new RegExp(`(?<![\\d.])${address}(?![\\d.])`, "g"), name);
  }
  return comparable;
}

function linkFaults(
  { links }: FoundNetwork,
  name: string,
  kind: string,
  mac: string,
  address: string,
): string[] {
  const link = links.find((link) => link.name === name);
  const whole = link?.up && link.kind === kind && sameMac(link.mac, mac) &&
    link.addresses.includes(address);
  return whole ? [] : [`'${name}' with ${address}`];
}

function routeFaults({ routes }: FoundNetwork, to: string, via: string, dev: string): string[] {
  const whole = routes.some((r) => r.to === to && r.via === via && r.dev === dev);
  return whole ? [] : [`route to ${to}`];
}

function neighbourFaults(
  { neighbours }: FoundNetwork,
  address: string,
  mac: string,
  dev: string,
): string[] {
  const whole = neighbours.some((n) =>
    n.address === address && n.dev === dev && sameMac(n.mac, mac)
  );
  return whole ? [] : [`neighbour ${address}`];
}

function sameMac(found: string | undefined, planned: string): boolean {
  return found?.toLowerCase() === planned.toLowerCase();
}
