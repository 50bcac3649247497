/** The host's nftables table: what guests may not do, whatever their namespaces let through. */
import { CLOSED_NETWORKS } from "../core/egress.ts";
import { VETH_RANGE } from "../core/slot_plan.ts";

/** Name of an agent's table (family `inet`), from the first index of its range. */
export function hostTable(firstSlot: number): string {
  return `wrenn-${firstSlot}`;
}

/**
 * Input for `nft -f`: replaces the table in one transaction, during which each packet meets the old rules or the new
 * ones. For that no rule asks an interval set: on Linux 6.18 the rules of a new table do not find the elements of
 * such a set for some microseconds.
 *
 * Rules match `veth-*`, so that their number does not grow with the slots, and drop in chains of their own ahead of
 * the usual priorities, so that no other table can let through what they refuse.
 *
 * `prerouting` runs before destination NAT of other software: a guest that calls an address of this host is
 * stopped there, before a published container port could redirect it. `input` and `forward` let replies to
 * connections of the host through and nothing else towards the host, other guests and closed networks.
 */
export function hostRuleset(table: string): string {
  return `table inet ${table}
delete table inet ${table}
table inet ${table} {
  chain prerouting {
    type filter hook prerouting priority mangle; policy accept;
    iifname != "veth-*" return
    meta nfproto != ipv4 drop
    fib saddr . iif oif 0 drop
    ct state invalid drop
    ct direction original fib daddr type { local, broadcast, multicast, anycast } drop
  }
  chain input {
    type filter hook input priority filter - 10; policy accept;
    iifname != "veth-*" return
    ct state established ct direction reply accept
    ct state related meta l4proto icmp accept
    drop
  }
  chain forward {
    type filter hook forward priority filter - 10; policy accept;
    iifname "veth-*" jump from_guest
    oifname "veth-*" ct direction reply ct state established accept
    oifname "veth-*" ct state related meta l4proto icmp accept
    oifname "veth-*" drop
  }
  chain from_guest {
    oifname "veth-*" drop
    ip saddr != ${VETH_RANGE} drop
${CLOSED_NETWORKS.map((network) => `    ip daddr ${network} drop`).join("\n")}
    tcp flags syn tcp option maxseg size set rt mtu
  }
  chain output {
    type filter hook output priority filter - 10; policy accept;
    oifname "veth-*" meta nfproto != ipv4 drop
  }
  chain postrouting {
    type nat hook postrouting priority srcnat; policy accept;
    ip saddr ${VETH_RANGE} oifname != "veth-*" oifname != "lo" masquerade
  }
}
`;
}

/** Input for `nft -f`: removes the table, whether or not it is there. */
export function hostRulesetRemoval(table: string): string {
  return `table inet ${table}\ndelete table inet ${table}\n`;
}
