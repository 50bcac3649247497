/**
 * Host agent: wiring only. Configuration, then what a dead agent left, then the service, then signals.
 *
 * SIGTERM and SIGINT end every sandbox that has a machine and remove all that the agent made on the host;
 * hibernated ones stay as files. An agent that was killed is survived by its machines: the next one takes them over.
 */
import { join } from "node:path";
import {
  CleanupStack,
  ConfigError,
  configureLog,
  delay,
  logger,
  runCommand,
  systemClock,
} from "@wrenn/common";
import { type AgentConfig, loadAgentConfig } from "./config.ts";
import { Guest } from "./guest/guest.ts";
import { NetnsSlots } from "./network/netns_slots.ts";
import { lockRange } from "./network/range_lock.ts";
import { openPlatform } from "./platform/open.ts";
import type { RootfsStore } from "./rootfs/store.ts";
import { startServer } from "./rpc/server.ts";
import { loadHostId, lockDataDir } from "./sandbox/data_dir.ts";
import { type GoldenKey, GoldenSnapshots } from "./sandbox/golden.ts";
import { openGoldenStore } from "./sandbox/golden_store.ts";
import { readHostFigures } from "./sandbox/host_figures.ts";
import { HostSecret } from "./sandbox/host_secret.ts";
import type { HostParts, HostSettings } from "./sandbox/machine.ts";
import { SandboxManager } from "./sandbox/manager.ts";
import { startReaper } from "./sandbox/reaper.ts";
import { SandboxRecords } from "./sandbox/records.ts";
import { recover } from "./sandbox/recover.ts";
import { Spares } from "./sandbox/spares.ts";
import { StartGate } from "./sandbox/start_gate.ts";
import { startWaker } from "./sandbox/waker.ts";
import { WarmPools } from "./sandbox/warm_pool.ts";
import { startHashThread } from "./snapshot/hash_thread.ts";
import { SnapshotStore, VerifiedFiles } from "./snapshot/mod.ts";
import { AGENT_VERSION } from "./version.ts";

const ENVD_PORT = 49983;
/** sysexits.h: the configuration is wrong, starting again will not help. */
const EXIT_CONFIG = 78;
/** Hundreds of machines on a busy host take their time; what is left after this waits for the next start. */
const STOP_LIMIT_MS = 60_000;
/** Calls that do not end with their sandbox are given up after this. */
const DRAIN_MS = 7_000;
/** What a create gets that names no size. */
const DEFAULT_SIZE = { vcpus: 1, memoryMb: 512, diskMb: 0 };
const GUEST_TIMEOUT_MS = { kvm: 30_000, tcg: 60_000 } as const;

const log = logger("agent");

/** Starts everything; running the stack stops it in the opposite order. */
async function start(config: AgentConfig): Promise<CleanupStack> {
  const undo = new CleanupStack();
  try {
    await build(config, undo);
    return undo;
  } catch (error) {
    await undo.run();
    throw error;
  }
}

async function build(config: AgentConfig, undo: CleanupStack): Promise<void> {
  const { dataDir, runDir } = config;
  await Deno.mkdir(dataDir, { recursive: true });
  await Deno.mkdir(runDir, { recursive: true });
  const lock = await lockDataDir(dataDir);
  undo.add(() => lock[Symbol.dispose](), "lock");
  const range = await lockRange(config.slots);
  undo.add(() => range[Symbol.dispose](), "slot range");
  const hashing = startHashThread();
  undo.add(() => hashing[Symbol.dispose](), "hashing thread");
  const hostId = await loadHostId(dataDir);
  const platform = await openPlatform(config);
  const { vmm, rootfs, kernel, initrd } = platform;

  const reserveMb = config.diskReserveMb;
  // A sandbox's memory lies over its golden snapshot's, which is hashed once.
  const verified = new VerifiedFiles();
  const slots = new NetnsSlots({
    range: config.slots,
    run: runCommand,
    ready: config.readySlots,
  });
  const secret = await HostSecret.load(dataDir);
  const records = new SandboxRecords(dataDir, secret);
  // A stop has ended every machine and its record before; a start that fails leaves those of the agent before.
  undo.add(async () => {
    const left = (await records.list()).flatMap(({ machine }) => machine ? [machine] : []);
    await slots.stop({ keep: new Set(left.map(({ slot }) => slot)) });
    await vmm.sweep(runDir, new Set(left.map(({ vmId }) => join(runDir, vmId))));
  }, "network and virtual machines");
  const figures = (): ReturnType<typeof readHostFigures> => readHostFigures(dataDir);
  const memory = {
    reserveMb: config.memoryReserveMb,
    availableMb: () => figures().memoryAvailableMb,
  };
  const gate = new StartGate(config.startConcurrency);
  const settings: HostSettings = {
    kernel,
    initrd,
    runDir,
    dns: config.dns,
    guestTimeoutMs: config.guestTimeoutSec === undefined
      ? GUEST_TIMEOUT_MS[vmm.accelerator]
      : config.guestTimeoutSec * 1000,
    createdBy: `agent ${AGENT_VERSION} on ${hostId}`,
  };
  // With KVM a process starts in no time. One that waits has dropped its rights and opens files alone, no devices.
  const spared = vmm.accelerator === "tcg" && rootfs.kind === "qcow2";
  const count = spared ? config.spares : 0;
  const spares = new Spares({ parts: { vmm, slots, rootfs, gate, settings }, count, ...memory });
  const parts: HostParts = {
    ...{ vmm, slots, rootfs, gate, spares, settings, secret },
    snapshots: new SnapshotStore({ root: join(dataDir, "snapshots"), reserveMb, verified }),
    clock: systemClock,
    connectGuest: (slot) => new Guest(`http://${slot.hostIp}:${ENVD_PORT}`),
  };
  const goldens = await openGoldenStore({ dir: config.goldenDir, dataDir, reserveMb, verified });
  undo.add(() => goldens[Symbol.dispose](), "golden snapshots");
  const golden = new GoldenSnapshots({ parts, store: goldens.store });
  const pools = new WarmPools({
    parts,
    golden,
    min: config.poolMin,
    max: config.poolMax,
    keep: config.poolMin === 0 ? [] : await poolKeys(rootfs, config.poolTemplates),
    ...memory,
    policy: { internet: true, allowOut: [], denyOut: [] },
  });
  const manager = new SandboxManager({
    parts,
    records,
    golden,
    pools,
    limits: config,
    figures,
    pausedSec: config.pausedSec,
  });
  await recover({ parts, records, manager });
  const watch = platform.startWatch();
  undo.add(async () => await watch[Symbol.asyncDispose](), "disk watch");
  pools.start();
  spares.start();
  undo.add(async () => {
    await Promise.all([pools.stop(), spares.stop()]);
    await golden.stop();
  }, "warm machines");
  const server = await startServer({
    listen: config.listen,
    secret: config.secret,
    manager,
    host: {
      hostId,
      version: AGENT_VERSION,
      cpus: navigator.hardwareConcurrency,
      memoryMb: figures().memoryTotalMb,
      vmm,
      rootfs,
    },
  });
  const reaper = startReaper(manager, systemClock);
  const waker = vmm.accelerator === "tcg" ? startWaker(manager) : undefined;
  undo.add(async () => {
    reaper[Symbol.dispose]();
    await waker?.[Symbol.asyncDispose]();
    // Calls end with their sandboxes, so the two wait for each other.
    await Promise.all([manager.stop(), server.stop(DRAIN_MS)]);
  }, "sandboxes and service");
  log.info("Agent is ready", { hostId, vmm: vmm.version, accelerator: vmm.accelerator });
}

/** The default size of every template that is there. */
async function poolKeys(rootfs: RootfsStore, templates: readonly string[]): Promise<GoldenKey[]> {
  const there = (await rootfs.templates()).map(({ template }) => template);
  return templates.filter((name) => there.includes(name))
    .map((template) => ({ template, ...DEFAULT_SIZE }));
}

async function stop(running: CleanupStack): Promise<void> {
  const late = new AbortController();
  const limit = delay(STOP_LIMIT_MS, late.signal).then(() => {
    throw new Error(`Agent did not stop within ${STOP_LIMIT_MS / 1000} s`);
  });
  limit.catch(() => {});
  try {
    await Promise.race([running.run(), limit]);
  } finally {
    late.abort();
  }
}

if (import.meta.main) {
  configureLog();
  try {
    const config = loadAgentConfig(Deno.env.toObject(), navigator.hardwareConcurrency);
    configureLog(config.logLevel);
    const signalled = Promise.withResolvers<string>();
    for (const signal of ["SIGTERM", "SIGINT"] as const) {
      Deno.addSignalListener(signal, () => signalled.resolve(signal));
    }
    const running = await start(config);
    log.info("Agent stops", { signal: await signalled.promise });
    await stop(running);
    log.info("Agent has stopped");
    Deno.exit(0);
  } catch (error) {
    const wrong = error instanceof ConfigError;
    log.fatal(wrong ? error.message : "Agent failed", { error });
    Deno.exit(wrong ? EXIT_CONFIG : 1);
  }
}
