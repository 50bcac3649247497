/** Programs for `sh -eu` that build and remove slots: one process tree each, because spawning is what costs. */
import type { SlotRange } from "../core/slot_allocator.ts";
import {
  GUEST_PREFIX,
  HOST_VETH_MAC,
  TAP_MAC,
  UPLINK_MAC,
  UPLINK_NAME,
} from "../core/slot_plan.ts";
import { SLOT_SETTINGS } from "../core/slot_settings.ts";
import { slotRuleset } from "./slot_ruleset.ts";
import type { Slot } from "./slots.ts";

/**
 * The command line that runs these programs for a range of slots. Its last word tells such a process from others
 * when the agent that started it is dead (`orphans.ts`).
 */
export function slotShell(range: SlotRange): readonly [string, ...string[]] {
  return ["sh", "-eu", "-s", `wrenn-slots-${range.first}-${range.last}`];
}

/**
 * Builds a slot. The namespace comes first, because start-up finds leftovers by namespaces and veths, and the
 * rules come before any link is up. Every value comes from the slot plan, so nothing in it needs quoting.
 *
 * Fixed neighbour entries stand on the whole way between host and guest, so that no first packet waits for ARP. The
 * settings (`core/slot_settings.ts`) follow the rules, whose loading brings conntrack into the kernel.
 */
export function buildSlot(slot: Slot): string {
  return `ip -batch - <<'EOF'
netns add ${slot.namespace}
link add ${slot.hostVeth} address ${HOST_VETH_MAC} type veth peer name ${UPLINK_NAME} address ${UPLINK_MAC} netns ${slot.namespace}
link set ${slot.hostVeth} addrgenmode none
EOF
nsenter --net=/run/netns/${slot.namespace} sh -eu <<'INSIDE'
${insideOf(slot)}INSIDE
ip -batch - <<'EOF'
addr add ${slot.vethHostIp}/31 dev ${slot.hostVeth}
link set ${slot.hostVeth} up
neigh replace ${slot.vethGuestIp} lladdr ${UPLINK_MAC} dev ${slot.hostVeth} nud permanent
route add ${slot.hostIp}/32 via ${slot.vethGuestIp} dev ${slot.hostVeth} src ${slot.vethHostIp}
EOF
`;
}

function insideOf(slot: Slot): string {
  return `nft -f - <<'EOF'
${slotRuleset(slot)}EOF
cd /proc/sys/net
${settings()}ip -batch - <<'EOF'
link set lo up
tuntap add ${slot.tap} mode tap
link set ${slot.tap} address ${TAP_MAC}
link set ${slot.tap} up
addr add ${slot.gatewayIp}/${GUEST_PREFIX} dev ${slot.tap}
neigh replace ${slot.guestIp} lladdr ${slot.guestMac} dev ${slot.tap} nud permanent
addr add ${slot.vethGuestIp}/31 dev ${UPLINK_NAME}
link set ${UPLINK_NAME} up
neigh replace ${slot.vethHostIp} lladdr ${HOST_VETH_MAC} dev ${UPLINK_NAME} nud permanent
route add default via ${slot.vethHostIp} dev ${UPLINK_NAME}
EOF
`;
}

function settings(): string {
  return SLOT_SETTINGS.map(({ path, value, optional }) =>
    optional ? `if [ -e ${path} ]; then echo ${value} > ${path}; fi\n` : `echo ${value} > ${path}\n`
  ).join("");
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
