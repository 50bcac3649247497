/** A process on a pseudo-terminal. */
import type { WaitResult } from "../core/exit_status.ts";
import type { OutputKind, ProcessBackend } from "../process/managed_process.ts";
import { waitFor } from "../process/pipe_backend.ts";
import { launch, type LaunchSpec } from "../process/spawn.ts";
import { Pty, type PtySize } from "./pty.ts";

/**
 * The launched program is a session leader without a terminal; the first terminal such a process opens
 * becomes its controlling one. So a shell opens it and becomes the program.
 */
const ATTACH = 'exec 0<>"$0" 1>&0 2>&0; exec "$@"';
/** Shells that can do it, best first. */
const SHELLS: readonly [string, ...string[]][] = [
  ["/bin/sh"],
  ["/opt/wrenn/busybox", "sh"],
  ["/opt/wrenn/bin/busybox", "sh"],
];

/** Starts a program on a terminal of its own. */
export async function startOnPty(spec: LaunchSpec, size: PtySize): Promise<ProcessBackend> {
  const [shell, ...before] = await findShell();
  const pty = await Pty.open(size);
  try {
    await Deno.chown(pty.slave, spec.user.uid, null);
    const child = launch(
      {
        ...spec,
        program: shell,
        args: [...before, "-c", ATTACH, pty.slave, spec.program, ...spec.args],
      },
      { stdin: "null", output: "null" },
    );
    return new PtyBackend(child, pty);
  } catch (error) {
    await pty.close();
    throw error;
  }
}

class PtyBackend implements ProcessBackend {
  readonly pid: number;
  readonly outputs: { kind: OutputKind; stream: ReadableStream<Uint8Array<ArrayBuffer>> }[];
  readonly exited: Promise<WaitResult>;
  readonly inputKind = "pty";
  readonly #pty: Pty;

  constructor(child: Deno.ChildProcess, pty: Pty) {
    this.pid = child.pid;
    this.outputs = [{ kind: "pty", stream: pty.readable }];
    this.exited = waitFor(child);
    this.#pty = pty;
  }

  write(data: Uint8Array<ArrayBuffer>): Promise<void> {
    return this.#pty.write(data);
  }

  closeInput(): Promise<void> {
    return Promise.resolve();
  }

  resize(size: PtySize): void {
    this.#pty.resize(size);
  }

  dispose(): Promise<void> {
    return this.#pty.close();
  }
}

async function findShell(): Promise<readonly [string, ...string[]]> {
  for (const shell of SHELLS) {
    if (await Deno.stat(shell[0]).then((info) => info.isFile, () => false)) return shell;
  }
  return ["/bin/sh"];
}
