/**
 * nf_tables transactions in a slot's namespace from this process. A transaction takes the kernel some 0.1 ms; what
 * makes `nft` a hundred times slower is starting it, and that it closes its socket, which waits until the kernel has
 * freed what the transaction replaced.
 */
import type { BatchAnswer } from "../core/egress_batch.ts";
import { readAnswers } from "../core/egress_batch.ts";
import { checked, cString, EAGAIN, errno, libc } from "./libc.ts";

const O_CLOEXEC = 0x80000;
const CLONE_NEWNET = 0x40000000;
const AF_NETLINK = 16;
const SOCK_RAW = 3;
const SOCK_NONBLOCK = 0x800;
const NETLINK_NETFILTER = 12;
const SOL_NETLINK = 270;
const NETLINK_CAP_ACK = 10;
const MSG_DONTWAIT = 0x40;
/** sysexits.h: an operating system error. */
const EXIT_OSERR = 71;

/** A transaction that the kernel has answered. */
export interface Transaction extends BatchAnswer {
  /** Settles when its socket is closed; until then the socket keeps the namespace alive. */
  readonly closed: Promise<void>;
}

/**
 * Sends a transaction to the kernel in a namespace, off this thread: a large one takes milliseconds, and one that
 * follows another closely waits until that one's socket is closed. When it resolves, the kernel has decided.
 *
 * @param namespace Name of a namespace of `ip netns`.
 * @throws {Error} When the namespace is missing or the kernel does not take the message.
 */
export async function transact(
  namespace: string,
  batch: Uint8Array<ArrayBuffer>,
): Promise<Transaction> {
  const socket = openSocketIn(namespace);
  try {
    // Answers then repeat no payload.
    const on = new Uint8Array([1, 0, 0, 0]);
    checked(libc.setsockopt(socket, SOL_NETLINK, NETLINK_CAP_ACK, on, on.length), "set up netlink");
    const size = await libc.sendAside(socket, batch, BigInt(batch.length), 0);
    if (size !== BigInt(batch.length)) throw new Error("Cannot send an nf_tables transaction");
    const answer = answersFrom(socket);
    return { ...answer, closed: libc.closeAside(socket).then(() => {}) };
  } catch (error) {
    await libc.closeAside(socket);
    throw error;
  }
}

/** The kernel has answered by the time that `send` is done. */
function answersFrom(socket: number): BatchAnswer {
  const errors: number[] = [];
  let accepted = 0;
  const buffer = new Uint8Array(65536);
  while (true) {
    const size = libc.recv(socket, buffer, BigInt(buffer.length), MSG_DONTWAIT);
    if (size < 0 && errno() === EAGAIN) return { accepted, errors };
    const answer = readAnswers(buffer.subarray(0, checked(size, "read from netlink")));
    accepted += answer.accepted;
    errors.push(...answer.errors);
  }
}

/**
 * A socket stays in the namespace that it was made in. The thread is in there for that one call: nothing else of
 * this process runs on it meanwhile, because nothing between the two calls of `setns` waits.
 */
function openSocketIn(namespace: string): number {
  const own = checked(
    libc.open(cString("/proc/thread-self/ns/net"), O_CLOEXEC),
    "open own namespace",
  );
  try {
    const path = cString(`/run/netns/${namespace}`);
    const other = checked(libc.open(path, O_CLOEXEC), `open namespace '${namespace}'`);
    try {
      checked(libc.setns(other, CLONE_NEWNET), `enter namespace '${namespace}'`);
      const type = SOCK_RAW | SOCK_NONBLOCK | O_CLOEXEC;
      const socket = libc.socket(AF_NETLINK, type, NETLINK_NETFILTER);
      const failure = socket < 0 ? errno() : 0;
      if (libc.setns(own, CLONE_NEWNET) !== 0) strand();
      if (failure !== 0) throw new Error(`Cannot open a netlink socket: errno ${failure}`);
      return socket;
    } finally {
      libc.close(other);
    }
  } finally {
    libc.close(own);
  }
}

/** Whatever this process did next, it would do to the guest's network instead of the host's. */
function strand(): never {
  Deno.stderr.writeSync(new TextEncoder().encode("Cannot leave a slot's network namespace\n"));
  Deno.exit(EXIT_OSERR);
}
