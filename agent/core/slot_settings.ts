/** Kernel settings of a slot's namespace. */

/** One setting. */
export interface SlotSetting {
  /** Below `/proc/sys/net`. */
  readonly path: string;
  readonly value: string;
  /** Kernels without the feature do not have it. */
  readonly optional?: boolean;
}

/**
 * What every slot's namespace is set to: forwarding, strict reverse path filter, ARP answered for the own address
 * alone, no IPv6.
 *
 * Conntrack picks up no TCP connection that it has not seen begin. It does not judge sequence numbers either, so that
 * among a guest's segments only those of unknown connections are invalid, and a reset for them never ends a live one.
 */
export const SLOT_SETTINGS: readonly SlotSetting[] = [
  { path: "ipv4/ip_forward", value: "1" },
  { path: "ipv4/conf/all/rp_filter", value: "1" },
  { path: "ipv4/conf/default/rp_filter", value: "1" },
  { path: "ipv4/conf/all/arp_ignore", value: "2" },
  { path: "ipv4/conf/all/arp_announce", value: "2" },
  { path: "ipv6/conf/all/disable_ipv6", value: "1", optional: true },
  { path: "ipv6/conf/default/disable_ipv6", value: "1", optional: true },
  { path: "netfilter/nf_conntrack_tcp_loose", value: "0" },
  { path: "netfilter/nf_conntrack_tcp_be_liberal", value: "1" },
];
