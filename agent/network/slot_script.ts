/** Programs for `sh -eu` that build and remove slots: one process tree each, because spawning is what costs. */
import { GUEST_PREFIX, TAP_MAC, UPLINK_NAME } from "../core/slot_plan.ts";
import { slotRuleset } from "./slot_ruleset.ts";
import type { Slot } from "./slots.ts";

/**
 * Builds a slot. The namespace comes first, because start-up finds leftovers by namespaces and veths, and the
 * rules come before any link is up. Every value comes from the slot plan, so nothing in it needs quoting.
 *
 * In the namespace: no IPv6, strict reverse path filter, ARP answered for the gateway's address alone and a
 * fixed neighbour entry for the guest, so that the first packet to it waits for no ARP.
 */
export function buildSlot(slot: Slot): string {
  return `ip -batch - <<'EOF'
netns add ${slot.namespace}
link add ${slot.hostVeth} type veth peer name ${UPLINK_NAME} netns ${slot.namespace}
link set ${slot.hostVeth} addrgenmode none
EOF
nsenter --net=/run/netns/${slot.namespace} sh -eu <<'INSIDE'
${insideOf(slot)}INSIDE
ip -batch - <<'EOF'
addr add ${slot.vethHostIp}/31 dev ${slot.hostVeth}
link set ${slot.hostVeth} up
route add ${slot.hostIp}/32 via ${slot.vethGuestIp} dev ${slot.hostVeth} src ${slot.vethHostIp}
EOF
`;
}

function insideOf(slot: Slot): string {
  return `cd /proc/sys/net
echo 1 > ipv4/ip_forward
echo 1 > ipv4/conf/all/rp_filter
echo 1 > ipv4/conf/default/rp_filter
echo 2 > ipv4/conf/all/arp_ignore
echo 2 > ipv4/conf/all/arp_announce
for i in all default; do
  if [ -e ipv6/conf/$i/disable_ipv6 ]; then echo 1 > ipv6/conf/$i/disable_ipv6; fi
done
nft -f - <<'EOF'
${slotRuleset(slot)}EOF
ip -batch - <<'EOF'
link set lo up
tuntap add ${slot.tap} mode tap
link set ${slot.tap} address ${TAP_MAC}
link set ${slot.tap} up
addr add ${slot.gatewayIp}/${GUEST_PREFIX} dev ${slot.tap}
neigh replace ${slot.guestIp} lladdr ${slot.guestMac} dev ${slot.tap} nud permanent
addr add ${slot.vethGuestIp}/31 dev ${UPLINK_NAME}
link set ${UPLINK_NAME} up
route add default via ${slot.vethHostIp} dev ${UPLINK_NAME}
EOF
`;
}

/** A slot's names: what is needed to remove it. */
export type SlotNames = Pick<Slot, "namespace" | "hostVeth">;

/**
 * Removes slots, of which parts may be missing: the veth pair first (its routes go with it), the namespace,
 * which start-up looks for, last. What is still there afterwards makes the program fail.
 */
export function removeSlots(slots: readonly SlotNames[]): string {
  return slots.map((slot) =>
    `if [ -e /proc/sys/net/ipv4/conf/${slot.hostVeth} ]; then ip link del ${slot.hostVeth}; fi
if [ -e /run/netns/${slot.namespace} ]; then ip netns del ${slot.namespace}; fi
`
  ).join("");
}
