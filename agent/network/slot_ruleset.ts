/** The nftables tables inside a slot's namespace: address translation, anti-spoofing, the sandbox's policy. */
import { CLOSED_NETWORKS, CLOSED_POLICY, planEgress } from "../core/egress.ts";
import { EGRESS_SETS, SLOT_TABLE } from "../core/egress_batch.ts";
import { formatIpv4, UPLINK_NAME } from "../core/slot_plan.ts";
import type { Slot } from "./slots.ts";

/**
 * Input for `nft -f` in a fresh namespace. The policy is what the three sets hold (`core/egress.ts`); it is
 * the closed one to begin with: the guest reaches nothing, and the host reaches the guest.
 *
 * The policy is asked for every packet of a connection that the guest opened, not only the first, so that a
 * new policy ends the connections that it forbids. A segment of a connection that this namespace has not seen
 * begin (a copied guest sends them) is answered with a reset here and goes no further: conntrack calls it invalid,
 * because `slot_script.ts` has switched off that it picks connections up, and nothing else of TCP is invalid to it.
 *
 * Nothing is delivered to the namespace itself and nothing but ICMP errors, and those resets to the guest, leaves
 * it, so a process that breaks out into it finds no network.
 */
export function slotRuleset(slot: Slot): string {
  const { tap, guestIp, gatewayIp, guestMac, hostIp, vethGuestIp, vethHostIp } = slot;
  return `table arp ${SLOT_TABLE} {
  chain input {
    type filter hook input priority filter; policy accept;
    iifname ${tap} arp saddr ip != ${guestIp} drop
    iifname ${tap} arp saddr ether != ${guestMac} drop
    iifname ${tap} arp daddr ip != ${gatewayIp} drop
  }
}
table inet ${SLOT_TABLE} {
  set closed {
    type ipv4_addr
    flags interval
    elements = { ${CLOSED_NETWORKS.join(", ")} }
  }
${policySets()}  chain spoof {
    type filter hook prerouting priority raw; policy accept;
    meta nfproto != ipv4 drop
    iifname ${tap} ether saddr != ${guestMac} drop
    iifname ${tap} ip saddr != ${guestIp} drop
    iifname ${UPLINK_NAME} ip daddr != { ${hostIp}, ${vethGuestIp} } drop
  }
  chain translate_in {
    type nat hook prerouting priority dstnat; policy accept;
    iifname ${UPLINK_NAME} ip saddr ${vethHostIp} ip daddr ${hostIp} dnat ip to ${guestIp}
  }
  chain translate_out {
    type nat hook postrouting priority srcnat; policy accept;
    oifname ${UPLINK_NAME} snat ip to ${vethGuestIp}
  }
  chain input {
    type filter hook input priority filter; policy drop;
  }
  chain output {
    type filter hook output priority filter; policy drop;
    meta l4proto icmp icmp type { destination-unreachable, time-exceeded, parameter-problem } accept
    oifname ${tap} tcp flags & (syn | rst) == rst accept
  }
  chain forward {
    type filter hook forward priority filter; policy drop;
    iifname ${tap} meta l4proto tcp ct state invalid reject with tcp reset
    ct state invalid drop
    iifname ${tap} oifname ${UPLINK_NAME} ct direction original ct state new,established jump egress
    iifname ${UPLINK_NAME} oifname ${tap} ct direction original ct status dnat accept
    ct direction reply ct state established accept
    ct state related meta l4proto icmp accept
  }
  chain egress {
    ip daddr @closed drop
    ip daddr @${EGRESS_SETS.allow} accept
    ip daddr @${EGRESS_SETS.deny} drop
    ip daddr @${EGRESS_SETS.open} accept
    drop
  }
}
`;
}

function policySets(): string {
  const plan = planEgress(CLOSED_POLICY);
  return (["allow", "deny", "open"] as const).map((part) => {
    const ranges = plan[part].map(({ first, end }) =>
      `${formatIpv4(first)}-${formatIpv4(end - 1)}`
    );
    const elements = ranges.length > 0 ? `    elements = { ${ranges.join(", ")} }\n` : "";
    return `  set ${EGRESS_SETS[part]} {
    type ipv4_addr
    flags interval
${elements}  }
`;
  }).join("");
}
