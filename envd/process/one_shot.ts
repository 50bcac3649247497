/**
 * A command run to its end for a caller that waits: its output is collected, nothing is streamed. At first envd itself
 * stands still until the command has ended or the event loop has something else to do, and leaves the output in the pipes:
 * each look meanwhile takes the processor from the command, two milliseconds where it is emulated. Then one poll(2) on a
 * thread waits for everything at once, and a command that lives longer is looked at from time to time, since there are few
 * such threads.
 */
import { eventLoopFds } from "../linux/event_loop.ts";
import type { WaitResult } from "../core/exit_status.ts";
import { checked, cString, Errno, errno, libc } from "../linux/libc.ts";
import { firstHappened, pollEntries, POLLIN } from "../linux/poll.ts";
import { posixSpawn, SpawnError, type SpawnSpec } from "./posix_spawn.ts";
import { signalGroup } from "./spawn.ts";

/** A finished command. */
export interface OneShotResult {
  readonly stdout: Uint8Array<ArrayBuffer>;
  readonly stderr: Uint8Array<ArrayBuffer>;
  readonly end: WaitResult;
  /** The deadline killed it. */
  readonly timedOut: boolean;
  /** Output beyond the limit was read and dropped. */
  readonly truncated: boolean;
}

/** What limits a command. */
export interface OneShotLimits {
  /** Milliseconds until it is killed, 0 for none. */
  readonly deadlineMs: number;
  /** Output that is kept, both streams together, in bytes. */
  readonly outputBytes: number;
}

const O_RDWR = 2;
const O_CLOEXEC = 0o2000000;
const O_NONBLOCK = 0o4000;
const F_SETFL = 4;
const F_SETPIPE_SZ = 1031;
const WNOHANG = 1;
/** The same on every architecture. */
const PIDFD_OPEN = 434n;
const SIGKILL = 9;
const READ_BYTES = 65536;
/** What a command may write while nobody reads. */
const PIPE_BYTES = 1 << 20;
/** So long envd stands still for a command whatever else there is to do: most are over by then. */
const INSTANT_MS = 10;
/** So long it does when there is nothing else. What the pipes do not hold waits, and so do timers. */
const ALONE_MS = 100;
/** So long a thread waits for it, in one go. */
const YOUNG_MS = 150;
const LONGEST_WAIT_MS = 50;
/** What holds the pipes after the end is a descendant, which may live for ever (`drain.ts`). */
const DRAIN_MS = 1000;
const DRAIN_BYTES = 1 << 20;

/** What is read goes through here; a new buffer of this size would cost an emulated guest half a millisecond. */
const scratch = new Uint8Array(READ_BYTES);
let devNull: number | undefined;

/** Commands that run: they can be killed together. */
export class OneShots {
  readonly #running = new Set<number>();
  readonly #othersRun: () => boolean;
  readonly #loop: readonly number[] = eventLoopFds();

  /** @param othersRun Whether envd has other processes to look after: their timers are not held up. */
  constructor(othersRun: () => boolean) {
    this.#othersRun = othersRun;
  }

  /** How many run. */
  get size(): number {
    return this.#running.size;
  }

  /** Kills every command and its group. */
  killAll(): void {
    for (const pid of this.#running) signalGroup(pid, SIGKILL);
  }

  /**
   * Runs a command to its end. When its time is over or nobody wants it any more, it is killed with its group.
   *
   * @param wanted Asked at every look. @param around Surrounds the spawn and answers its process id. @throws What it throws.
   */
  async run(
    spec: Omit<SpawnSpec, "streams">,
    limits: OneShotLimits,
    wanted: () => boolean,
    around: (spawn: () => number) => number = (spawn) => spawn(),
  ): Promise<OneShotResult> {
    using pipes = new Pipes();
    const pid = around(() => pipes.spawn(spec));
    this.#running.add(pid);
    const deadline = limits.deadlineMs > 0 ? performance.now() + limits.deadlineMs : Infinity;
    let timedOut = false;
    let killed = false;
    const look = (): number => {
      if (killed) return LONGEST_WAIT_MS;
      const left = deadline - performance.now();
      if (left > 0 && wanted()) return left;
      timedOut = left <= 0;
      killed = true;
      signalGroup(pid, SIGKILL);
      return LONGEST_WAIT_MS;
    };
    try {
      const output = new Output(limits.outputBytes);
      this.#standStill(pipes, Math.min(deadline - performance.now(), ALONE_MS));
      const end = await untilEnd(pid, pipes, output, look);
      return { ...output.take(), end, timedOut };
    } finally {
      this.#running.delete(pid);
    }
  }

  #standStill(pipes: Pipes, ms: number): void {
    const began = performance.now();
    if (this.#running.size === 1 && !this.#othersRun()) {
      if (pipes.standStill(ms, this.#loop)) return;
    }
    const left = Math.min(ms, INSTANT_MS - (performance.now() - began));
    if (left > 0) pipes.standStill(left);
  }
}

/**
 * Reads until the command has ended and its output is complete. `look` is called while it runs, and answers after how
 * many milliseconds it has to be called again at the latest.
 */
async function untilEnd(
  pid: number,
  pipes: Pipes,
  output: Output,
  look: () => number,
): Promise<WaitResult> {
  const began = performance.now();
  let end: WaitResult | undefined;
  let endedAt = 0;
  let afterEnd = 0;
  let left = Infinity;
  for (;;) {
    const read = pipes.drain(output);
    if (end === undefined) {
      left = look();
      end = waitNow(pid);
      // What it wrote last may have come after the look at the pipes.
      if (end !== undefined) {
        endedAt = performance.now();
        continue;
      }
    } else {
      afterEnd += read;
      const over = performance.now() - endedAt > DRAIN_MS || afterEnd > DRAIN_BYTES;
      if (pipes.open === 0 || over) return end;
    }
    const age = performance.now() - began;
    if (end === undefined && age < YOUNG_MS) await pipes.wait(Math.min(left, YOUNG_MS - age));
    else if (read === 0) await sleep(Math.min(LONGEST_WAIT_MS, 1 + age / 20));
    else await sleep(0);
  }
}

function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

/** How a child has ended; undefined while it runs. */
function waitNow(pid: number): WaitResult | undefined {
  const status = new Uint8Array(4);
  const got = libc.waitpid(pid, status, WNOHANG);
  if (got === 0) return undefined;
  if (got < 0) {
    if (errno() === Errno.EINTR) return undefined;
    throw new Error(`Nobody can wait for process ${pid}: errno ${errno()}`);
  }
  const value = new DataView(status.buffer).getInt32(0, true);
  const signal = value & 0x7f;
  return signal === 0 ? { code: (value >> 8) & 0xff } : { signal };
}

/** One command's pipes, and its end, as the parent sees them. */
class Pipes implements Disposable {
  /** Standard output and error; -1 once their end was read. */
  readonly #fds: [stdout: number, stderr: number] = [-1, -1];
  #pidFd = -1;

  /** Pipes whose end was not read yet. */
  get open(): number {
    return this.#fds.filter((fd) => fd >= 0).length;
  }

  /** Starts the command with its output on these pipes and no input. */
  spawn(spec: Omit<SpawnSpec, "streams">): number {
    devNull ??= checked(libc.open(cString("/dev/null"), O_RDWR | O_CLOEXEC, 0), "open /dev/null");
    const [out, err] = [makePipe(), makePipe()];
    this.#fds[0] = out.read;
    this.#fds[1] = err.read;
    try {
      const pid = posixSpawn({ ...spec, streams: [devNull, out.write, err.write] });
      // Readable when the process has ended (pidfd_open(2)).
      this.#pidFd = Number(libc.syscall(PIDFD_OPEN, BigInt(pid), 0n, 0n));
      return pid;
    } finally {
      libc.close(out.write);
      libc.close(err.write);
    }
  }

  /** Takes what is there. Answers how many bytes. */
  drain(output: Output): number {
    let total = 0;
    this.#fds.forEach((fd, i) => {
      while (fd >= 0) {
        const n = Number(libc.readNow(fd, scratch, BigInt(READ_BYTES)));
        if (n < 0) {
          if (errno() === Errno.EINTR) continue;
          return;
        }
        if (n === 0) {
          libc.close(fd);
          this.#fds[i] = -1;
          return;
        }
        output.add(i, scratch.subarray(0, n));
        total += n;
        // The event loop has others to serve.
        if (total >= 16 * READ_BYTES) return;
      }
    });
    return total;
  }

  /** Waits for something to read or the end, off the event loop. */
  async wait(ms: number): Promise<void> {
    const { entries, count } = pollEntries([...this.#fds, this.#pidFd], POLLIN);
    await libc.poll(entries, count, Math.ceil(ms));
  }

  /** Waits for the end alone, or for one of `others`, and holds everything up meanwhile. Answers whether it was the end. */
  standStill(ms: number, others: readonly number[] = []): boolean {
    if (this.#pidFd < 0) return true;
    const { entries, count } = pollEntries([this.#pidFd, ...others], POLLIN);
    libc.pollNow(entries, count, Math.ceil(ms));
    return firstHappened(entries);
  }

  [Symbol.dispose](): void {
    for (const fd of [...this.#fds, this.#pidFd]) if (fd >= 0) libc.close(fd);
  }
}

/** Collected output, up to a limit. */
class Output {
  readonly #limit: number;
  readonly #chunks: [Uint8Array<ArrayBuffer>[], Uint8Array<ArrayBuffer>[]] = [[], []];
  #bytes = 0;
  #truncated = false;

  constructor(limit: number) {
    this.#limit = limit;
  }

  add(stream: number, data: Uint8Array<ArrayBuffer>): void {
    const room = this.#limit - this.#bytes;
    if (data.length > room) this.#truncated = true;
    if (room <= 0) return;
    const kept = data.slice(0, room);
    this.#bytes += kept.length;
    this.#chunks[stream === 0 ? 0 : 1].push(kept);
  }

  take(): Pick<OneShotResult, "stdout" | "stderr" | "truncated"> {
    const [stdout, stderr] = this.#chunks.map(joined);
    return {
      stdout: stdout ?? new Uint8Array(),
      stderr: stderr ?? new Uint8Array(),
      truncated: this.#truncated,
    };
  }
}

function joined(chunks: readonly Uint8Array<ArrayBuffer>[]): Uint8Array<ArrayBuffer> {
  const [only] = chunks;
  if (only !== undefined && chunks.length === 1) return only;
  const all = new Uint8Array(chunks.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const chunk of chunks) {
    all.set(chunk, at);
    at += chunk.length;
  }
  return all;
}

function makePipe(): { read: number; write: number } {
  const fds = new Uint8Array(8);
  if (libc.pipe2(fds, O_CLOEXEC) !== 0) throw new SpawnError(errno());
  const view = new DataView(fds.buffer);
  const [read, write] = [view.getInt32(0, true), view.getInt32(4, true)];
  // The reading end alone: a program expects its output to wait.
  libc.fcntl(read, F_SETFL, BigInt(O_NONBLOCK));
  // Where the system allows no more it stays as it is, and a command that writes much waits a little.
  libc.fcntl(read, F_SETPIPE_SZ, BigInt(PIPE_BYTES));
  return { read, write };
}
