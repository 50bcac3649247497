/**
 * Which accelerator runs the guests of this host. A `/dev/kvm` that opens proves nothing (nested and
 * paravirtual hypervisors offer one under which no ordinary guest starts), so a guest is really started.
 */
import { hashFile, logger } from "@wrenn/common";
import { z } from "zod";
import {
  type Accelerator,
  dropArgs,
  type HostFacts,
  machineArgs,
  type QemuVersion,
  sandboxArgs,
} from "../../core/qemu_args.ts";
import { versionText } from "./host_facts.ts";
import { lastLines } from "../tail.ts";

const log = logger("agent", "vmm");

/** `WRENN_ACCEL`. */
export type AcceleratorMode = "auto" | Accelerator;

/** A choice and the reason for it, in words. */
export interface AcceleratorChoice {
  readonly accelerator: Accelerator;
  readonly reason: string;
}

/** What a probe needs. */
export interface ProbeOptions {
  readonly qemuBin: string;
  readonly version: QemuVersion;
  readonly tscKhz: number;
  /** Guest kernel. */
  readonly kernel: string;
  /** Its initramfs. */
  readonly initrd: string;
}

/** Answers undefined when a guest started, else why not. */
export type Probe = (accelerator: Accelerator) => Promise<string | undefined>;

/** What {@linkcode kvmFault} needs. */
export interface KvmOptions extends ProbeOptions {
  /** Nothing else will do, so that a guest gets its time. */
  readonly demanded?: boolean;
  /** File that keeps the result of the probe: `<data>/accel.json`. */
  readonly cacheFile: string;
  /** KVM's device; a path in tests. */
  readonly device?: string;
  /** Starts a guest; the real thing by default. */
  readonly probe?: Probe;
}

/** What {@linkcode chooseAccelerator} needs. */
export interface ChoiceOptions extends KvmOptions {
  readonly mode: AcceleratorMode;
}

/** How long a guest may take. An emulated processor with KVM takes more than a minute: who has one demands KVM. */
const PROBE_TIMEOUT_MS = { auto: 10_000, demanded: 240_000 } as const;
const PROBE_MEMORY_MB = 256;
const NOBODY = 65534;
/** The guest's first process says this. The kernel itself is quiet: each character of a console is two VM exits. */
const STARTED = "wrenn-started";
const FIRST_PROCESS = "rdinit=/bin/busybox -- printf wrenn-%s started";

const cached = z.object({
  boot_id: z.string(),
  qemu: z.string(),
  kernel_hash: z.string(),
  failure: z.string().nullable(),
});
type Cached = z.infer<typeof cached>;

/**
 * Chooses, and says why in the log.
 *
 * @throws {Error} When KVM is demanded and no guest starts under it.
 */
export async function chooseAccelerator(options: ChoiceOptions): Promise<AcceleratorChoice> {
  const choice = await choose(options);
  log.debug("Guests run under {accelerator}: {reason}", { ...choice });
  return choice;
}

async function choose(options: ChoiceOptions): Promise<AcceleratorChoice> {
  if (options.mode === "tcg") return { accelerator: "tcg", reason: "configured" };
  const failure = await kvmFault({ ...options, demanded: options.mode === "kvm" });
  if (failure === undefined) return { accelerator: "kvm", reason: "a guest started under it" };
  if (options.mode === "kvm") {
    throw new Error(`WRENN_ACCEL is 'kvm', but no guest starts under KVM: ${failure}`);
  }
  return { accelerator: "tcg", reason: `no guest starts under KVM: ${failure}` };
}

/** Why no guest starts under KVM on this host; undefined when one did. */
export async function kvmFault(options: KvmOptions): Promise<string | undefined> {
  const closed = await kvmDeviceFault(options.device);
  if (closed !== undefined) return closed;
  const key = {
    boot_id: (await Deno.readTextFile("/proc/sys/kernel/random/boot_id")).trim(),
    qemu: versionText(options.version),
    kernel_hash: await hashFile(options.kernel),
  };
  const known = await readCache(options.cacheFile);
  const same = known &&
    Object.entries(key).every(([name, value]) => known[name as keyof Cached] === value);
  // A guest that was too slow for another start may have its time now.
  if (same && (known.failure === null || !options.demanded)) return known.failure ?? undefined;
  const probe = options.probe ??
    ((accelerator) =>
      startsGuest(accelerator, options, PROBE_TIMEOUT_MS[options.demanded ? "demanded" : "auto"]));
  const failure = await probe("kvm");
  await writeCache(options.cacheFile, { ...key, failure: failure ?? null });
  return failure;
}

/** Why KVM's device does not open; undefined when it does, which proves nothing. */
export async function kvmDeviceFault(device: string = "/dev/kvm"): Promise<string | undefined> {
  try {
    (await Deno.open(device, { read: true, write: true })).close();
    return undefined;
  } catch (error) {
    return `cannot open '${device}': ${error instanceof Error ? error.message : error}`;
  }
}

/**
 * Starts a guest without disk and network and waits until a program of its initramfs runs.
 *
 * @returns Undefined when it did, else why not.
 */
export async function startsGuest(
  accelerator: Accelerator,
  options: ProbeOptions,
  timeoutMs: number = PROBE_TIMEOUT_MS.auto,
): Promise<string | undefined> {
  const { version, tscKhz } = options;
  const facts: HostFacts = { version, tscKhz, accelerator };
  const jail = await Deno.makeTempDir({ prefix: "wrenn-probe-" });
  try {
    await using child = new Deno.Command(options.qemuBin, {
      args: [
        machineArgs(facts, { vcpus: 1, memoryMb: PROBE_MEMORY_MB }),
        ["-no-reboot", "-serial", "stdio", "-kernel", options.kernel, "-initrd", options.initrd],
        ["-append", `console=ttyS0 quiet panic=-1 ${emulationWords(facts)} ${FIRST_PROCESS}`],
        sandboxArgs(),
        dropArgs(version, jail, NOBODY),
      ].flat(),
      stdin: "null",
      stdout: "piped",
      stderr: "piped",
    }).spawn();
    const timer = setTimeout(() => child.kill("SIGKILL"), timeoutMs);
    try {
      const [started, errors] = await Promise.all([
        contains(child.stdout, STARTED, () => child.kill("SIGKILL")),
        new Response(child.stderr).text(),
      ]);
      const status = await child.status;
      if (started) return undefined;
      const how = status.signal === "SIGKILL"
        ? `nothing started within ${timeoutMs} ms`
        : `QEMU ended with ${status.signal ?? `code ${status.code}`}`;
      return [how, lastLines(errors, 1)].filter((text) => text !== "").join(": ");
    } finally {
      clearTimeout(timer);
    }
  } finally {
    await Deno.remove(jail, { recursive: true });
  }
}

function emulationWords({ accelerator, tscKhz }: HostFacts): string {
  return accelerator === "tcg" ? `tsc_early_khz=${tscKhz} lpj=${4 * tscKhz} no_timer_check` : "";
}

/** Reads to the end; calls `found` when the text turns up. */
async function contains(
  stream: ReadableStream<Uint8Array<ArrayBuffer>>,
  text: string,
  found: () => void,
): Promise<boolean> {
  let seen = false;
  let end = "";
  for await (const chunk of stream.pipeThrough(new TextDecoderStream())) {
    if (seen) continue;
    seen = (end + chunk).includes(text);
    end = (end + chunk).slice(-text.length);
    if (seen) found();
  }
  return seen;
}

async function readCache(path: string): Promise<Cached | undefined> {
  try {
    return cached.parse(JSON.parse(await Deno.readTextFile(path)));
  } catch {
    // Absent, cut short or of another shape: the probe runs again.
    return undefined;
  }
}

async function writeCache(path: string, value: Cached): Promise<void> {
  const draft = `${path}.${crypto.randomUUID()}`;
  await Deno.writeTextFile(draft, JSON.stringify(value));
  await Deno.rename(draft, path);
}
