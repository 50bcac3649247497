/** The programs of the fake platform, over the messages of `exec/stream`. */

/** A command as it is sent. */
export interface FakeCommand {
  cmd: string;
  args?: string[];
  env?: Record<string, string>;
  cwd?: string;
  user?: string;
  timeout_sec?: number;
  stdin?: boolean;
  pty?: { cols: number; rows: number };
}

/** What a program can do. */
export interface FakeIo {
  readonly command: FakeCommand;
  /** Words of the command line. */
  readonly words: readonly string[];
  out(data: string | Uint8Array): Promise<void>;
  err(data: string | Uint8Array): Promise<void>;
  /** Next input, resize or signal; undefined at the end of input. */
  next(): Promise<FakeInput | undefined>;
}

/** What reaches a running program. */
export type FakeInput =
  | { readonly type: "stdin"; readonly data: Uint8Array }
  | { readonly type: "signal"; readonly signal: string }
  | { readonly type: "resize"; readonly cols: number; readonly rows: number };

/** Number of the signals that tests send. */
const SIGNALS: Record<string, number> = { SIGINT: 2, SIGKILL: 9, SIGTERM: 15 };

/** The words of a command line, whether it came for a shell or as a list. */
export function wordsOf(command: FakeCommand): string[] {
  const args = command.args ?? [];
  if (command.cmd === "/bin/sh" && args[0] === "-c") {
    return args.length > 2 ? (args.at(-1) ?? "").split(" ") : ["shell"];
  }
  return [command.cmd, ...args];
}

/** Programs by name; each answers its exit code. */
export const FAKE_PROGRAMS: Readonly<Record<string, (io: FakeIo) => Promise<number>>> = {
  async echo(io) {
    await io.out(io.words.slice(1).join(" ") + "\n");
    return 0;
  },
  async env(io) {
    await io.out(JSON.stringify(io.command));
    return 0;
  },
  async fail(io) {
    await io.err("it broke\n");
    return Number(io.words[1] ?? 1);
  },
  async bytes(io) {
    await io.out(new Uint8Array([0, 255, 128]));
    return 0;
  },
  /** "é" in two pieces. */
  async split(io) {
    await io.out(new Uint8Array([0xc3]));
    await io.out(new Uint8Array([0xa9]));
    return 0;
  },
  async lines(io) {
    for (let i = 1; i <= Number(io.words[1]); i++) {
      await io.out(`${i}\n`);
      await io.err(`e${i}\n`);
    }
    return 0;
  },
  /** As many MiB as asked for. */
  async flood(io) {
    const piece = "x".repeat(65536);
    for (let i = 0; i < Number(io.words[1]) * 16; i++) await io.out(piece);
    return 0;
  },
  async cat(io) {
    for (let input = await io.next(); input; input = await io.next()) {
      if (input.type === "stdin") await io.out(input.data);
      if (input.type === "signal") return 128 + (SIGNALS[input.signal] ?? 0);
    }
    return 0;
  },
  async sleep(io) {
    await io.out("sleeping\n");
    for (;;) {
      const input = await io.next();
      if (input?.type === "signal") return 128 + (SIGNALS[input.signal] ?? 0);
      if (!input) return 0;
    }
  },
  /** A terminal that tells its size and echoes what is typed; `exit` ends it. */
  async shell(io) {
    const { cols = 0, rows = 0 } = io.command.pty ?? {};
    await io.out(`${io.command.env?.["TERM"]} ${cols}x${rows}\r\n`);
    for (let input = await io.next(); input; input = await io.next()) {
      if (input.type === "resize") await io.out(`${input.cols}x${input.rows}\r\n`);
      if (input.type === "signal") return 128 + (SIGNALS[input.signal] ?? 0);
      if (input.type === "stdin") {
        const typed = new TextDecoder().decode(input.data);
        await io.out(typed);
        if (typed.includes("exit")) return 7;
      }
    }
    return 0;
  },
};

/** Text with the encoding it needs. */
export function encodeOutput(data: string | Uint8Array): { data: string; encoding?: "base64" } {
  if (typeof data === "string") return { data };
  try {
    return { data: new TextDecoder("utf-8", { fatal: true }).decode(data) };
  } catch {
    return { data: data.toBase64(), encoding: "base64" };
  }
}
