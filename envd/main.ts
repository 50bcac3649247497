/** Guest agent: wiring only. */
import { delay } from "@wrenn/common/clock";
import { configureLog, logger } from "@wrenn/common/log";
import { createApp } from "./app.ts";
import { parseFlags } from "./config.ts";
import { GuestState } from "./init/state.ts";
import { systemMachine } from "./linux/machine.ts";
import { Users } from "./linux/users.ts";
import { PortMirror } from "./ports/port_mirror.ts";
import { ProcessManager } from "./process/manager.ts";
import { startOnPty } from "./pty/pty_backend.ts";
import { ENVD_VERSION } from "./version.ts";
import { Watchers } from "./watch/watchers.ts";

const config = parseFlags(Deno.args);
configureLog();
const log = logger("envd");

const users = new Users();
const state = new GuestState(users, config.awaitInit);
const manager = new ProcessManager({ state, users, path: Deno.env.get("PATH"), startOnPty });
const watchers = new Watchers();

const server = Deno.serve({
  hostname: config.host,
  port: config.port,
  onListen: ({ hostname, port }) =>
    log.info("Listening", { hostname, port, version: ENVD_VERSION, pid: Deno.pid }),
}, createApp({ state, manager, users, watchers, machine: systemMachine }));

if (PortMirror.hasAddress(config.mirrorAddress)) {
  const mirror = new PortMirror({
    address: config.mirrorAddress,
    excluded: new Set([server.addr.port]),
    busy: () => manager.active,
  });
  void mirror.start();
}

/** Time for requests that are being answered; streams would go on for ever. */
const DRAIN_MS = 1000;

const stop = async (): Promise<void> => {
  log.info("Stopping");
  await manager[Symbol.asyncDispose]();
  await Promise.race([server.shutdown(), delay(DRAIN_MS)]);
};
for (const signal of ["SIGTERM", "SIGINT"] as const) {
  Deno.addSignalListener(signal, () => {
    stop().then(() => Deno.exit(0), (error) => {
      log.error("Cannot stop", { error });
      Deno.exit(1);
    });
  });
}
