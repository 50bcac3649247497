/** Network slots: a namespace, a veth pair and a TAP per sandbox, all named by one index. */

/** The network place of one sandbox. Every field is a function of `index` (`core/slot_plan.ts`). */
export interface Slot {
  /** 1 to 65534. */
  readonly index: number;
  /** `ns-{index}`. */
  readonly namespace: string;
  /** Host end of the veth pair, `veth-{index}`. */
  readonly hostVeth: string;
  /** TAP device inside the namespace. */
  readonly tap: string;
  /** Address at which the host reaches the guest, `10.11.x.y`. */
  readonly hostIp: string;
  /** Host end of the veth pair's /31. */
  readonly vethHostIp: string;
  /** Namespace end of the veth pair's /31. */
  readonly vethGuestIp: string;
  /** The guest's own address, the same in every guest. */
  readonly guestIp: string;
  /** Gateway as the guest sees it: the TAP's address. */
  readonly gatewayIp: string;
  /** The guest's MAC, the same in every guest. */
  readonly guestMac: string;
}

/** What a guest may reach beyond replies. Private, link-local and host ranges stay closed in any case. */
export interface NetworkPolicy {
  /** False closes everything outbound. */
  readonly internet: boolean;
  /** IPv4 CIDRs that are open although `denyOut` names them. */
  readonly allowOut: readonly string[];
  /** IPv4 CIDRs that are closed. */
  readonly denyOut: readonly string[];
}

/** Makes and removes slots on this host. */
export interface NetworkSlots {
  /** Prepares the host: forwarding, the nftables table, removal of slots that a dead agent left. */
  start(): Promise<void>;
  /**
   * Claims a free slot and builds it. On failure nothing is left. The host reaches the guest; the guest
   * reaches nothing until {@linkcode NetworkSlots.applyPolicy}.
   *
   * @throws {WrennError} `capacity_exhausted`
   */
  claim(): Promise<Slot>;
  /**
   * Puts a policy in force, replacing the one before, atomically. Connections that it forbids end.
   *
   * @throws {WrennError} `invalid_request` for what is not an IPv4 address or CIDR; the policy before stays
   */
  applyPolicy(slot: Slot, policy: NetworkPolicy): Promise<void>;
  /** Removes a slot. Idempotent, also when another sandbox has its index by then. */
  release(slot: Slot): Promise<void>;
  /** Slots in use. */
  inUse(): number;
  /** Removes everything that `start` and `claim` made. */
  stop(): Promise<void>;
}
