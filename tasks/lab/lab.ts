/**
 * The lab: a host with a real KVM and device-mapper inside QEMU, on which the host agent is tested where the
 * machine itself offers neither. Its drives are built once and kept in the build cache; what a run writes to them
 * is gone with it.
 */
import { join } from "node:path";
import { tscKhzOf } from "../../agent/vmm/qemu/host_facts.ts";
import { BuildCache } from "../images/cache.ts";
import { exec } from "../images/exec.ts";
import { defaultCacheDir, ensureImages } from "../images/mod.ts";
import type { Progress } from "../images/types.ts";
import { say } from "../lib/shell.ts";
import { labArgs, type LabDrive } from "./core/lab_args.ts";
import type { LabOrder } from "./core/lab_order.ts";
import { dataDrive } from "./data_drive.ts";
import { writeOrder } from "./order_drive.ts";
import { rootDrive } from "./root_drive.ts";
import { LabWatch } from "./watch.ts";
import { WorkFolder } from "./work_folder.ts";

/** Templates that the lab has. */
const TEMPLATES = ["minimal", "base"];
const CPUS = 2;
const MEMORY_MB = 6144;
/** Room for files that come back. */
const OUT_BYTES = 1 << 30;
const CONSOLE_LINES = 40;
/** A lab that hangs has written its processes and their stacks to the console. */
const HANG_LINES = 400;

/** A lab that is built. */
export interface Lab {
  readonly kernel: string;
  readonly initrd: string;
  /** Root file system and data folder. */
  readonly drives: readonly LabDrive[];
}

/** How to run something in it. */
export interface LabRun {
  /** Folder on this machine for the files that the command leaves in `/out`. */
  readonly out?: string;
  /** Ends the lab. */
  readonly signal?: AbortSignal | undefined;
}

/** Builds what is not built yet. Several at once are safe: they take turns. */
export async function buildLab(progress: Progress, signal?: AbortSignal): Promise<Lab> {
  const cacheDir = defaultCacheDir();
  const dataDir = join(cacheDir, "lab");
  const ensured = await ensureImages({
    dataDir,
    cacheDir,
    names: TEMPLATES,
    progress,
    ...(signal ? { signal } : {}),
  });
  using cache = await BuildCache.open(join(cacheDir, "images"), progress, signal);
  const kernel = ensured.kernel.manifest;
  const root = await rootDrive(cache, { kernel, progress, signal });
  const data = await dataDrive(cache, dataDir, ensured, { progress, signal });
  return {
    kernel: join(dataDir, "kernels/vmlinux"),
    initrd: join(dataDir, "kernels/initrd.img"),
    drives: [{ name: "root", path: root }, { name: "data", path: data }],
  };
}

/**
 * Runs a command in a new lab, its output going to this process's, and answers its exit code.
 *
 * @throws {LabStoppedError} When its emulated machine stands still.
 * @throws {Error} When the lab ends before the command does, or the command hangs; the message has the end of its
 * console.
 */
export async function runInLab(lab: Lab, order: LabOrder, run: LabRun = {}): Promise<number> {
  await using work = await WorkFolder.open();
  const at = (name: string): string => join(work.path, name);
  await Deno.mkdir(at("order"));
  const programs = await writeOrder(order, at("order.tar"), at("order"));
  const drives: LabDrive[] = [...lab.drives, { name: "order", path: at("order.tar") }];
  if (run.out !== undefined) {
    await Deno.writeFile(at("files"), new Uint8Array());
    await Deno.truncate(at("files"), OUT_BYTES);
    drives.push({ name: "files", path: at("files"), kept: true });
  }
  const stop = new AbortController();
  const sockets = { beat: at("beat"), monitor: at("monitor") };
  const child = new Deno.Command("setpriv", {
    // It ends with this process, however that ends.
    args: [
      "--pdeathsig=KILL",
      "qemu-system-x86_64",
      ...labArgs({
        cpus: CPUS,
        memoryMb: MEMORY_MB,
        xsave: programs.includes("firecracker"),
        tscKhz: tscKhzOf(await Deno.readTextFile("/proc/cpuinfo")),
        kernel: lab.kernel,
        initrd: lab.initrd,
        drives,
        console: at("console"),
        exitCode: at("code"),
        ...sockets,
      }),
    ],
    env: { TMPDIR: work.path },
    stdin: "null",
    stdout: "piped",
    signal: AbortSignal.any([stop.signal, ...run.signal ? [run.signal] : []]),
  }).spawn();
  const consoleEnd = async (lines: number): Promise<string> =>
    (await Deno.readTextFile(at("console")).catch(() => "")).split("\n").slice(-lines).join("\n");
  await using watch = new LabWatch(sockets);
  const output = child.stdout.pipeThrough(watch.words())
    .pipeTo(Deno.stdout.writable, { preventClose: true });
  try {
    await Promise.race([output, watch.stalled]);
  } catch (error) {
    stop.abort();
    await child.status;
    say(await consoleEnd(HANG_LINES));
    throw error;
  }
  const { code } = await child.status;
  run.signal?.throwIfAborted();
  const answer = await Deno.readTextFile(at("code")).catch(() => "");
  if (!/^\d+\n$/.test(answer)) {
    const tail = await consoleEnd(CONSOLE_LINES);
    throw new Error(`The lab ended before its command (QEMU: exit ${code}):\n${tail}`);
  }
  if (run.out !== undefined) {
    await Deno.mkdir(run.out, { recursive: true });
    await exec(["tar", "-xf", at("files"), "-C", run.out]);
  }
  return Number(answer);
}
