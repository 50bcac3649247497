/**
 * Which VMM runs the machines, under what, and what their disks are: from what was asked for, what the host can do and
 * what the data folder holds.
 */
import { ConfigError } from "@wrenn/common";
import type { Accelerator } from "./qemu_args.ts";

/** A VMM that the agent has a driver for. */
export type VmmKind = "qemu" | "firecracker";
/** A kind of disk that the agent has a store for. */
export type RootfsKind = "qcow2" | "dm";

/** What keeps a Firecracker from the host: its jailer, or namespaces and a uid alone. */
export type JailKind = "jailer" | "namespace";

/** `WRENN_VMM`, `WRENN_JAIL`, `WRENN_ACCEL` and `WRENN_ROOTFS`. */
export interface PlatformWishes {
  readonly vmm: "auto" | VmmKind;
  readonly jail: "auto" | JailKind;
  readonly accelerator: "auto" | Accelerator;
  readonly rootfs: "auto" | RootfsKind;
}

/** What the host can do: undefined where it can, else why not, in words. */
export interface PlatformFaults {
  /** No guest starts under KVM. */
  readonly kvm: string | undefined;
  readonly qemu: string | undefined;
  readonly firecracker: string | undefined;
  readonly jailer: string | undefined;
  readonly deviceMapper: string | undefined;
}

/** What a data folder holds from agents before. */
export interface HeldData {
  /** What the last agent ran with. */
  readonly last: { readonly vmm: VmmKind; readonly rootfs: RootfsKind };
  /** Disks of sandboxes; a machine may run on each. */
  readonly sandboxes: number;
  /** Disks of machines that are nobody's: a dead agent left them. */
  readonly leftovers: number;
  /** Hibernated sandboxes, generations and named snapshots. */
  readonly snapshots: number;
}

/** What the agent runs with, and why: a part of a sentence for each. */
export interface PlatformChoice {
  readonly vmm: VmmKind;
  /** Of Firecracker. */
  readonly jail: JailKind;
  readonly accelerator: Accelerator;
  readonly rootfs: RootfsKind;
  readonly reasons: Readonly<Record<"vmm" | "accelerator" | "rootfs", string>>;
}

const VMM_NAMES: Readonly<Record<VmmKind, string>> = { qemu: "QEMU", firecracker: "Firecracker" };
const CONFIGURED = "configured";

/**
 * Decides. A data folder that holds something goes on as it was, unless told otherwise.
 *
 * @throws {ConfigError} When what was asked for cannot be had on this host or with this data: names what is missing.
 */
export function choosePlatform(
  wishes: PlatformWishes,
  faults: PlatformFaults,
  held: HeldData,
): PlatformChoice {
  const rootfs = chooseRootfs(wishes, faults, held);
  const vmm = chooseVmm(wishes, faults, held, rootfs.kind);
  const accelerator = chooseAccelerator(wishes, faults, vmm.kind);
  return {
    vmm: vmm.kind,
    jail: chooseJail(wishes, faults),
    accelerator: accelerator.kind,
    rootfs: rootfs.kind,
    reasons: { vmm: vmm.reason, accelerator: accelerator.reason, rootfs: rootfs.reason },
  };
}

/** The choice in one sentence. */
export function choiceSentence(choice: PlatformChoice): string {
  const { vmm, jail, accelerator, rootfs, reasons } = choice;
  const bare = vmm === "firecracker" && jail === "namespace" ? " without its jailer" : "";
  return `Machines run in ${VMM_NAMES[vmm]}${bare} (${reasons.vmm}) under ${accelerator} ` +
    `(${reasons.accelerator}) on ${rootfs} disks (${reasons.rootfs})`;
}

interface Decision<T> {
  readonly kind: T;
  readonly reason: string;
}

function chooseRootfs(
  { vmm, rootfs }: PlatformWishes,
  { deviceMapper }: PlatformFaults,
  held: HeldData,
): Decision<RootfsKind> {
  const needed = vmm === "firecracker" ? "dm" : undefined;
  if (rootfs === "qcow2" && needed) {
    throw wrong("WRENN_ROOTFS", "Firecracker reads no 'qcow2': set 'dm', or WRENN_VMM to 'qemu'");
  }
  const wish = rootfs === "auto" ? needed : rootfs;
  if (wish) {
    if (wish === "dm" && deviceMapper !== undefined) {
      throw wrong(
        "WRENN_ROOTFS",
        `'dm' cannot be had, device-mapper does not work: ${deviceMapper}`,
      );
    }
    if (wish !== held.last.rootfs) requireNoDisks("WRENN_ROOTFS", wish, held);
    return { kind: wish, reason: rootfs === "auto" ? "Firecracker needs them" : CONFIGURED };
  }
  if (holdsAnything(held)) {
    const { last } = held;
    if (last.rootfs === "dm" && deviceMapper !== undefined) {
      throw wrong(
        "WRENN_ROOTFS",
        `The data folder has ${
          contents(held)
        } on 'dm', but device-mapper does not work: ${deviceMapper}`,
      );
    }
    return { kind: last.rootfs, reason: `the data folder has ${contents(held)} on them` };
  }
  return deviceMapper === undefined
    ? { kind: "dm", reason: "device-mapper works" }
    : { kind: "qcow2", reason: `no device-mapper: ${deviceMapper}` };
}

function chooseVmm(
  wishes: PlatformWishes,
  faults: PlatformFaults,
  held: HeldData,
  rootfs: RootfsKind,
): Decision<VmmKind> {
  const { last } = held;
  const noFirecracker = firecrackerFault(wishes, faults, rootfs);
  const missing: Record<VmmKind, string | undefined> = {
    qemu: faults.qemu,
    firecracker: noFirecracker,
  };
  if (wishes.vmm !== "auto") {
    const fault = missing[wishes.vmm];
    if (fault !== undefined) {
      throw wrong("WRENN_VMM", `'${wishes.vmm}' cannot run here: ${fault}`);
    }
    if (wishes.vmm !== last.vmm && held.sandboxes > 0) {
      throw wrong(
        "WRENN_VMM",
        `The data folder has ${
          contents(held)
        } of '${last.vmm}': '${wishes.vmm}' cannot take them over`,
      );
    }
    return { kind: wishes.vmm, reason: CONFIGURED };
  }
  if (holdsAnything(held)) {
    const fault = missing[last.vmm];
    if (fault !== undefined) {
      throw wrong(
        "WRENN_VMM",
        `The data folder has ${contents(held)} of '${last.vmm}', which cannot run here: ${fault}`,
      );
    }
    return { kind: last.vmm, reason: `the data folder has ${contents(held)} of it` };
  }
  if (noFirecracker === undefined) return { kind: "firecracker", reason: "it can run here" };
  if (faults.qemu !== undefined) {
    throw wrong(
      "WRENN_VMM",
      `No VMM can run here. QEMU: ${faults.qemu}. Firecracker: ${noFirecracker}`,
    );
  }
  return { kind: "qemu", reason: `no Firecracker: ${noFirecracker}` };
}

function chooseAccelerator(
  { accelerator }: PlatformWishes,
  { kvm }: PlatformFaults,
  vmm: VmmKind,
): Decision<Accelerator> {
  if (vmm === "firecracker") {
    return { kind: "kvm", reason: accelerator === "kvm" ? CONFIGURED : "Firecracker has no other" };
  }
  if (accelerator === "kvm" && kvm !== undefined) {
    throw wrong("WRENN_ACCEL", `'kvm' cannot be had, no guest starts under it: ${kvm}`);
  }
  if (accelerator !== "auto") return { kind: accelerator, reason: CONFIGURED };
  return kvm === undefined
    ? { kind: "kvm", reason: "a guest started under it" }
    : { kind: "tcg", reason: `no guest starts under KVM: ${kvm}` };
}

/** Who demands Firecracker gets it without a jailer where there is none, and is told. */
function chooseJail({ vmm, jail }: PlatformWishes, { jailer }: PlatformFaults): JailKind {
  if (jail !== "auto") return jail;
  return jailer !== undefined && vmm === "firecracker" ? "namespace" : "jailer";
}

function firecrackerFault(
  wishes: PlatformWishes,
  faults: PlatformFaults,
  rootfs: RootfsKind,
): string | undefined {
  const { accelerator } = wishes;
  const { kvm, firecracker, jailer } = faults;
  if (firecracker !== undefined) return firecracker;
  if (jailer !== undefined && chooseJail(wishes, faults) === "jailer") return jailer;
  if (accelerator === "tcg") return "it needs KVM, and WRENN_ACCEL is 'tcg'";
  if (kvm !== undefined) return `no guest starts under KVM: ${kvm}`;
  return rootfs === "dm" ? undefined : "it reads no 'qcow2' disks";
}

/** Another store finds no disks, and leaves devices of the other's behind. */
function requireNoDisks(variable: string, wish: RootfsKind, held: HeldData): void {
  const inTheWay = held.last.rootfs === "dm" ? held.sandboxes + held.leftovers : held.sandboxes;
  if (inTheWay === 0) return;
  throw wrong(
    variable,
    `The data folder has ${contents(held)} on '${held.last.rootfs}', not '${wish}': ` +
      `start with '${held.last.rootfs}' and remove them first`,
  );
}

function holdsAnything({ sandboxes, leftovers, snapshots }: HeldData): boolean {
  return sandboxes + leftovers + snapshots > 0;
}

function contents({ sandboxes, leftovers, snapshots }: HeldData): string {
  const count = (n: number, what: string): string[] =>
    n === 0 ? [] : [`${n} ${what}${n === 1 ? "" : "s"}`];
  return [
    ...count(sandboxes, "sandbox disk"),
    ...count(leftovers, "left disk"),
    ...count(snapshots, "snapshot"),
  ].join(" and ");
}

function wrong(variable: string, sentence: string): ConfigError {
  return new ConfigError(`Wrong configuration: ${variable}: ${sentence}`);
}
