/**
 * Doing something as another user without a process for it: on Linux the identity belongs to the thread, and the raw
 * system calls (setresuid(2), "C library/kernel differences") change the calling thread alone. A child that is spawned
 * meanwhile inherits it, and its execve(2) makes the saved ids the effective ones, so that nothing of root is left.
 */
import { checked, libc } from "../linux/libc.ts";

/** System call numbers of this machine. */
const CALL = Deno.build.arch === "aarch64"
  ? { setgroups: 159n, setresuid: 147n, setresgid: 149n }
  : { setgroups: 116n, setresuid: 117n, setresgid: 119n };

/** Who. */
export interface Identity {
  readonly uid: number;
  readonly gid: number;
  /** Group ids beyond the primary one. */
  readonly groups: readonly number[];
}

/**
 * Runs `work`, which must not wait for anything, as somebody else. envd is root before and after; when it cannot
 * become root again it ends, and the machine with it.
 */
export function asUser<T>({ uid, gid, groups }: Identity, work: () => T): T {
  if (uid === Deno.uid() && gid === Deno.gid() && groups.length === 0) return work();
  const all = [gid, ...groups];
  // Beyond what is sure to be a group list of ours there may be others: they are given back as they were.
  const before = ownGroups();
  try {
    setGroups(all);
    checked(setIds(CALL.setresgid, BigInt(gid)), "become another group");
    checked(setIds(CALL.setresuid, BigInt(uid)), "become another user");
    return work();
  } finally {
    const back = setIds(CALL.setresuid, 0n) | setIds(CALL.setresgid, 0n);
    if (back !== 0n) Deno.exit(70);
    setGroups(before);
  }
}

/** Real and effective ids; the saved ones stay root's, for the way back. */
function setIds(call: bigint, id: bigint): bigint {
  return libc.syscall(call, id, id, 0n);
}

function setGroups(groups: readonly number[]): void {
  const ids = new Uint8Array(new Uint32Array(groups).buffer);
  checked(libc.syscallBuffer(CALL.setgroups, BigInt(groups.length), ids), "set the groups");
}

let own: number[] | undefined;

function ownGroups(): readonly number[] {
  own ??= (/^Groups:\s*(.*)$/m.exec(Deno.readTextFileSync("/proc/self/status"))?.[1] ?? "")
    .split(" ").filter((text) => text !== "").map(Number);
  return own;
}
