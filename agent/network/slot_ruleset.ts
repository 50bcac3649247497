/** The nftables tables inside a slot's namespace: address translation, anti-spoofing, the sandbox's policy. */
import { CLOSED_NETWORKS, type EgressPlan } from "../core/egress.ts";
import { UPLINK_NAME } from "../core/slot_plan.ts";
import type { Slot } from "./slots.ts";

/** Name of the tables inside a namespace (families `inet` and `arp`). */
const TABLE = "wrenn";

/**
 * Input for `nft -f` in a fresh namespace. Until a policy is in force ({@linkcode policyRuleset}) the guest
 * reaches nothing; the host reaches the guest.
 *
 * The policy is asked for every packet of a connection that the guest opened, not only the first, so that a
 * new policy ends the connections that it forbids. Nothing is delivered to the namespace itself and nothing
 * but ICMP errors leaves it, so a process that breaks out into it finds no network.
 */
export function slotRuleset(slot: Slot): string {
  const { tap, guestIp, gatewayIp, guestMac, hostIp, vethGuestIp, vethHostIp } = slot;
  return `table arp ${TABLE} {
  chain input {
    type filter hook input priority filter; policy accept;
    iifname ${tap} arp saddr ip != ${guestIp} drop
    iifname ${tap} arp saddr ether != ${guestMac} drop
    iifname ${tap} arp daddr ip != ${gatewayIp} drop
  }
}
table inet ${TABLE} {
  set closed {
    type ipv4_addr
    flags interval
    elements = { ${CLOSED_NETWORKS.join(", ")} }
  }
  set allow_out {
    type ipv4_addr
    flags interval
  }
  set deny_out {
    type ipv4_addr
    flags interval
  }
  chain spoof {
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
  }
  chain forward {
    type filter hook forward priority filter; policy drop;
    ct state invalid drop
    iifname ${tap} oifname ${UPLINK_NAME} ct direction original ct state new,established jump egress
    iifname ${UPLINK_NAME} oifname ${tap} ct direction original ct status dnat accept
    ct direction reply ct state established accept
    ct state related meta l4proto icmp accept
  }
  chain egress {
    drop
  }
}
`;
}

/** Input for `nft -f` in a slot's namespace: puts a policy in force in one transaction. */
export function policyRuleset(plan: EgressPlan): string {
  const lines = [
    `flush chain inet ${TABLE} egress`,
    `flush set inet ${TABLE} allow_out`,
    `flush set inet ${TABLE} deny_out`,
  ];
  const add = (set: string, networks: readonly string[]): void => {
    if (networks.length === 0) return;
    lines.push(`add element inet ${TABLE} ${set} { ${networks.join(", ")} }`);
  };
  add("allow_out", plan.allow);
  add("deny_out", plan.deny);
  const rules = plan.internet
    ? ["ip daddr @closed drop", "ip daddr @allow_out accept", "ip daddr @deny_out drop", "accept"]
    : ["drop"];
  for (const rule of rules) lines.push(`add rule inet ${TABLE} egress ${rule}`);
  return lines.join("\n") + "\n";
}
