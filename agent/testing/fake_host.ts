/** A host in memory: network slots, disks and machines that keep count of what is left of them. */
import { WrennError } from "@wrenn/common";
import { planSlot } from "../core/slot_plan.ts";
import { Guest } from "../guest/guest.ts";
import type { NetworkPolicy, NetworkSlots, Slot } from "../network/slots.ts";
import type { Base, BlockDevice, RootfsStore } from "../rootfs/store.ts";
import { StartGate } from "../sandbox/start_gate.ts";
import type { HostParts } from "../sandbox/start.ts";
import type { BootSpec, ExitInfo, Vm, VmmDriver, VmStats } from "../vmm/driver.ts";
import { type EnvdFaults, FakeEnvd } from "./fake_envd.ts";

/** Steps of a start that can be made to fail. */
export const FAULT_STEPS = [
  "acquireBase",
  "overlay",
  "claim",
  "applyPolicy",
  "boot",
  "runDir",
  "sick",
  "initFails",
  "dies",
] as const;
/** One of {@linkcode FAULT_STEPS}. */
export type FaultStep = typeof FAULT_STEPS[number];

/** A machine whose guest is a {@linkcode FakeEnvd}. */
export class FakeVm implements Vm {
  readonly vmId: string;
  readonly pid: number = 1;
  readonly exited: Promise<ExitInfo>;
  readonly envd: FakeEnvd;
  readonly spec: BootSpec;
  running: boolean = true;
  #exit: ((info: ExitInfo) => void) | undefined;
  #ending: Promise<void> | undefined;

  constructor(spec: BootSpec, faults: EnvdFaults) {
    this.vmId = spec.vmId;
    this.spec = spec;
    this.envd = new FakeEnvd(faults);
    this.exited = new Promise((resolve) => this.#exit = resolve);
  }

  pause(): Promise<void> {
    this.running = false;
    return Promise.resolve();
  }

  resume(): Promise<void> {
    this.running = true;
    return Promise.resolve();
  }

  async kill(): Promise<void> {
    await this.end({ code: undefined, signal: "SIGKILL", tail: "" });
  }

  /** Ends the machine from outside. */
  end(info: ExitInfo): Promise<void> {
    this.#ending ??= this.envd[Symbol.asyncDispose]().then(() => this.#exit?.(info));
    return this.#ending;
  }

  stats(): Promise<VmStats> {
    return Promise.resolve({ cpuMs: 12, memoryRssMb: 100 });
  }
}

/** The host. `left()` names everything that a sandbox made and did not take away. */
export class FakeHost implements AsyncDisposable {
  readonly runDir: string;
  /** The next start fails at this step. */
  fault: FaultStep | undefined;
  /** Every start waits here before its machine boots. */
  beforeBoot: () => Promise<void> = () => Promise.resolve();
  /** Most machines that booted at once. */
  mostBooting: number = 0;
  readonly vms: Map<string, FakeVm> = new Map();
  readonly policies: Map<number, NetworkPolicy> = new Map();
  readonly #slots = new Set<number>();
  readonly #disks = new Set<string>();
  #references = 0;
  #booting = 0;
  #nextSlot = 0;

  constructor() {
    this.runDir = Deno.makeTempDirSync({ prefix: "fake-host-" });
  }

  /** What a manager is built from. */
  parts(options: { places?: number; guestTimeoutMs?: number } = {}): HostParts {
    return {
      vmm: this.vmm(),
      slots: this.slots(),
      rootfs: this.rootfs(),
      gate: new StartGate(options.places ?? 2),
      clock: { now: () => Date.now(), monotonic: () => performance.now() },
      connectGuest: (slot) => new Guest(this.#guestUrl(slot)),
      settings: {
        kernel: "/kernel",
        initrd: "/initrd",
        runDir: this.runDir,
        dns: ["1.1.1.1"],
        guestTimeoutMs: options.guestTimeoutMs ?? 300,
      },
    };
  }

  /** The machine of a sandbox. */
  vm(id: string): FakeVm {
    const vm = this.vms.get(id);
    if (!vm) throw new Error(`No machine of '${id}'`);
    return vm;
  }

  /** Everything that is still there. */
  left(): string[] {
    return [
      ...[...this.vms.keys()].map((id) => `machine ${id}`),
      ...[...this.#slots].map((index) => `slot ${index}`),
      ...[...this.#disks].map((id) => `disk ${id}`),
      ...Array.from({ length: this.#references }, () => "base reference"),
      ...[...Deno.readDirSync(this.runDir)].map((entry) => `run folder ${entry.name}`),
    ];
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const vm of this.vms.values()) await vm.kill();
    await Deno.remove(this.runDir, { recursive: true });
  }

  vmm(): VmmDriver {
    return {
      version: "fake 1.0",
      accelerator: "tcg",
      sweep: () => Promise.resolve(0),
      boot: async (spec) => {
        this.#booting++;
        this.mostBooting = Math.max(this.mostBooting, this.#booting);
        try {
          await this.beforeBoot();
          this.#breakAt("boot");
          return this.#boot(spec);
        } finally {
          this.#booting--;
        }
      },
    };
  }

  slots(): NetworkSlots {
    return {
      start: () => Promise.resolve(),
      stop: () => Promise.resolve(),
      inUse: () => this.#slots.size,
      claim: async () => {
        await Promise.resolve();
        this.#breakAt("claim", new WrennError("capacity_exhausted", "No free slot"));
        const slot = planSlot(++this.#nextSlot);
        this.#slots.add(slot.index);
        return slot;
      },
      applyPolicy: async (slot, policy) => {
        await Promise.resolve();
        this.#breakAt("applyPolicy");
        this.policies.set(slot.index, policy);
      },
      release: async (slot) => {
        await Promise.resolve();
        this.#slots.delete(slot.index);
      },
    };
  }

  rootfs(): RootfsStore {
    const base: Base = { template: "base", path: "/base", sizeMb: 1024, hash: "h" };
    return {
      acquireBase: async (template) => {
        await Promise.resolve();
        this.#breakAt("acquireBase");
        if (template !== "base") {
          throw new WrennError("template_not_found", `Template '${template}' not found`);
        }
        this.#references++;
        return base;
      },
      releaseBase: () => void this.#references--,
      references: () => this.#references,
      overlay: async (id, _base, sizeMb): Promise<BlockDevice> => {
        await Promise.resolve();
        this.#breakAt("overlay", new Error("write: No space left on device (os error 28)"));
        this.#disks.add(id);
        if (this.fault === "runDir") {
          // The folder that the start is about to make is in the way.
          this.fault = undefined;
          await Deno.writeTextFile(`${this.runDir}/${id}`, "");
        }
        return { path: `/disks/${id}`, format: "qcow2", sizeMb: sizeMb || base.sizeMb };
      },
      remove: async (id) => {
        await Promise.resolve();
        this.#disks.delete(id);
      },
      usedMb: () => Promise.resolve(3),
      templates: () => Promise.resolve([base]),
      sweep: () => Promise.resolve(0),
    };
  }

  #boot(spec: BootSpec): FakeVm {
    const fault = this.fault;
    this.fault = undefined;
    const vm = new FakeVm(spec, {
      ...(fault === "sick" || fault === "dies" ? { sick: true } : {}),
      ...(fault === "initFails" ? { initFails: true } : {}),
    });
    this.vms.set(spec.sandboxId, vm);
    void vm.exited.then(() => {
      if (this.vms.get(spec.sandboxId) === vm) this.vms.delete(spec.sandboxId);
    });
    if (fault === "dies") void vm.end({ code: 1, signal: undefined, tail: "Kernel panic" });
    return vm;
  }

  #guestUrl(slot: Slot): string {
    const vm = [...this.vms.values()].find((vm) => vm.spec.slot.index === slot.index);
    // A machine that has ended already is connected to all the same, and refuses.
    return vm?.envd.url ?? "http://127.0.0.1:1";
  }

  #breakAt(step: FaultStep, error: Error = new Error(`Broken at ${step}`)): void {
    if (this.fault !== step) return;
    this.fault = undefined;
    throw error;
  }
}
