/** A host in memory: network slots, disks and machines that keep count of what is left of them. */
import { join } from "node:path";
import { WrennError } from "@wrenn/common";
import { planSlot } from "../core/slot_plan.ts";
import { Guest } from "../guest/guest.ts";
import type { NetworkPolicy, NetworkSlots, Slot } from "../network/slots.ts";
import { GoldenSnapshots } from "../sandbox/golden.ts";
import { HostSecret } from "../sandbox/host_secret.ts";
import type { HostParts } from "../sandbox/machine.ts";
import { SandboxManager } from "../sandbox/manager.ts";
import { SandboxRecords } from "../sandbox/records.ts";
import { StartGate } from "../sandbox/start_gate.ts";
import { type PoolOptions, WarmPools } from "../sandbox/warm_pool.ts";
import { SnapshotStore } from "../snapshot/mod.ts";
import type { MachineSpec, VmmDriver } from "../vmm/driver.ts";
import { FakeRootfs } from "./fake_rootfs.ts";
import { FakeVm, makeMemoryFile } from "./fake_vm.ts";

/** Steps of a start that can be made to fail. */
export const FAULT_STEPS = [
  "acquireBase",
  "overlay",
  "claim",
  "applyPolicy",
  "boot",
  "sick",
  "initFails",
  "dies",
] as const;
/** One of {@linkcode FAULT_STEPS}. */
export type FaultStep = typeof FAULT_STEPS[number];

/** How a host's manager is built. */
export interface FakeManagerOptions {
  readonly places?: number;
  readonly guestTimeoutMs?: number;
  readonly maxSandboxes?: number;
  readonly pausedSec?: number;
  readonly pool?: Partial<PoolOptions>;
  readonly parts?: Partial<HostParts>;
  readonly memoryAvailableMb?: () => number;
}

/** The host. `left()` names everything that a sandbox made and did not take away. */
export class FakeHost implements AsyncDisposable {
  readonly folder: string;
  readonly runDir: string;
  /** What a kernel is told. */
  bootLine: string = "quiet";
  /** How long guests take to take an identity, in milliseconds. */
  initDelayMs: number = 0;
  /** Every start fails at this step for as long as it is set. */
  fault: FaultStep | undefined;
  /** Every start waits here before its machine runs. */
  beforeBoot: () => Promise<void> = () => Promise.resolve();
  /** Most machines that started at once. */
  mostBooting: number = 0;
  /** Machines that were booted, not restored. */
  boots: number = 0;
  readonly machines: Set<FakeVm> = new Set();
  readonly policies: Map<number, NetworkPolicy> = new Map();
  readonly disks: FakeRootfs;
  readonly snapshots: SnapshotStore;
  readonly goldens: SnapshotStore;
  readonly #slots = new Set<number>();
  #booting = 0;
  #nextSlot = 0;

  constructor() {
    this.folder = Deno.makeTempDirSync({ prefix: "fake-host-" });
    this.runDir = join(this.folder, "run");
    for (const name of ["run", "records"]) Deno.mkdirSync(join(this.folder, name));
    const breakAt = (step: FaultStep, error?: Error): void => this.#breakAt(step, error);
    this.disks = new FakeRootfs(join(this.folder, "disks"), breakAt);
    const store = (name: string): SnapshotStore =>
      new SnapshotStore({ root: join(this.folder, name), reserveMb: 0 });
    this.snapshots = store("snapshots");
    this.goldens = store("golden");
  }

  /** What a manager is built from. */
  parts(options: { places?: number; guestTimeoutMs?: number } = {}): HostParts {
    return {
      vmm: this.vmm(),
      slots: this.slots(),
      rootfs: this.disks,
      snapshots: this.snapshots,
      gate: new StartGate(options.places ?? 2),
      clock: { now: () => Date.now(), monotonic: () => performance.now() },
      secret: new HostSecret(new Uint8Array(32)),
      connectGuest: (slot) => new Guest(this.#guestUrl(slot)),
      settings: {
        kernel: "/kernel",
        initrd: "/initrd",
        runDir: this.runDir,
        dns: ["1.1.1.1"],
        guestTimeoutMs: options.guestTimeoutMs ?? 5000,
        createdBy: "a test",
      },
    };
  }

  /** A manager of this host, with an empty pool unless told. */
  manager(options: FakeManagerOptions = {}): SandboxManager {
    const parts = { ...this.parts(options), ...options.parts };
    const golden = new GoldenSnapshots({ parts, store: this.goldens });
    const memoryAvailableMb = options.memoryAvailableMb ?? (() => 100_000);
    const pools = new WarmPools({
      parts,
      golden,
      min: 0,
      max: 0,
      keep: [],
      reserveMb: 0,
      availableMb: memoryAvailableMb,
      policy: { internet: true, allowOut: [], denyOut: [] },
      ...options.pool,
    });
    return new SandboxManager({
      parts,
      records: new SandboxRecords(this.folder, parts.secret),
      golden,
      pools,
      limits: {
        maxSandboxes: options.maxSandboxes ?? 100,
        memoryOvercommit: 2,
        memoryReserveMb: 0,
        diskReserveMb: 10,
      },
      figures: () => ({
        memoryTotalMb: 100_000,
        memoryAvailableMb: memoryAvailableMb(),
        diskFreeMb: 1000,
      }),
      pausedSec: options.pausedSec ?? 0,
    });
  }

  /** The machine of a sandbox. */
  vm(id: string): FakeVm {
    const vm = this.machine(id);
    if (!vm) throw new Error(`No machine of '${id}'`);
    return vm;
  }

  /** The machine of a sandbox, if it has one. */
  machine(id: string): FakeVm | undefined {
    return [...this.machines].find((vm) => this.ownerOf(vm) === id);
  }

  /** The sandbox, or whatever else, whose disk a machine has. */
  ownerOf(vm: FakeVm): string {
    return this.disks.renamed.get(vm.owner) ?? vm.owner;
  }

  /** Everything that is still there, but for golden snapshots. */
  left(): string[] {
    const names = (folder: string): string[] =>
      [...Deno.readDirSync(join(this.folder, folder))].map(({ name }) => name);
    return [
      ...[...this.machines].map((vm) => `machine ${this.ownerOf(vm)}`),
      ...[...this.#slots].map((index) => `slot ${index}`),
      ...this.disks.ids().map((id) => `disk ${id}`),
      ...Array.from({ length: this.disks.references() }, () => "base reference"),
      ...names("run").map((name) => `run folder ${name}`),
      ...names("snapshots").map((name) => `snapshot ${name}`),
      ...names("records").map((name) => `record ${name}`),
    ];
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const vm of this.machines) await vm.kill();
    await Deno.remove(this.folder, { recursive: true });
  }

  vmm(): VmmDriver {
    return {
      version: "fake 1.0",
      accelerator: "tcg",
      environment: {
        vmm: "fake 1.0",
        accelerator: "tcg",
        cpu_model: "fake",
        tsc_khz: 1,
        kernel_hash: "k",
        boot_line: this.bootLine,
      },
      sweep: () => Promise.resolve(0),
      adopt: () => Promise.resolve(undefined),
      boot: async (spec) => {
        await makeMemoryFile(spec.memoryFile, spec.memoryMb);
        this.boots++;
        return await this.#start(spec);
      },
      restore: async (spec) => {
        const { token }: { token?: string } = JSON.parse(await Deno.readTextFile(spec.state));
        const vm = await this.#start(spec, { token });
        using memory = await vm.memory();
        await spec.fill?.(memory);
        return vm;
      },
    };
  }

  slots(): NetworkSlots {
    return {
      start: () => Promise.resolve(),
      stop: () => Promise.resolve(),
      inUse: () => this.#slots.size,
      ready: () => 0,
      figures: () => ({
        claimed: this.#slots.size,
        ready: 0,
        kept: 0,
        lost: 0,
        claimsReady: 0,
        claimsBuilt: 0,
        builds: { count: 0, totalMs: 0 },
        buildFailures: 0,
        removals: { count: 0, totalMs: 0 },
        policies: { count: 0, totalMs: 0 },
        policiesUnchanged: 0,
      }),
      adopt: (index) => Promise.resolve(planSlot(index)),
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

  async #start(spec: MachineSpec, restored?: { token: string | undefined }): Promise<FakeVm> {
    this.#booting++;
    this.mostBooting = Math.max(this.mostBooting, this.#booting);
    try {
      await this.beforeBoot();
      this.#breakAt("boot");
      const { fault } = this;
      const vm = new FakeVm({
        spec,
        faults: {
          ...(fault === "sick" || fault === "dies" ? { sick: true } : {}),
          ...(fault === "initFails" ? { initFails: true } : {}),
          initDelayMs: this.initDelayMs,
        },
        ...(restored ? { restored } : {}),
      });
      this.machines.add(vm);
      void vm.exited.then(() => this.machines.delete(vm));
      if (fault === "dies") void vm.end({ code: 1, signal: undefined, tail: "Kernel panic" });
      return vm;
    } finally {
      this.#booting--;
    }
  }

  #guestUrl(slot: Slot): string {
    const vm = [...this.machines].find((vm) => vm.spec.slot.index === slot.index);
    // A machine that has ended already is connected to all the same, and refuses.
    return vm?.envd.url ?? "http://127.0.0.1:1";
  }

  #breakAt(step: FaultStep, error: Error = new Error(`Broken at ${step}`)): void {
    if (this.fault === step) throw error;
  }
}
