/**
 * A program that stands in for Firecracker 1.15 where its binary or KVM is missing. It has the same command line and
 * API, and no guest: once started it only stays alive until it is told or killed. With `STAND_IN_ENGINE`, `tcg` or
 * `kvm`, its guest runs in QEMU, which `STAND_IN_QEMU` names. `STAND_IN_TAPS` names TAP devices, with commas between,
 * that count as there although the host has none. `STAND_IN_ROOT` is the folder that all paths begin at.
 */
import { z } from "zod";
import { QEMU_BIN } from "../../qemu/host_facts.ts";
import { QemuEngine } from "./qemu_engine.ts";
import { StandInConsole, writeStdout } from "./stand_in_console.ts";
import { parseStandInArgs, StandInUsageError } from "./stand_in_options.ts";
import { StandInMachine } from "./stand_in_machine.ts";
import { serveStandIn } from "./stand_in_server.ts";
import { STAND_IN_VERSION } from "./stand_in_snapshot.ts";
import { StandInFiles } from "./stand_in_files.ts";

/** Firecracker's exit code for arguments that it does not know. */
const ARGUMENTS = 153;

const settings = z.object({
  STAND_IN_ENGINE: z.enum(["tcg", "kvm"]).optional(),
  STAND_IN_QEMU: z.string().default(QEMU_BIN),
  STAND_IN_TAPS: z.string().default(""),
  STAND_IN_ROOT: z.string().default(""),
});

async function main(args: readonly string[]): Promise<number> {
  const command = parseStandInArgs(args);
  if (command.kind === "version") {
    say(`Firecracker v${STAND_IN_VERSION}\n\n`);
    return 0;
  }
  const { id, socket, logPath, metricsPath } = command;
  const env = settings.parse(Deno.env.toObject());
  const files = new StandInFiles(env.STAND_IN_ROOT);
  for (const path of [logPath, metricsPath]) {
    if (path !== undefined) await files.checkOpens(path, "output", "write");
  }
  await files.checkFree(socket);
  const console = new StandInConsole(files, writeStdout);
  const engine = env.STAND_IN_ENGINE === undefined ? undefined : await QemuEngine.open({
    qemuBin: env.STAND_IN_QEMU,
    accelerator: env.STAND_IN_ENGINE,
  }, { files, console });
  const lentTaps = new Set(env.STAND_IN_TAPS.split(",").filter((name) => name !== ""));
  using machine = new StandInMachine({ id, metricsPath, lentTaps, files, console, engine });
  const log = `${new Date().toISOString()} [${id}:main] Running Firecracker v${STAND_IN_VERSION}\n`;
  if (logPath === undefined) say(log);
  else await Deno.writeTextFile(await files.hostPath(logPath), log, { append: true });
  const server = serveStandIn(
    await files.hostPath(socket),
    (method, path, body) => machine.answer(method, path, body),
  );
  return await Promise.race([server.ended, ...(engine ? [engine.ended] : [])]);
}

function say(text: string): void {
  Deno.stdout.writeSync(new TextEncoder().encode(text));
}

if (import.meta.main) {
  try {
    // What is still under way ends with the guest.
    Deno.exit(await main(Deno.args));
  } catch (error) {
    Deno.stderr.writeSync(new TextEncoder().encode(`Error: ${error}\n`));
    Deno.exit(error instanceof StandInUsageError ? ARGUMENTS : 1);
  }
}
