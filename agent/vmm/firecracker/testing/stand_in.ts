/**
 * A program that stands in for Firecracker 1.15 where its binary or KVM is missing. It has the same command line and
 * API, and no guest: once started it only stays alive until it is told or killed. `STAND_IN_TAPS` names TAP devices,
 * with commas between, that count as there although the host has none.
 */
import { parseStandInArgs, StandInUsageError } from "./stand_in_options.ts";
import { StandInMachine } from "./stand_in_machine.ts";
import { serveStandIn } from "./stand_in_server.ts";
import { STAND_IN_VERSION } from "./stand_in_snapshot.ts";
import { checkFree, checkOpens } from "./stand_in_files.ts";

/** Firecracker's exit code for arguments that it does not know. */
const ARGUMENTS = 153;

async function main(args: readonly string[]): Promise<number> {
  const command = parseStandInArgs(args);
  if (command.kind === "version") {
    say(`Firecracker v${STAND_IN_VERSION}\n\n`);
    return 0;
  }
  const { id, socket, logPath, metricsPath } = command;
  for (const path of [logPath, metricsPath]) {
    if (path !== undefined) await checkOpens(path, "output", "write");
  }
  await checkFree(socket);
  const lent = Deno.env.get("STAND_IN_TAPS") ?? "";
  using machine = new StandInMachine({
    id,
    metricsPath,
    lentTaps: new Set(lent.split(",").filter((name) => name !== "")),
    console: say,
  });
  const log = `${new Date().toISOString()} [${id}:main] Running Firecracker v${STAND_IN_VERSION}\n`;
  if (logPath === undefined) say(log);
  else await Deno.writeTextFile(logPath, log, { append: true });
  await using server = serveStandIn(
    socket,
    (method, path, body) => machine.answer(method, path, body),
  );
  return await server.ended;
}

function say(text: string): void {
  Deno.stdout.writeSync(new TextEncoder().encode(text));
}

if (import.meta.main) {
  try {
    Deno.exitCode = await main(Deno.args);
  } catch (error) {
    Deno.stderr.writeSync(new TextEncoder().encode(`Error: ${error}\n`));
    Deno.exitCode = error instanceof StandInUsageError ? ARGUMENTS : 1;
  }
}
