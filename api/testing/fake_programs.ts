/** Programs of the fake guest: what tests run instead of a shell. */

/** What a program sees and can do. */
export interface ProgramContext {
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  readonly cwd: string;
  readonly user: string;
  /** Input; ends at once when the caller did not ask for stdin. */
  readonly stdin: AsyncIterable<Uint8Array>;
  /** Signal numbers and terminal sizes as they arrive. */
  readonly events: AsyncIterable<{ signal: number } | { cols: number; rows: number }>;
  /** Size of the terminal, if there is one. */
  readonly pty: { cols: number; rows: number } | undefined;
  /** Aborted when the process is killed: caller gone, time over. */
  readonly killed: AbortSignal;
  /** Writes; waits while the reader is behind. */
  stdout(data: Uint8Array): Promise<void>;
  /** Same for standard error. */
  stderr(data: Uint8Array): Promise<void>;
}

/** Runs to the end and answers the exit code. */
export type FakeProgram = (context: ProgramContext) => Promise<number>;

const encode = (text: string): Uint8Array => new TextEncoder().encode(text);

/** `true false echo err bytes cat size sleep flood env id pwd exit`: each does what its name says. */
export const FAKE_PROGRAMS: Readonly<Record<string, FakeProgram>> = {
  true: () => Promise.resolve(0),
  false: () => Promise.resolve(1),
  exit: ({ args }) => Promise.resolve(Number(args[0])),
  echo: async ({ args, stdout }) => (await stdout(encode(`${args.join(" ")}\n`)), 0),
  err: async ({ args, stderr }) => (await stderr(encode(`${args.join(" ")}\n`)), 0),
  pwd: async ({ cwd, stdout }) => (await stdout(encode(`${cwd}\n`)), 0),
  id: async ({ user, stdout }) => (await stdout(encode(`${user}\n`)), 0),
  env: async ({ env, stdout }) => {
    for (const [name, value] of Object.entries(env)) await stdout(encode(`${name}=${value}\n`));
    return 0;
  },
  /** One write per argument, given in hex: bytes that are no text, characters cut in two. */
  bytes: async ({ args, stdout }) => {
    for (const hex of args) await stdout(Uint8Array.fromHex(hex));
    return 0;
  },
  cat: async ({ stdin, stdout }) => {
    for await (const piece of stdin) await stdout(piece);
    return 0;
  },
  /** Writes the terminal's size at the start and at each change, ends with a signal. */
  size: async ({ pty, events, stdout }) => {
    await stdout(encode(`${pty?.rows ?? 0} ${pty?.cols ?? 0}\n`));
    for await (const event of events) {
      if ("signal" in event) return 128 + event.signal;
      await stdout(encode(`${event.rows} ${event.cols}\n`));
    }
    return 0;
  },
  /** Waits for a signal. */
  sleep: async ({ events }) => {
    for await (const event of events) if ("signal" in event) return 128 + event.signal;
    return 137;
  },
  /** Writes `args[0]` pieces of 64 KiB, or for ever without an argument. */
  flood: async ({ args, stdout, killed }) => {
    const piece = new Uint8Array(64 * 1024).fill(0x61);
    const count = args[0] === undefined ? Infinity : Number(args[0]);
    for (let i = 0; i < count && !killed.aborted; i++) await stdout(piece);
    return killed.aborted ? 137 : 0;
  },
};
