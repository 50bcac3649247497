/**
 * How long output is read after a process has ended. Its own last words are in the pipe by then; what
 * keeps a pipe open longer is a descendant, which may live for ever.
 */
const TICK_MS = 50;
/** Ticks spent waiting on empty pipes: one second. */
const MAX_EMPTY_TICKS = 20;
/** More than any pipe holds (`/proc/sys/fs/pipe-max-size`): what follows is not the process's own. */
const MAX_BYTES = 1024 * 1024;

/** State of one output stream. */
export interface DrainSource {
  /** True while a read waits for the pipe, false while readers hold it back. */
  waiting: boolean;
  /** True after the end of the stream. */
  finished: boolean;
  /** Bytes read so far. */
  bytes: number;
}

/** Watches the outputs of one process. */
export class DrainWatch {
  readonly #sources: DrainSource[] = [];

  /** Adds an output stream. */
  source(): DrainSource {
    const source = { waiting: false, finished: false, bytes: 0 };
    this.#sources.push(source);
    return source;
  }

  /** Resolves when all output of an ended process was read, at the latest when only others can write more. */
  async afterExit(allRead: Promise<unknown>): Promise<void> {
    const before = this.#bytes();
    const { promise, resolve } = Promise.withResolvers<void>();
    let empty = 0;
    const timer = setInterval(() => {
      const open = this.#sources.filter((source) => !source.finished);
      if (open.some((source) => source.waiting) && !open.some((source) => !source.waiting)) empty++;
      if (empty >= MAX_EMPTY_TICKS || this.#bytes() - before > MAX_BYTES) resolve();
    }, TICK_MS);
    try {
      await Promise.race([allRead, promise]);
    } finally {
      clearInterval(timer);
    }
  }

  #bytes(): number {
    return this.#sources.reduce((sum, source) => sum + source.bytes, 0);
  }
}
