/** The process of a QEMU: its files, its limits, its jail, and the connection that controls it. */
import { CleanupStack, delay } from "@wrenn/common";
import {
  type HostFacts,
  type RunFiles,
  runFiles,
  STATE_FILE,
  translationBufferMb,
} from "../../core/qemu_args.ts";
import type { MachineSpec } from "../driver.ts";
import { checkPrivate, removeFile, runRootOf } from "../run_files.ts";
import type { Cgroups } from "../cgroup.ts";
import { type Jail, launch } from "./launcher.ts";
import { QmpClient, QmpError, type QmpEvent } from "./qmp.ts";
import { childHandle, type VmmHandle } from "../vmm_handle.ts";

/** From the start of the process to its first answer. It listens early, and answers when its machine is set up. */
const START_TIMEOUT_MS = 30_000;
const POLL_MS = 2;
/** QEMU's own memory: its text and heap, device buffers, page tables of the guest's memory. */
const OVERHEAD_MB = 192;

/** What the driver works with. */
export interface QemuDriverParts {
  readonly qemuBin: string;
  readonly facts: HostFacts;
  /** SHA-256 of the guest's kernel. */
  readonly kernelHash: string;
  /** Undefined where the host has no cgroup v2 with the controllers. */
  readonly cgroups: Cgroups | undefined;
}

/** A process that listens. */
export interface Started {
  readonly process: VmmHandle;
  readonly qmp: QmpClient;
  readonly files: RunFiles;
  readonly events: EventBuffer;
  readonly cleanUp: CleanupStack;
}

/** Keeps events until somebody takes them. */
export interface EventBuffer {
  take(event: QmpEvent): void;
  deliver(sink: (event: QmpEvent) => void): void;
}

/** An {@linkcode EventBuffer}. */
export function eventBuffer(): EventBuffer {
  const early: QmpEvent[] = [];
  let sink = (event: QmpEvent): void => void early.push(event);
  return {
    take: (event) => sink(event),
    deliver: (to) => {
      sink = to;
      early.splice(0).forEach(to);
    },
  };
}

/** Starts QEMU and answers when it can be controlled. */
export async function startQemu(
  parts: QemuDriverParts,
  spec: MachineSpec,
  how: { args: readonly string[]; start: "boot" | "restore"; state?: string },
  undo: CleanupStack,
): Promise<Started> {
  await checkPrivate(spec.runDir);
  const files = runFiles(spec.runDir);
  const cleanUp = new CleanupStack();
  undo.add(() => cleanUp.run(), "run folder");
  await makeStateFile(`${spec.disk.folder}/${STATE_FILE}`, spec.uid);
  const cgroup = await joinCgroup(parts, spec, how.start, cleanUp);
  undo.add(() => removeFile(files.log), "log");
  cleanUp.add(() => removeFile(files.qmp), "control socket");
  const jail: Jail = {
    namespace: spec.slot.namespace,
    log: files.log,
    ...(cgroup ? { cgroup } : {}),
    ...(how.state === undefined ? {} : { state: how.state }),
  };
  const process = childHandle(launch(jail, [parts.qemuBin, ...how.args]));
  undo.add(async () => {
    await process.kill();
    await process.ended;
  }, "process");
  const events = eventBuffer();
  const qmp = await connect(files.qmp, process, events.take);
  undo.add(() => qmp[Symbol.asyncDispose](), "control connection");
  return { process, qmp, files, events, cleanUp };
}

/** What a machine that is taken over leaves when it ends. */
export function cleanUpOf(
  { cgroups }: QemuDriverParts,
  spec: MachineSpec,
  files: RunFiles,
): CleanupStack {
  const cleanUp = new CleanupStack();
  if (cgroups) {
    const path = cgroups.pathOf(runRootOf(spec), spec.vmId);
    cleanUp.add(() => cgroups.remove(path), "cgroup");
  }
  cleanUp.add(() => removeFile(files.qmp), "control socket");
  return cleanUp;
}

async function joinCgroup(
  { cgroups, facts }: QemuDriverParts,
  spec: MachineSpec,
  start: "boot" | "restore",
  cleanUp: CleanupStack,
): Promise<string | undefined> {
  if (!cgroups) return undefined;
  const buffer = facts.accelerator === "tcg" ? translationBufferMb(spec.memoryMb, start) : 0;
  const path = await cgroups.create(runRootOf(spec), spec.vmId, {
    vcpus: spec.vcpus,
    memoryMb: spec.memoryMb + buffer + OVERHEAD_MB,
  });
  cleanUp.add(() => cgroups.remove(path), "cgroup");
  return path;
}

/** The file that QEMU, as the VM's uid, writes its device state to. */
async function makeStateFile(path: string, uid: number): Promise<void> {
  (await Deno.open(path, { write: true, create: true, truncate: true, mode: 0o600 })).close();
  await Deno.chown(path, uid, uid);
}

/** Connects as soon as QEMU listens and waits until it answers; fails at once when the process ends. */
async function connect(
  path: string,
  process: VmmHandle,
  onEvent: (event: QmpEvent) => void,
): Promise<QmpClient> {
  const stop = new AbortController();
  let ended = false;
  process.ended.then(({ code, signal }) => {
    ended = true;
    stop.abort(new Error(`QEMU ended with ${signal ?? `code ${code}`}`));
  });
  const deadline = performance.now() + START_TIMEOUT_MS;
  for (let left = START_TIMEOUT_MS; left > 0; left = deadline - performance.now()) {
    try {
      return await QmpClient.connect(path, { onEvent, signal: stop.signal, timeoutMs: left });
    } catch (error) {
      const absent = error instanceof Deno.errors.NotFound ||
        error instanceof Deno.errors.ConnectionRefused;
      // The socket closes a moment before the process's end is known.
      const closed = error instanceof QmpError && error.failure === "closed";
      if (ended || (!absent && !closed)) throw stop.signal.reason ?? error;
    }
    await delay(POLL_MS, stop.signal);
  }
  throw new Error(`QEMU does not listen after ${START_TIMEOUT_MS} ms`);
}
