/**
 * Proof that a process is a VMM of ours. A process id alone proves nothing: it is given to another process
 * as soon as the first is gone. The start time, the program and its arguments together do.
 */
import type { VmStats } from "./driver.ts";
import { delay } from "@wrenn/common";

/** What tells the VMMs of one driver from all other processes. */
export interface VmmMarks {
  /** The run folder that a process was started for, from its arguments; undefined when it is none of this driver's. */
  runDirOf(argv: readonly string[]): string | undefined;
  /** Whether a program, by the name of its file, is this VMM or what only this VMM is started with. */
  isVmm(program: string): boolean;
}

/** A process that was a VMM of ours when it was looked at. */
export interface VmmProcess {
  readonly pid: number;
  /** Start time in clock ticks since the host's boot: two processes with one pid differ in it. */
  readonly startTicks: string;
  /** Run folder that it was started for. */
  readonly runDir: string;
}

/** CPU time, memory and start time of a process. */
export interface ProcessFigures {
  /** `R`, `S`, `Z`... */
  readonly state: string;
  readonly startTicks: string;
  /** User and system time in milliseconds. */
  readonly cpuMs: number;
  /** Resident memory in bytes. */
  readonly rssBytes: number;
}

/** The programs that turn one into the next until the VMM runs: see the `launcher.ts` of each. */
const LAUNCHERS = new Set("sh dash bash busybox nsenter unshare setpriv".split(" "));
/** `USER_HZ`: 100 on every architecture that has KVM and microVMs. */
const TICK_MS = 10;
const PAGE_BYTES = 4096;
const POLL_MS = 5;

/** Reads /proc/{pid}/stat; undefined when the process is gone. */
export async function readFigures(pid: number): Promise<ProcessFigures | undefined> {
  const text = await readProc(`/proc/${pid}/stat`);
  // The name, in parentheses, may hold anything; fields are counted from the last one, after it.
  const fields = text?.slice(text.lastIndexOf(")") + 2).split(" ");
  const [state, startTicks] = [fields?.[0], fields?.[19]];
  if (!fields || state === undefined || startTicks === undefined) return undefined;
  return {
    state,
    startTicks,
    cpuMs: (Number(fields[11]) + Number(fields[12])) * TICK_MS,
    rssBytes: Number(fields[21]) * PAGE_BYTES,
  };
}

/** What a process uses; all zero when it is gone. */
export async function readStats(pid: number | undefined): Promise<VmStats> {
  const figures = pid === undefined ? undefined : await readFigures(pid);
  return {
    cpuMs: figures?.cpuMs ?? 0,
    memoryRssMb: Math.round((figures?.rssBytes ?? 0) / 1024 / 1024),
  };
}

/** The process as a VMM of ours, or undefined when it is gone, is a zombie or is something else. */
export async function identify(pid: number, marks: VmmMarks): Promise<VmmProcess | undefined> {
  const before = await readFigures(pid);
  if (!before || isDead(before)) return undefined;
  const program = await programOf(pid);
  const runDir = marks.runDirOf((await readProc(`/proc/${pid}/cmdline`))?.split("\0") ?? []);
  const after = await readFigures(pid);
  if (program === undefined || runDir === undefined) return undefined;
  if (after?.startTicks !== before.startTicks) return undefined;
  if (!LAUNCHERS.has(program) && !marks.isVmm(program)) return undefined;
  return { pid, startTicks: before.startTicks, runDir };
}

/** Every VMM of ours on this host whose run folder lies in `runRoot`. */
export async function findVmms(runRoot: string, marks: VmmMarks): Promise<VmmProcess[]> {
  const found: VmmProcess[] = [];
  const inside = runRoot.endsWith("/") ? runRoot : `${runRoot}/`;
  for await (const entry of Deno.readDir("/proc")) {
    if (!/^\d+$/.test(entry.name)) continue;
    const vmm = await identify(Number(entry.name), marks);
    if (vmm?.runDir.startsWith(inside)) found.push(vmm);
  }
  return found;
}

/**
 * Kills a VMM if the pid is still that process, and waits until it is gone.
 *
 * @returns False when it was gone already.
 * @throws {Error} When it does not die within `timeoutMs`.
 */
export async function killVmm(
  vmm: VmmProcess,
  marks: VmmMarks,
  timeoutMs: number = 10_000,
): Promise<boolean> {
  const seen = await identify(vmm.pid, marks);
  if (seen?.startTicks !== vmm.startTicks || seen.runDir !== vmm.runDir) return false;
  try {
    Deno.kill(vmm.pid, "SIGKILL");
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
  for (let waited = 0; await lives(vmm); waited += POLL_MS) {
    if (waited > timeoutMs) throw new Error(`Cannot kill process ${vmm.pid} in ${timeoutMs} ms`);
    await delay(POLL_MS);
  }
  return true;
}

async function lives(vmm: VmmProcess): Promise<boolean> {
  const figures = await readFigures(vmm.pid);
  return figures !== undefined && figures.startTicks === vmm.startTicks && !isDead(figures);
}

function isDead(figures: ProcessFigures): boolean {
  return figures.state === "Z" || figures.state === "X";
}

async function programOf(pid: number): Promise<string | undefined> {
  try {
    const path = (await Deno.readLink(`/proc/${pid}/exe`)).replace(/ \(deleted\)$/, "");
    return path.slice(path.lastIndexOf("/") + 1);
  } catch {
    // Gone, or a kernel thread, which has no program.
    return undefined;
  }
}

async function readProc(path: string): Promise<string | undefined> {
  try {
    return await Deno.readTextFile(path);
  } catch {
    // The process is gone: ENOENT when opening, ESRCH when reading.
    return undefined;
  }
}
