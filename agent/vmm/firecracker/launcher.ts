/**
 * Starts Firecracker in its jail. A chain of small programs, each replaced by the next, so that one process id leads
 * from the shell to Firecracker: output, limits and cgroup first, then the jailer or what stands for it.
 */
import { jailerCommand, namespaceCommand, VM_FOLDER } from "../../core/firecracker_jail.ts";
import type { LogLevel } from "./api_types.ts";
import type { MachineSpec } from "../driver.ts";
import { groupOf } from "../cgroup.ts";
import { runRootOf } from "../run_files.ts";
import { OOM_SCORE_ADJ, spawnVmm } from "../spawn_vmm.ts";
import type { JailFolder } from "./jail_folder.ts";

/** Programs of a host, and how they are used. */
export interface Programs {
  /** Path of Firecracker. */
  readonly firecracker: string;
  /** Path of the jailer; undefined to do without. */
  readonly jailer: string | undefined;
  readonly logLevel: LogLevel;
}

/** What one start needs. */
export interface Launch {
  readonly spec: MachineSpec;
  readonly jail: JailFolder;
  /** Folder of the folders of this run root. */
  readonly chroots: string;
  /** Named pipe for what Firecracker and the guest's console print. */
  readonly console: string;
  /** Folder of the cgroup to join. */
  readonly cgroup?: string;
}

const MAX_FILES = 2048;

/** The pipe is opened for both directions: a writer whose readers are gone would get a signal. */
const SCRIPT = `exec </dev/null 1<>"$1" 2>&1
umask 077
ulimit -c 0
ulimit -n ${MAX_FILES}
echo ${OOM_SCORE_ADJ} >/proc/self/oom_score_adj
if [ -n "$2" ]; then echo 0 >"$2/cgroup.procs"; fi
shift 2
exec "$@"`;

/** The arguments of `/bin/sh` that start Firecracker. Makes the nodes that a start without the jailer needs. */
async function launchArgs(programs: Programs, launch: Launch): Promise<string[]> {
  const { spec, jail, chroots, console, cgroup } = launch;
  const { firecracker, jailer, logLevel } = programs;
  const process = {
    id: spec.vmId,
    runDir: spec.runDir,
    uid: spec.uid,
    namespace: spec.slot.namespace,
    cgroup: cgroup === undefined ? undefined : `${groupOf(runRootOf(spec))}/${spec.vmId}`,
  };
  const command = jailer !== undefined
    ? jailerCommand(process, { jailer, firecracker, chroots }, logLevel)
    : namespaceCommand(process, firecracker, [
      [jail.inside(VM_FOLDER), VM_FOLDER],
      ...await jail.makeDevices(spec.uid),
    ], logLevel);
  return [
    ["-euc", SCRIPT, "wrenn-vmm", console, cgroup ?? ""],
    ["unshare", "--ipc", "--uts", "--"],
    command,
  ].flat();
}

/**
 * Starts Firecracker in a session of its own: it outlives the agent, and no signal to the agent's group reaches it.
 * What its machine needs is in the jail already.
 *
 * @throws {Error} When the arguments are none for it.
 */
export async function launch(programs: Programs, how: Launch): Promise<Deno.ChildProcess> {
  return spawnVmm(await launchArgs(programs, how));
}
