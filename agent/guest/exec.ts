/** A command run to its end, with its output collected. */
import type { Guest } from "./guest.ts";
import { canceled } from "./errors.ts";
import type { ProcessExit } from "./guest_process.ts";
import type { GuestCommand } from "./processes.ts";

/** Output that is kept, bytes, both streams together. */
export const OUTPUT_LIMIT: number = 16 * 1024 * 1024;

/** A finished command. */
export interface ExecResult extends ProcessExit {
  readonly stdout: Uint8Array<ArrayBuffer>;
  readonly stderr: Uint8Array<ArrayBuffer>;
  /** The output passed the limit and was cut there; the command ran on. */
  readonly truncated: boolean;
}

/** Runs a command without input. When the signal aborts the process is killed. */
export async function exec(
  guest: Guest,
  command: GuestCommand,
  signal: AbortSignal,
  limit: number = OUTPUT_LIMIT,
): Promise<ExecResult> {
  await using process = await guest.processes.start(command, { stdin: false }, signal);
  const abandon = (): void => void process[Symbol.asyncDispose]();
  signal.addEventListener("abort", abandon, { once: true });
  const stdout = new Chunks();
  const stderr = new Chunks();
  try {
    for await (const output of process.output()) {
      if (output.kind === "exit") {
        const truncated = stdout.cut || stderr.cut;
        return { ...output.exit, stdout: stdout.join(), stderr: stderr.join(), truncated };
      }
      const room = limit - stdout.size - stderr.size;
      (output.kind === "stderr" ? stderr : stdout).add(output.data, room);
    }
    throw new Error("Process ended without an exit");
  } catch (error) {
    throw signal.aborted ? canceled(signal) : error;
  } finally {
    signal.removeEventListener("abort", abandon);
  }
}

/** Bytes in the order they came, up to a limit. */
class Chunks {
  size: number = 0;
  cut: boolean = false;
  readonly #chunks: Uint8Array[] = [];

  add(data: Uint8Array, room: number): void {
    if (data.length > room) this.cut = true;
    if (room <= 0) return;
    // A copy: a view would keep the whole network buffer alive.
    const kept = data.slice(0, room);
    this.#chunks.push(kept);
    this.size += kept.length;
  }

  join(): Uint8Array<ArrayBuffer> {
    const all = new Uint8Array(this.size);
    let at = 0;
    for (const chunk of this.#chunks) {
      all.set(chunk, at);
      at += chunk.length;
    }
    return all;
  }
}
