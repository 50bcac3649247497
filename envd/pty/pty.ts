/**
 * A pseudo-terminal pair by the C library (pty(7), ioctl_tty(2)). The event loop reads the master, so an
 * idle terminal costs no thread; writes are ours, since Deno's stall when the line discipline is full.
 */
import type { ReadStream } from "node:tty";
import { checked, Errno, errno, libc, LibcError } from "../linux/libc.ts";
import { pollEntries, POLLOUT } from "../linux/poll.ts";

const O_RDWR = 0o2;
const O_NOCTTY = 0o400;
const O_NONBLOCK = 0o4000;
const O_CLOEXEC = 0o2000000;
const F_GETFL = 3;
const F_SETFL = 4;
const F_DUPFD_CLOEXEC = 1030;
const TIOCSPTLCK = 0x40045431n;
const TIOCGPTN = 0x80045430n;
const TIOCSWINSZ = 0x5414n;
/** Waits in a poll take one of Deno's few blocking threads: short, and few before timers take over. */
const POLL_MS = 20;
const POLLS_BEFORE_SLEEP = 10;
const SLEEP_MS = 25;
/** Output that may wait before the terminal is held back, in bytes. */
const READ_AHEAD = 64 * 1024;

/** Size of a terminal in characters. */
export interface PtySize {
  /** Columns. */
  cols: number;
  /** Rows. */
  rows: number;
}

/** The master side of a pseudo-terminal. */
export class Pty {
  /** Path of the slave side. */
  readonly slave: string;
  /** Output of the terminal; ends when the last slave is closed. */
  readonly readable: ReadableStream<Uint8Array<ArrayBuffer>>;
  /** Our own duplicate for writes and ioctls: the stream closes the first one when it likes. */
  readonly #control: number;
  readonly #stream: ReadStream;
  #open = true;
  #lastWrite: Promise<void> = Promise.resolve();
  #finishRead: () => void = () => {};

  private constructor(control: number, slave: string, stream: ReadStream) {
    this.slave = slave;
    this.#control = control;
    this.#stream = stream;
    this.readable = this.#read();
  }

  /** Opens a pair. @throws {LibcError} When the kernel refuses. */
  static async open(size: PtySize): Promise<Pty> {
    // Loaded on first use: envd starts 9 ms sooner without it.
    const { ReadStream } = await import("node:tty");
    const master = checked(
      libc.posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC),
      "open a pseudo-terminal",
    );
    let control = -1;
    try {
      checked(libc.ioctl(master, TIOCSPTLCK, new Uint8Array(4)), "unlock a pseudo-terminal");
      const number = new Uint8Array(4);
      checked(libc.ioctl(master, TIOCGPTN, number), "name a pseudo-terminal");
      const flags = checked(libc.fcntl(master, F_GETFL, 0n), "read the flags of a descriptor");
      checked(libc.fcntl(master, F_SETFL, BigInt(flags | O_NONBLOCK)), "set a descriptor's flags");
      control = checked(libc.fcntl(master, F_DUPFD_CLOEXEC, 0n), "duplicate a descriptor");
      setSize(control, size);
      const slave = `/dev/pts/${new DataView(number.buffer).getUint32(0, true)}`;
      return new Pty(control, slave, new ReadStream(master));
    } catch (error) {
      if (control >= 0) libc.close(control);
      libc.close(master);
      throw error;
    }
  }

  /** Sets the size; the foreground group gets SIGWINCH. */
  resize(size: PtySize): void {
    if (this.#open) setSize(this.#control, size);
  }

  /** Types `data`, in the order of the calls; resolves when the terminal took it. */
  write(data: Uint8Array<ArrayBuffer>): Promise<void> {
    const write = this.#lastWrite.then(() => this.#writeAll(data));
    this.#lastWrite = write.catch(() => {});
    return write;
  }

  /** Hangs up: both descriptors are closed, waiting writes end with an error. */
  async close(): Promise<void> {
    if (!this.#open) return;
    this.#open = false;
    this.#finishRead();
    this.#stream.destroy();
    await this.#lastWrite;
    libc.close(this.#control);
  }

  async #writeAll(data: Uint8Array<ArrayBuffer>): Promise<void> {
    let offset = 0;
    let full = 0;
    while (offset < data.length) {
      if (!this.#open) throw new LibcError("write to a closed terminal", Errno.ESRCH);
      const rest = data.subarray(offset);
      const written = Number(libc.write(this.#control, rest, BigInt(rest.length)));
      if (written > 0) {
        offset += written;
        full = 0;
        continue;
      }
      const number = errno();
      if (number !== Errno.EAGAIN && number !== Errno.EINTR) {
        throw new LibcError("write to a terminal", number);
      }
      if (full++ < POLLS_BEFORE_SLEEP) await this.#writable();
      else await new Promise((resolve) => setTimeout(resolve, SLEEP_MS));
    }
  }

  async #writable(): Promise<void> {
    const { entries, count } = pollEntries([this.#control], POLLOUT);
    await libc.poll(entries, count, POLL_MS);
  }

  #read(): ReadableStream<Uint8Array<ArrayBuffer>> {
    const stream = this.#stream;
    return new ReadableStream<Uint8Array<ArrayBuffer>>({
      start: (controller) => {
        let ended = false;
        this.#finishRead = () => {
          if (ended) return;
          ended = true;
          controller.close();
        };
        stream.on("data", (chunk: Uint8Array<ArrayBuffer>) => {
          if (ended) return;
          controller.enqueue(chunk);
          if ((controller.desiredSize ?? 0) <= 0) stream.pause();
        });
        // EIO is how a terminal says that its last slave is closed.
        stream.on("error", () => this.#finishRead());
        stream.on("close", () => this.#finishRead());
      },
      pull: () => {
        stream.resume();
      },
      cancel: () => this.close(),
    }, { highWaterMark: READ_AHEAD, size: (chunk) => chunk.byteLength });
  }
}

function setSize(fd: number, { cols, rows }: PtySize): void {
  const winsize = new Uint8Array(new Uint16Array([rows, cols, 0, 0]).buffer);
  checked(libc.ioctl(fd, TIOCSWINSZ, winsize), "resize a terminal");
}
