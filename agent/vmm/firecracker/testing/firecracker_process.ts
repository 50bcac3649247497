/** A Firecracker, or what stands in for it, as a process of its own. */
import { delay } from "@wrenn/common";
import { join } from "node:path";

/** How a program is started. */
export interface ProgramLine {
  readonly argv: readonly [string, ...string[]];
  readonly env?: Readonly<Record<string, string>>;
}

/** How the stand-in is started. `lentTaps` count as there although the host has none. */
export function standInLine(lentTaps: readonly string[] = []): ProgramLine {
  const script = join(import.meta.dirname ?? "", "stand_in.ts");
  return {
    argv: [Deno.execPath(), "run", "-A", "--quiet", script],
    env: { STAND_IN_TAPS: lentTaps.join(",") },
  };
}

/** The real binary: `WRENN_FIRECRACKER_BIN`, else the usual place; undefined when it or KVM is missing. */
export async function firecrackerLine(): Promise<ProgramLine | undefined> {
  const path = Deno.env.get("WRENN_FIRECRACKER_BIN") ?? "/usr/local/bin/firecracker";
  try {
    (await Deno.open("/dev/kvm", { read: true, write: true })).close();
    const { stdout } = await new Deno.Command(path, { args: ["--version"] }).output();
    const text = new TextDecoder().decode(stdout);
    return /^Firecracker v\d/.test(text) ? { argv: [path] } : undefined;
  } catch {
    return undefined;
  }
}

/** Milliseconds until a program has to listen. */
const START_MS = 10_000;
const POLL_MS = 10;

/** A process that listens. */
export class FirecrackerProcess implements AsyncDisposable {
  /** Path of its socket. */
  readonly socket: string;
  /** How it ended. */
  readonly status: Promise<Deno.CommandStatus>;
  readonly #child: Deno.ChildProcess;

  private constructor(child: Deno.ChildProcess, socket: string) {
    this.#child = child;
    this.socket = socket;
    this.status = child.status;
  }

  /**
   * Starts it and waits until it listens.
   *
   * @throws {Error} When it ends before.
   */
  static async start(
    line: ProgramLine,
    socket: string,
    args: readonly string[] = [],
  ): Promise<FirecrackerProcess> {
    const [program, ...first] = line.argv;
    const child = new Deno.Command(program, {
      args: [...first, "--api-sock", socket, ...args],
      env: { ...line.env },
      stdin: "null",
      stdout: "null",
      stderr: "null",
    }).spawn();
    const process = new FirecrackerProcess(child, socket);
    let ended = false;
    child.status.then(() => ended = true);
    const deadline = performance.now() + START_MS;
    while (!ended && performance.now() < deadline) {
      const conn = await Deno.connect({ transport: "unix", path: socket }).catch(() => undefined);
      conn?.close();
      if (conn) return process;
      await delay(POLL_MS);
    }
    await process[Symbol.asyncDispose]();
    throw new Error(`'${program}' does not listen`);
  }

  /** Sends a signal. */
  kill(signal: Deno.Signal): void {
    this.#child.kill(signal);
  }

  /** Ends it. */
  async [Symbol.asyncDispose](): Promise<void> {
    try {
      this.#child.kill("SIGKILL");
    } catch {
      // It has ended.
    }
    await this.status;
  }
}
