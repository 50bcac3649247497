/** Limits of a VMM process by cgroup v2, where the host has it. */
import { delay, logger } from "@wrenn/common";

const log = logger("agent", "vmm", "cgroup");
/** What a VM's group needs. */
const CONTROLLERS = ["cpu", "memory", "pids"];
const ROOT = "/sys/fs/cgroup";
const CPU_PERIOD_US = 100_000;
/** QEMU has a thread for each vCPU, a few of its own and up to 64 for disk requests; Firecracker has fewer. */
const SPARE_THREADS = 96;

/** Limits of one VM. */
export interface CgroupLimits {
  readonly vcpus: number;
  /** Everything the process may use: guest memory and what the VMM needs beside it, MiB. */
  readonly memoryMb: number;
}

/** The contents of a group's control files, by name. */
export function limitFiles(limits: CgroupLimits): Record<string, string> {
  return {
    "memory.max": String(limits.memoryMb * 1024 * 1024),
    "memory.swap.max": "0",
    "memory.oom.group": "1",
    "pids.max": String(limits.vcpus + SPARE_THREADS),
    "cpu.max": `${limits.vcpus * CPU_PERIOD_US} ${CPU_PERIOD_US}`,
  };
}

/** Name of the group that holds the groups of one run root: agents on one host do not meet. */
export function groupOf(runRoot: string): string {
  let hash = 0xcbf29ce484222325n;
  for (const byte of new TextEncoder().encode(runRoot)) {
    hash = BigInt.asUintN(64, (hash ^ BigInt(byte)) * 0x100000001b3n);
  }
  return `wrenn-${hash.toString(16).padStart(16, "0")}`;
}

/** Makes and removes the groups of VMs. */
export class Cgroups {
  readonly #root: string;

  private constructor(root: string) {
    this.#root = root;
  }

  /**
   * Looks whether the host offers the controllers by cgroup v2. Where it does not, says so once and answers
   * undefined.
   */
  static async open(root: string = ROOT): Promise<Cgroups | undefined> {
    const missing = await missingControllers(root);
    if (missing.length === 0) return new Cgroups(root);
    log.warn("This host has no cgroup v2 with {missing}: virtual machines run without limits", {
      missing: missing.join(", "),
    });
    return undefined;
  }

  /** Folder of a VM's group. */
  pathOf(runRoot: string, vmId: string): string {
    return `${this.#root}/${groupOf(runRoot)}/${vmId}`;
  }

  /** Makes the group of a VM and gives its folder. On failure nothing is left. */
  async create(runRoot: string, vmId: string, limits: CgroupLimits): Promise<string> {
    const parent = `${this.#root}/${groupOf(runRoot)}`;
    await enable(this.#root);
    await Deno.mkdir(parent, { recursive: true });
    await enable(parent);
    const path = this.pathOf(runRoot, vmId);
    await Deno.mkdir(path);
    try {
      for (const [name, value] of Object.entries(limitFiles(limits))) {
        await write(`${path}/${name}`, value);
      }
    } catch (error) {
      await Deno.remove(path);
      throw error;
    }
    return path;
  }

  /** Removes a group whose processes have ended. Idempotent. */
  async remove(path: string): Promise<void> {
    for (let attempt = 1;; attempt++) {
      try {
        return await Deno.remove(path);
      } catch (error) {
        if (error instanceof Deno.errors.NotFound) return;
        // A process that was reaped just now still counts for a moment.
        if (attempt === 50) throw error;
        await delay(10);
      }
    }
  }

  /** Removes every group of a run root but those of these VMs; the processes of the others have ended. */
  async sweep(runRoot: string, keep: ReadonlySet<string> = new Set()): Promise<void> {
    const parent = `${this.#root}/${groupOf(runRoot)}`;
    try {
      for await (const entry of Deno.readDir(parent)) {
        if (entry.isDirectory && !keep.has(entry.name)) {
          await this.remove(`${parent}/${entry.name}`);
        }
      }
      if (keep.size === 0) await Deno.remove(parent);
    } catch (error) {
      if (!(error instanceof Deno.errors.NotFound)) throw error;
    }
  }
}

/** Controllers that VMs need and the host does not offer by cgroup v2. */
export async function missingControllers(root: string = ROOT): Promise<string[]> {
  const has = await controllers(root);
  return CONTROLLERS.filter((name) => !has.includes(name));
}

async function controllers(group: string): Promise<string[]> {
  try {
    return (await Deno.readTextFile(`${group}/cgroup.controllers`)).trim().split(" ");
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return [];
    throw error;
  }
}

async function enable(group: string): Promise<void> {
  const file = `${group}/cgroup.subtree_control`;
  const on = (await Deno.readTextFile(file)).trim().split(" ");
  const missing = CONTROLLERS.filter((name) => !on.includes(name));
  if (missing.length > 0) await write(file, missing.map((name) => `+${name}`).join(" "));
}

/** Writes a control file; `memory.swap.max` is absent on hosts without swap accounting. */
async function write(path: string, value: string): Promise<void> {
  try {
    await Deno.writeTextFile(path, value, { create: false });
  } catch (error) {
    const optional = path.endsWith("memory.swap.max") && error instanceof Deno.errors.NotFound;
    if (!optional) throw error;
  }
}
