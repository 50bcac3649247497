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

/** What a start leaves alone. */
export interface SlotsStartOptions {
  /** Indexes of slots whose sandboxes go on: they stay as they are until {@linkcode NetworkSlots.adopt}. */
  readonly keep?: ReadonlySet<number>;
}

/** What a stop leaves alone. */
export interface SlotsStopOptions {
  /** Indexes of slots whose sandboxes go on without an agent. */
  readonly keep?: ReadonlySet<number>;
}

/** A kind of work, counted since the process began. */
export interface WorkFigures {
  /** How often it was done with success. */
  readonly count: number;
  /** How long all of it took together, milliseconds. */
  readonly totalMs: number;
}

/** Figures for metrics. */
export interface SlotFigures {
  /** Slots that sandboxes have, {@linkcode NetworkSlots.inUse}. */
  readonly claimed: number;
  /** Slots that are built and nobody's, {@linkcode NetworkSlots.ready}. */
  readonly ready: number;
  /** Slots that start left alone and nobody has adopted. */
  readonly kept: number;
  /** Indexes that are out of use, because others hold their names. */
  readonly lost: number;
  /** Claims that found a slot ready. */
  readonly claimsReady: number;
  /** Claims that built their slot. */
  readonly claimsBuilt: number;
  /** Builds, for claims and ahead of them. */
  readonly builds: WorkFigures;
  /** Builds that failed. */
  readonly buildFailures: number;
  /** Removals. */
  readonly removals: WorkFigures;
  /** Policies that were written. */
  readonly policies: WorkFigures;
  /** Policies that were in force already. */
  readonly policiesUnchanged: number;
}

/** Makes and removes slots on this host. */
export interface NetworkSlots {
  /**
   * Prepares the host: forwarding, the nftables table, removal of slots that a dead agent left, but for those that
   * `keep` names. Those are looked at, and what is wrong with one is logged. Then begins to build slots ahead of
   * claims, if this object was told to. Safe to repeat: slots in use are left alone, and the table is replaced in one
   * transaction, so that guests are never unprotected and their connections go on.
   */
  start(options?: SlotsStartOptions): Promise<void>;
  /**
   * Takes over a slot that start was told to keep, as claimed. Which policy is in force is not known: the next
   * {@linkcode NetworkSlots.applyPolicy} writes in any case.
   *
   * @throws {WrennError} `not_found` when start did not keep it; `internal` when something of it is missing or not
   * what it should be, and then it is removed; `unavailable` after stop
   */
  adopt(index: number): Promise<Slot>;
  /**
   * Claims a free slot: one that is ready, else it is built. On failure nothing is left. Nothing of another sandbox is
   * in it. The host reaches the guest; the guest reaches nothing until {@linkcode NetworkSlots.applyPolicy}.
   *
   * @throws {WrennError} `capacity_exhausted`; `unavailable` after stop
   */
  claim(): Promise<Slot>;
  /**
   * Puts a policy in force, replacing the one before, atomically; it is in force when this resolves. Connections that
   * it forbids end. Does nothing when the same policy is in force.
   *
   * @throws {WrennError} `invalid_request` for what is not an IPv4 address or CIDR; the policy before stays
   */
  applyPolicy(slot: Slot, policy: NetworkPolicy): Promise<void>;
  /** Removes a slot, whose namespace nothing reuses. Idempotent, also when another sandbox has its index by then. */
  release(slot: Slot): Promise<void>;
  /** Slots that sandboxes have: claimed or adopted, and not released. */
  inUse(): number;
  /** Slots that are built ahead of claims. */
  ready(): number;
  /** Figures for metrics. */
  figures(): SlotFigures;
  /**
   * Ends building ahead and removes everything that `start` and `claim` made and `adopt` took over, but for the slots
   * that `keep` names. Those, and slots that start kept and nobody adopted, stay for the next agent, and the host's
   * table with them, so that they are not unprotected.
   */
  stop(options?: SlotsStopOptions): Promise<void>;
}
