/** Slot arithmetic: every name and address of a sandbox's network place, from its index alone. */
import type { Slot } from "../network/slots.ts";

/** Lowest slot index. */
export const FIRST_SLOT = 1;
/** Highest slot index: beyond it the addresses would leave their ranges. */
export const LAST_SLOT = 65534;

/** Addresses at which the host reaches guests, one /32 per slot. */
export const HOST_SIDE_RANGE = "10.11.0.0/16";
/** The veth pairs' /31s. */
export const VETH_RANGE = "10.12.0.0/15";
/** The guest's own address, the same in every guest. */
export const GUEST_IP = "169.254.0.21";
/** The TAP's address, the guest's gateway. */
export const GATEWAY_IP = "169.254.0.22";
/** Prefix length of the guest's network. */
export const GUEST_PREFIX = 30;
/** The guest's MAC, the same in every guest, so that a snapshot fits every slot. */
export const GUEST_MAC = "02:FC:00:00:00:05";
/** The TAP's MAC, pinned, so that a restored guest's ARP cache holds in every slot. */
export const TAP_MAC = "02:FC:00:00:00:06";
/** MAC of the host's end of every veth pair, so that its peer needs no ARP. */
export const HOST_VETH_MAC = "02:FC:00:00:00:07";
/** MAC of the namespace's end of every veth pair. */
export const UPLINK_MAC = "02:FC:00:00:00:08";
/** Name of the TAP device inside the namespace. */
export const TAP_NAME = "tap0";
/** Name of the veth peer inside the namespace. */
export const UPLINK_NAME = "eth0";

const HOST_SIDE_BASE = 0x0a0b0000; // 10.11.0.0
const VETH_BASE = 0x0a0c0000; // 10.12.0.0
const NAMESPACE = /^ns-([1-9][0-9]{0,4})$/;
const VETH = /^veth-([1-9][0-9]{0,4})$/;

/**
 * The slot of an index.
 *
 * @param index 1 to 65534.
 * @throws {RangeError} When the index is not a slot's.
 */
export function planSlot(index: number): Slot {
  if (!isSlotIndex(index)) {
    throw new RangeError(`Slot index must be ${FIRST_SLOT} to ${LAST_SLOT}, got '${index}'`);
  }
  return {
    index,
    namespace: `ns-${index}`,
    hostVeth: `veth-${index}`,
    tap: TAP_NAME,
    hostIp: formatIpv4(HOST_SIDE_BASE + index),
    vethHostIp: formatIpv4(VETH_BASE + 2 * index),
    vethGuestIp: formatIpv4(VETH_BASE + 2 * index + 1),
    guestIp: GUEST_IP,
    gatewayIp: GATEWAY_IP,
    guestMac: GUEST_MAC,
  };
}

/** Index of a namespace name `ns-{index}`; undefined for any other name. */
export function slotIndexOf(namespaceName: string): number | undefined {
  return indexIn(NAMESPACE, namespaceName);
}

/** Index of a host interface name `veth-{index}`; undefined for any other name. */
export function slotIndexOfVeth(interfaceName: string): number | undefined {
  return indexIn(VETH, interfaceName);
}

/** True for an integer from 1 to 65534. */
export function isSlotIndex(index: number): boolean {
  return Number.isInteger(index) && index >= FIRST_SLOT && index <= LAST_SLOT;
}

/** Dotted form of a 32-bit address. */
export function formatIpv4(address: number): string {
  return [24, 16, 8, 0].map((shift) => (address >>> shift) & 255).join(".");
}

function indexIn(pattern: RegExp, name: string): number | undefined {
  const digits = pattern.exec(name)?.[1];
  if (digits === undefined) return undefined;
  const index = Number(digits);
  return isSlotIndex(index) ? index : undefined;
}
