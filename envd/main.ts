/** Guest agent: wiring only. */
import { delay } from "@wrenn/common/clock";
import { configureLog, logger } from "@wrenn/common/log";
import { createApp } from "./app.ts";
import { type EnvdConfig, FlagError, parseFlags } from "./config.ts";
import { ControlDatagrams } from "./control/datagrams.ts";
import { StoredAnswers } from "./control/stored_answers.ts";
import { Initializer } from "./init/init.ts";
import { GuestState } from "./init/state.ts";
import { prepareFreezer, systemMachine } from "./linux/machine.ts";
import { Users } from "./linux/users.ts";
import { PortMirror } from "./ports/port_mirror.ts";
import { ProcessManager } from "./process/manager.ts";
import { startOnPty } from "./pty/pty_backend.ts";
import { ENVD_VERSION } from "./version.ts";
import { Watchers } from "./watch/watchers.ts";

configureLog();
const log = logger("envd");
const config = readFlags();

// envd's death is the end of the VM: a fault of one request must not be.
globalThis.addEventListener("unhandledrejection", (event) => {
  event.preventDefault();
  log.error("Unhandled rejection", { error: event.reason });
});
globalThis.addEventListener("error", (event) => {
  event.preventDefault();
  log.error("Uncaught error", { error: event.error });
});

// In a guest of its own: on a host whose groups belong to others nothing is moved.
if (config.awaitInit) prepareFreezer();

const users = new Users();
const state = new GuestState(users, config.awaitInit);
const manager = new ProcessManager({
  state,
  users,
  path: Deno.env.get("PATH"),
  startOnPty,
  onStart: () => mirror?.wake(),
});
const watchers = new Watchers();
const answers = new StoredAnswers();
const control = {
  state,
  manager,
  machine: systemMachine,
  initializer: new Initializer(state, systemMachine),
  answers,
  onSeal: () => {
    mirror?.rest();
    answers.clear();
  },
};

const server = Deno.serve({
  hostname: config.host,
  port: config.port,
  onListen: ({ hostname, port }) =>
    log.info("Listening", {
      hostname,
      port,
      version: ENVD_VERSION,
      start_ms: Math.round(performance.now()),
    }),
}, createApp({ ...control, users, watchers }));
const datagrams = new ControlDatagrams(control, server.addr);

const mirror: PortMirror | undefined = PortMirror.hasAddress(config.mirrorAddress)
  ? new PortMirror({
    address: config.mirrorAddress,
    excluded: new Set([server.addr.port]),
    busy: () => manager.active,
    populated: systemMachine.populated,
  })
  : undefined;
mirror?.start();

/** Time for requests that are being answered; streams would go on for ever. */
const DRAIN_MS = 1000;

const stop = async (): Promise<void> => {
  log.info("Stopping");
  datagrams[Symbol.dispose]();
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

function readFlags(): EnvdConfig {
  try {
    return parseFlags(Deno.args);
  } catch (error) {
    if (!(error instanceof FlagError)) throw error;
    log.error(error.message);
    Deno.exit(2);
  }
}
