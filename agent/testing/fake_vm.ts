/** A machine whose guest is a fake guest agent, with a memory that can be captured and brought back. */
import { WrennError } from "@wrenn/common";
import { PAGE_BYTES, type PageRun } from "../core/memory_pages.ts";
import type { BlockDevice, LayerControl } from "../rootfs/store.ts";
import type { ExitInfo, GuestMemory, MachineSpec, Vm, VmStats } from "../vmm/driver.ts";
import { type EnvdFaults, FakeEnvd } from "./fake_envd.ts";

/** How a fake machine begins. */
export interface FakeVmOptions {
  readonly spec: MachineSpec;
  readonly faults: EnvdFaults;
  /** Present: its vCPUs stand still, and its guest has this token. */
  readonly restored?: { readonly token: string | undefined };
}

/** The machine. */
export class FakeVm implements Vm {
  readonly vmId: string;
  readonly pid: number = 1;
  readonly exited: Promise<ExitInfo>;
  readonly envd: FakeEnvd;
  readonly spec: MachineSpec;
  /** Whether its vCPUs run. */
  isRunning: boolean;
  /** Pages that its guest has written, by index. */
  readonly pages: Map<number, Uint8Array<ArrayBuffer>> = new Map();
  disk: BlockDevice;
  readonly #booted: boolean;
  #exit: ((info: ExitInfo) => void) | undefined;
  #ending: Promise<void> | undefined;

  constructor({ spec, faults, restored }: FakeVmOptions) {
    this.vmId = spec.vmId;
    this.spec = spec;
    this.disk = spec.disk;
    this.#booted = restored === undefined;
    this.isRunning = this.#booted;
    this.envd = new FakeEnvd(faults, restored?.token);
    this.exited = new Promise((resolve) => this.#exit = resolve);
  }

  /** Id that its disk had when it started. */
  get owner(): string {
    return this.disk.folder.slice(this.disk.folder.lastIndexOf("/") + 1);
  }

  /** Writes a text to a page. */
  poke(page: number, text: string): void {
    const bytes = new Uint8Array(PAGE_BYTES);
    new TextEncoder().encodeInto(text, bytes);
    this.pages.set(page, bytes);
  }

  /** The text of a page. */
  peek(page: number): string {
    const bytes = this.pages.get(page) ?? new Uint8Array();
    return new TextDecoder().decode(bytes).replace(/\0+$/, "");
  }

  pause(): Promise<void> {
    this.#requireAlive();
    this.isRunning = false;
    return Promise.resolve();
  }

  resume(): Promise<void> {
    this.#requireAlive();
    this.isRunning = true;
    return Promise.resolve();
  }

  running(): Promise<boolean> {
    return Promise.resolve(this.isRunning);
  }

  saveState(): Promise<Uint8Array<ArrayBuffer>> {
    this.#requireAlive();
    return Promise.resolve(new TextEncoder().encode(JSON.stringify({ token: this.envd.token })));
  }

  memory(): Promise<GuestMemory> {
    this.#requireAlive();
    return Promise.resolve({
      pages: this.spec.memoryMb * 256,
      read: (page, into) => {
        for (let at = 0; at < into.length; at += PAGE_BYTES) {
          into.set(this.pages.get(page + at / PAGE_BYTES) ?? new Uint8Array(PAGE_BYTES), at);
        }
        return Promise.resolve();
      },
      write: (page, bytes) => {
        for (let at = 0; at < bytes.length; at += PAGE_BYTES) {
          this.pages.set(page + at / PAGE_BYTES, bytes.slice(at, at + PAGE_BYTES));
        }
        return Promise.resolve();
      },
      [Symbol.dispose]: () => {},
    });
  }

  writtenPages(): Promise<PageRun[] | undefined> {
    if (this.#booted) return Promise.resolve(undefined);
    const pages = [...this.pages.keys()].sort((a, b) => a - b);
    return Promise.resolve(pages.map((first) => ({ first, count: 1 })));
  }

  readonly layers: LayerControl = {
    switchTo: (disk) => {
      this.#requireAlive();
      this.disk = disk;
      return Promise.resolve();
    },
    topLayer: () => Promise.resolve(this.disk.layers.at(-1) ?? ""),
    flatten: () => Promise.resolve(),
  };

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

  #requireAlive(): void {
    if (this.#ending) throw new WrennError("sandbox_not_running", "The virtual machine has ended");
  }
}

/** Makes the memory file of a machine that boots. */
export async function makeMemoryFile(path: string, memoryMb: number): Promise<void> {
  await Deno.writeTextFile(path, `memory of ${path}`);
  await Deno.truncate(path, memoryMb << 20);
}
