/** Memory and CPU time of processes on this machine, from `/proc`. */
import { basename, join } from "node:path";

/** What a process takes, MB (1024 x 1024 bytes). */
export interface ProcessMemory {
  /** Pages that no other process maps. */
  readonly privateMb: number;
  /** The same and its share of the others. */
  readonly pssMb: number;
}

/** Processes, as far as figures need them. */
export interface ProcessTable {
  /** Virtual machine monitors whose arguments name something in this run folder, by process id. */
  vmms(runDir: string): Promise<number[]>;
  /** The one that has files of this sandbox open; undefined when there is none. */
  vmmOf(runDir: string, sandbox: string): Promise<number | undefined>;
  /** Memory of a process. */
  memory(pid: number): Promise<ProcessMemory>;
  /** CPU time of a process with all its threads, milliseconds. */
  cpuMs(pid: number): Promise<number>;
}

/** Ticks per second of `/proc`: 100 on every Linux of x86_64, whatever the kernel's own rate. */
const TICKS_PER_SEC = 100;
const VMM = /^(qemu-system-\w+|firecracker)$/;

/** Reads processes under `/proc`, or under another folder in tests. */
export class Processes implements ProcessTable {
  readonly #proc: string;

  /** @param proc The proc file system. */
  constructor(proc: string = "/proc") {
    this.#proc = proc;
  }

  /** As in {@linkcode ProcessTable}. A process that ends meanwhile is passed over. */
  async vmms(runDir: string): Promise<number[]> {
    const found: number[] = [];
    for await (const { name } of Deno.readDir(this.#proc)) {
      if (!/^\d+$/.test(name)) continue;
      const cmdline = await Deno.readTextFile(join(this.#proc, name, "cmdline")).catch(() => "");
      if (isVmmOf(cmdline.split("\0"), runDir)) found.push(Number(name));
    }
    return found.sort((a, b) => a - b);
  }

  /** As in {@linkcode ProcessTable}. A sandbox's folder bears its name, whichever machine it claimed. */
  async vmmOf(runDir: string, sandbox: string): Promise<number | undefined> {
    for (const pid of await this.vmms(runDir)) {
      for (const path of await this.#openFiles(pid)) {
        if (path.includes(`/${sandbox}/`)) return pid;
      }
    }
    return undefined;
  }

  /** Its memory. */
  async memory(pid: number): Promise<ProcessMemory> {
    return parseRollup(await Deno.readTextFile(join(this.#proc, String(pid), "smaps_rollup")));
  }

  /** Its CPU time. */
  async cpuMs(pid: number): Promise<number> {
    return parseCpuMs(await Deno.readTextFile(join(this.#proc, String(pid), "stat")));
  }

  /** Paths of open files; what ends or is closed meanwhile is passed over. */
  async #openFiles(pid: number): Promise<string[]> {
    const folder = join(this.#proc, String(pid), "fd");
    try {
      const names = await Array.fromAsync(Deno.readDir(folder), ({ name }) => name);
      return await Promise.all(names.map((name) => Deno.readLink(join(folder, name)).catch(gone)));
    } catch (error) {
      gone(error);
      return [];
    }
  }
}

function gone(error: unknown): string {
  if (error instanceof Deno.errors.NotFound) return "";
  throw error;
}

/** True for a VMM that was started for this run folder. */
export function isVmmOf(argv: readonly string[], runDir: string): boolean {
  return VMM.test(basename(argv[0] ?? "")) && argv.some((arg) => arg.includes(`${runDir}/`));
}

/** Reads `smaps_rollup`. @throws When a figure is not there. */
export function parseRollup(text: string): ProcessMemory {
  const kb = (name: string): number => {
    const value = new RegExp(`^${name}:\\s+(\\d+) kB$`, "m").exec(text)?.[1];
    if (value === undefined) throw new Error(`No '${name}' in smaps_rollup`);
    return Number(value);
  };
  return { privateMb: (kb("Private_Clean") + kb("Private_Dirty")) / 1024, pssMb: kb("Pss") / 1024 };
}

/** Reads user and system time of `stat`. The program's name in it may hold spaces and parentheses. */
export function parseCpuMs(text: string): number {
  const fields = text.slice(text.lastIndexOf(")") + 2).split(" ");
  const ticks = Number(fields[11]) + Number(fields[12]);
  if (!Number.isFinite(ticks)) throw new Error("No CPU time in stat");
  return ticks * 1000 / TICKS_PER_SEC;
}
