/** The control plane as a process. */
import { ConfigError, configureLog, logger, WrennError } from "@wrenn/common";
import { loadApiConfig } from "./config.ts";
import { type ControlPlane, startControlPlane } from "./control_plane.ts";
import { MigrationError } from "./db/migrate.ts";

/** A stop that takes longer than this is cut off. */
const STOP_MS = 10_000;

if (import.meta.main) await main();

async function main(): Promise<void> {
  const stopped = stopSignal();
  const log = logger("api");
  let controlPlane: ControlPlane;
  try {
    const config = loadApiConfig(Deno.env.toObject());
    configureLog(config.WRENN_LOG_LEVEL);
    controlPlane = await startControlPlane(config);
  } catch (error) {
    return fail(error);
  }
  log.info("Control plane stops", { signal: await stopped });
  setTimeout(() => {
    log.error("Control plane did not stop in time");
    Deno.exit(1);
  }, STOP_MS);
  await controlPlane.stop();
  Deno.exit(0);
}

/** Settles at the first SIGTERM or SIGINT. */
function stopSignal(): Promise<Deno.Signal> {
  const { promise, resolve } = Promise.withResolvers<Deno.Signal>();
  for (const name of ["SIGTERM", "SIGINT"] as const) {
    Deno.addSignalListener(name, () => resolve(name));
  }
  return promise;
}

/** What the operator did wrong is told in a sentence, what we did with a stack. */
function fail(error: unknown): never {
  const theirs = error instanceof ConfigError || error instanceof WrennError ||
    error instanceof MigrationError || error instanceof Deno.errors.AddrInUse;
  const cause = error instanceof WrennError && error.cause instanceof Error
    ? `: ${error.cause.message}`
    : "";
  const text = theirs ? `${error.message}${cause}` : Deno.inspect(error);
  Deno.stderr.writeSync(new TextEncoder().encode(`Cannot start: ${text}\n`));
  Deno.exit(1);
}
