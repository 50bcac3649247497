/**
 * Starts QEMU as root in a jail. A chain of small programs, each replaced by the next, so that one process
 * id leads from the shell to QEMU: redirections, limits and cgroup, network namespace, own mount, IPC and UTS
 * namespace, capabilities. QEMU then opens its files, takes the disk's folder as its root and drops to the
 * VM's uid: of what lies there it can open its own layer and the file for its state.
 */
import { STATE_FD } from "../../core/qemu_args.ts";
import { OOM_SCORE_ADJ, spawnVmm } from "../spawn_vmm.ts";

/** What the jail needs to know. */
export interface Jail {
  /** Name of the network namespace. */
  readonly namespace: string;
  /** File that takes what QEMU prints. */
  readonly log: string;
  /** Folder of the cgroup to join. */
  readonly cgroup?: string;
  /** Device state that QEMU finds open as its descriptor 9. */
  readonly state?: string;
}

const MAX_FILES = 1024;
const MAX_THREADS = 256;

/**
 * What QEMU may do until it drops to the VM's uid: change root folder and identity, open files of any owner.
 * Without CAP_NET_ADMIN it attaches to the slot's TAP and cannot make one of its own where that is missing.
 */
const CAPABILITIES = "+setuid,+setgid,+sys_chroot,+dac_override";

const SCRIPT = `exec </dev/null >>"$1" 2>&1
umask 077
ulimit -c 0
ulimit -n ${MAX_FILES}
ulimit -p ${MAX_THREADS} 2>/dev/null || ulimit -u ${MAX_THREADS} # dash and busybox; bash
echo ${OOM_SCORE_ADJ} >/proc/self/oom_score_adj
if [ -n "$2" ]; then echo 0 >"$2/cgroup.procs"; fi
if [ -n "$3" ]; then exec ${STATE_FD}<"$3"; fi
shift 3
exec "$@"`;

/** The arguments of `/bin/sh` that start `qemu` in the jail. */
export function jailArgs(jail: Jail, qemu: readonly string[]): string[] {
  return [
    ["-euc", SCRIPT, "wrenn-vmm", jail.log, jail.cgroup ?? "", jail.state ?? ""],
    ["nsenter", `--net=/run/netns/${jail.namespace}`, "--"],
    ["unshare", "--mount", "--ipc", "--uts", "--propagation", "private", "--"],
    [
      ...["setpriv", "--no-new-privs", "--inh-caps=-all", `--bounding-set=-all,${CAPABILITIES}`],
      "--",
    ],
    qemu,
  ].flat();
}

/**
 * Starts QEMU in the jail, in a session of its own: it outlives the agent, and no signal to the agent's
 * group reaches it.
 */
export function launch(jail: Jail, qemu: readonly string[]): Deno.ChildProcess {
  return spawnVmm(jailArgs(jail, qemu));
}
