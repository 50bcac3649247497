/**
 * The jail of a Firecracker process: which names its files have inside, how it is started, and by what it is known.
 * Both ways to start it give it the same names, so that a snapshot of one is a snapshot of the other.
 */
import { VMM_GROUP } from "./vmm_ids.ts";

/** Where a process finds everything of its machine. A snapshot keeps the path of its disk, so this never changes. */
export const VM_FOLDER = "/run/wrenn-vm";

/** A file inside the jail. */
export type JailedFile =
  | "kernel"
  | "initrd"
  | "disk"
  /** The whole memory: read by a machine that is restored, written by one that was booted. */
  | "memory"
  /** State that is loaded. */
  | "state"
  /** State that is saved. */
  | "saved"
  /** Pages that a restored machine has written, each at its place. */
  | "written"
  /** Named pipe for Firecracker's figures. */
  | "metrics";

/** Paths inside the jail. */
export const JAILED: Readonly<Record<JailedFile, string>> = {
  kernel: `${VM_FOLDER}/kernel`,
  initrd: `${VM_FOLDER}/initrd`,
  disk: `${VM_FOLDER}/disk`,
  memory: `${VM_FOLDER}/memory`,
  state: `${VM_FOLDER}/state`,
  saved: `${VM_FOLDER}/saved`,
  written: `${VM_FOLDER}/written`,
  metrics: `${VM_FOLDER}/metrics`,
};

/** `sun_path` has 108 bytes with its final NUL. */
const MAX_SOCKET_PATH = 107;
const SOCKET = "api.sock";
const MAX_FILES = 2048;
const ID = /^[A-Za-z0-9-]{1,64}$/;

/** Where a process that is started for a run folder listens, inside its jail: its command line names the folder. */
export function apiSocket(runDir: string): string {
  const path = `${VM_FOLDER}${runDir}/${SOCKET}`;
  if (new TextEncoder().encode(path).length > MAX_SOCKET_PATH) {
    throw new RangeError(`The path of the run folder '${runDir}' is too long for a socket`);
  }
  return path;
}

/**
 * The run folder that a Firecracker was started for, from its arguments or from those of what starts it; undefined
 * when it is none of ours: `--api-sock` and `--id` must name the same machine.
 */
export function runDirOf(argv: readonly string[]): string | undefined {
  const after = (flag: string): string | undefined => {
    const at = argv.indexOf(flag);
    return at < 0 ? undefined : argv[at + 1];
  };
  const [socket, id] = [after("--api-sock"), after("--id")];
  if (!socket?.startsWith(`${VM_FOLDER}/`) || !socket.endsWith(`/${SOCKET}`)) return undefined;
  const runDir = socket.slice(VM_FOLDER.length, -SOCKET.length - 1);
  return id !== undefined && runDir.endsWith(`/${id}`) ? runDir : undefined;
}

/** One process. */
export interface JailedProcess {
  /** Its machine's id. */
  readonly id: string;
  readonly runDir: string;
  readonly uid: number;
  /** Name of its network namespace. */
  readonly namespace: string;
  /** Path of its cgroup below the root of cgroup v2, which is there already; undefined for none. */
  readonly cgroup: string | undefined;
}

/** Firecracker's own arguments, but for its id. */
function firecrackerArgs({ runDir }: JailedProcess, logLevel: string): string[] {
  return ["--api-sock", apiSocket(runDir), "--level", logLevel];
}

/**
 * The command of Firecracker's jailer: a root folder of its own, the device nodes that it needs, namespaces of mounts
 * and network, and the machine's uid. It replaces itself by Firecracker, whose filter of system calls is on by default.
 *
 * @throws {RangeError} For an id that it does not take.
 */
export function jailerCommand(
  process: JailedProcess,
  programs: { readonly jailer: string; readonly firecracker: string; readonly chroots: string },
  logLevel: string,
): string[] {
  if (!ID.test(process.id)) throw new RangeError(`Not an id for a jail: '${process.id}'`);
  return [
    [programs.jailer, "--id", process.id, "--exec-file", programs.firecracker],
    ["--uid", String(process.uid), "--gid", String(VMM_GROUP)],
    ["--chroot-base-dir", programs.chroots, "--netns", `/run/netns/${process.namespace}`],
    ["--resource-limit", `no-file=${MAX_FILES}`],
    // Told of no limits, it joins the group that it takes for the parent; without a group it would join another's.
    process.cgroup === undefined
      ? []
      : ["--cgroup-version", "2", "--parent-cgroup", process.cgroup],
    ["--", ...firecrackerArgs(process, logLevel)],
  ].flat();
}

/** What is mounted into a process's own namespace: a path on the host, and where it shows. */
export type Bind = readonly [from: string, to: string];

const MOUNTS = `(umask 022; mkdir -p "${VM_FOLDER}")
while [ "$1" != -- ]; do mount --bind "$1" "$2"; shift 2; done
shift
exec "$@"`;

/**
 * The command without a jailer: the same namespaces and uid, and no capability, but the host's root folder as the
 * uid sees it.
 *
 * @throws {RangeError} For an id that Firecracker does not take.
 */
export function namespaceCommand(
  process: JailedProcess,
  firecracker: string,
  binds: readonly Bind[],
  logLevel: string,
): string[] {
  if (!ID.test(process.id)) throw new RangeError(`Not an id for Firecracker: '${process.id}'`);
  return [
    ["nsenter", `--net=/run/netns/${process.namespace}`, "--"],
    ["unshare", "--mount", "--propagation", "private", "--"],
    ["/bin/sh", "-euc", MOUNTS, "wrenn-vmm", ...binds.flat(), "--"],
    ["setpriv", "--no-new-privs", `--reuid=${process.uid}`, `--regid=${VMM_GROUP}`],
    ["--clear-groups", "--inh-caps=-all", "--bounding-set=-all", "--"],
    [firecracker, "--id", process.id, ...firecrackerArgs(process, logLevel)],
  ].flat();
}
