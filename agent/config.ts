/** The agent's environment, one field per variable. */
import { z } from "zod";
import { type ListenAddress, listenAddress, loadConfig } from "@wrenn/common";

/** Slots of this agent, both ends included. */
export interface SlotRange {
  /** At least 1. */
  readonly first: number;
  /** At most 65534. */
  readonly last: number;
}

/** Validated configuration of the agent. */
export interface AgentConfig {
  /** `WRENN_DATA_DIR`: kernels, images, disks and the host's id. */
  readonly dataDir: string;
  /** `WRENN_RUN_DIR`: sockets and logs of running sandboxes. */
  readonly runDir: string;
  /** `WRENN_AGENT_LISTEN`: where the service is served. */
  readonly listen: ListenAddress;
  /** `WRENN_AGENT_SECRET`: what callers show as a bearer token. */
  readonly secret: string;
  /** `WRENN_SLOTS`: network slots of this agent. */
  readonly slots: SlotRange;
  /** `WRENN_DNS`: name servers of the guests. */
  readonly dns: readonly string[];
  /** `WRENN_VMM`: what machines run in. */
  readonly vmm: "auto" | "firecracker" | "qemu";
  /** `WRENN_JAIL`: what keeps Firecracker from the host. */
  readonly jail: "auto" | "jailer" | "namespace";
  /** `WRENN_ACCEL`: what runs guests. */
  readonly accelerator: "auto" | "kvm" | "tcg";
  /** `WRENN_ROOTFS`: what disks are. */
  readonly rootfs: "auto" | "dm" | "qcow2";
  /** `WRENN_QEMU_BIN`: QEMU's binary. */
  readonly qemuBin: string;
  /** `WRENN_FIRECRACKER_BIN`: Firecracker's binary. */
  readonly firecrackerBin: string;
  /** `WRENN_JAILER_BIN`: the binary of its jailer; undefined = beside Firecracker. */
  readonly jailerBin: string | undefined;
  /** `WRENN_MAX_SANDBOXES`: sandboxes at once. */
  readonly maxSandboxes: number;
  /** `WRENN_START_CONCURRENCY`: machines that boot at once. */
  readonly startConcurrency: number;
  /** `WRENN_GUEST_TIMEOUT_SEC`: from boot to the answer; undefined = 30 s with KVM, 60 s without. */
  readonly guestTimeoutSec: number | undefined;
  /** `WRENN_MEMORY_OVERCOMMIT_PERCENT` as a multiple of the host's memory. */
  readonly memoryOvercommit: number;
  /** `WRENN_MEMORY_RESERVE_MB`: memory that sandboxes leave free, MiB. */
  readonly memoryReserveMb: number;
  /** `WRENN_DISK_RESERVE_MB`: disk space that sandboxes leave free, MiB. */
  readonly diskReserveMb: number;
  /** `WRENN_LAYER_MB`: most that the changes of a `dm` disk since its last snapshot may take; undefined = all of it. */
  readonly layerMb: number | undefined;
  /** `WRENN_GOLDEN_DIR`: where golden snapshots are kept. */
  readonly goldenDir: string;
  /** `WRENN_POOL_TEMPLATES`: templates whose warm machines are made before anybody asks. */
  readonly poolTemplates: readonly string[];
  /** `WRENN_POOL_MIN`: warm machines of each of them at the default size. */
  readonly poolMin: number;
  /** `WRENN_POOL_MAX`: warm machines of one template and size. */
  readonly poolMax: number;
  /** `WRENN_SPARES`: VMM processes that wait for a machine to bring back. */
  readonly spares: number;
  /** `WRENN_READY_SLOTS`: network slots that are kept built. */
  readonly readySlots: number;
  /** `WRENN_PAUSED_SEC`: how long a paused sandbox keeps its memory; 0 = until it is resumed. */
  readonly pausedSec: number;
  /** `WRENN_LOG_LEVEL`: least severe level that is logged. */
  readonly logLevel: "debug" | "info" | "warning" | "error";
}

const number = (min: number, max: number, fallback: number): z.ZodType<number> =>
  z.string().regex(/^\d+$/, "must be a whole number").transform(Number)
    .pipe(z.number().min(min).max(max)).default(fallback);

const absolutePath = z.string().startsWith("/", "must be an absolute path");
const ipv4 = z.ipv4("must be a list of IPv4 addresses with commas between");

const slotRange = z.string().transform((text, ctx): SlotRange => {
  const [, first, last] = /^(\d{1,5})-(\d{1,5})$/.exec(text)?.map(Number) ?? [];
  if (first === undefined || last === undefined || first < 1 || last > 65534 || first > last) {
    ctx.addIssue({ code: "custom", message: "must be 'first-last' within 1-65534" });
    return z.NEVER;
  }
  return { first, last };
});

const nameServers = z.string().transform((text) => text.split(",").map((part) => part.trim()))
  .pipe(z.array(ipv4).min(1).max(3, "must name at most three servers"));

const templateNames = z.string().transform((text) =>
  text.split(",").map((part) => part.trim()).filter((part) => part !== "")
).pipe(z.array(z.string().regex(/^[a-z0-9][a-z0-9-]{0,62}$/, "must name templates")));

/** Every variable that the agent reads. */
function schema(cores: number) {
  return z.object({
    /** Kernels, images, disks and the host's id. One agent per folder. */
    WRENN_DATA_DIR: absolutePath.default("/var/lib/wrenn"),
    /** Sockets and logs of running sandboxes; may lie in memory. */
    WRENN_RUN_DIR: absolutePath.default("/run/wrenn"),
    /** Where the service is served: `host:port` or `unix:/path`. */
    WRENN_AGENT_LISTEN: listenAddress.default({
      transport: "tcp",
      hostname: "127.0.0.1",
      port: 7070,
    }),
    /** Secret that every caller shows as a bearer token. */
    WRENN_AGENT_SECRET: z.string({ error: "must be set" })
      .min(16, "must have at least 16 characters")
      .regex(/^[\x21-\x7e]+$/, "must be printable ASCII without spaces"),
    /** Network slots of this agent; agents on one machine take disjoint ranges. */
    WRENN_SLOTS: slotRange.default({ first: 1, last: 65534 }),
    /** Name servers of the guests. */
    WRENN_DNS: nameServers.default(["1.1.1.1", "8.8.8.8"]),
    /** What machines run in: `auto` is Firecracker where it, KVM and `dm` work, and what the data folder has. */
    WRENN_VMM: z.enum(["auto", "firecracker", "qemu"], "must be 'auto', 'firecracker' or 'qemu'")
      .default("auto"),
    /** What keeps Firecracker from the host: `auto` is the jailer; without one, a demanded Firecracker goes without. */
    WRENN_JAIL: z.enum(["auto", "jailer", "namespace"], "must be 'auto', 'jailer' or 'namespace'")
      .default("auto"),
    /** What runs guests: `auto` proves KVM by starting a guest with it. */
    WRENN_ACCEL: z.enum(["auto", "kvm", "tcg"], "must be 'auto', 'kvm' or 'tcg'").default("auto"),
    /** What disks are: `auto` is `dm` where device-mapper works, and what the data folder has. */
    WRENN_ROOTFS: z.enum(["auto", "dm", "qcow2"], "must be 'auto', 'dm' or 'qcow2'")
      .default("auto"),
    /** QEMU's binary. */
    WRENN_QEMU_BIN: z.string().default("qemu-system-x86_64"),
    /** Firecracker's binary. */
    WRENN_FIRECRACKER_BIN: absolutePath.default("/usr/local/bin/firecracker"),
    /** The binary of Firecracker's jailer, which must have its version; by default it lies beside it. */
    WRENN_JAILER_BIN: absolutePath.optional(),
    /** Sandboxes at once. */
    WRENN_MAX_SANDBOXES: number(1, 65534, 200),
    /** Machines that boot at once; the others wait in order. */
    WRENN_START_CONCURRENCY: number(1, 1000, Math.max(2, cores)),
    /** Seconds from boot to the answer of the guest's agent; 0 = 30 with KVM, 60 without. */
    WRENN_GUEST_TIMEOUT_SEC: number(0, 3600, 0),
    /** Guest memory that may be promised, in percent of the host's. */
    WRENN_MEMORY_OVERCOMMIT_PERCENT: number(10, 10_000, 200),
    /** Memory that sandboxes leave free, MiB. */
    WRENN_MEMORY_RESERVE_MB: number(0, 1 << 24, 256),
    /** Disk space that sandboxes leave free, MiB. */
    WRENN_DISK_RESERVE_MB: number(0, 1 << 30, 512),
    /** Most that the changes of a `dm` disk since its last snapshot may take, MiB; 0 = as much as it is large. */
    WRENN_LAYER_MB: number(0, 1 << 30, 0).refine((mb) => mb !== 1, "must be 0 or at least 2"),
    /** Golden snapshots, on the same file system as the data; agents of one machine may share them. */
    WRENN_GOLDEN_DIR: absolutePath.optional(),
    /** Templates whose warm machines are made before anybody asks; what is not there is left out. */
    WRENN_POOL_TEMPLATES: templateNames.default(["base"]),
    /** Warm machines of each of them, 1 vCPU and 512 MiB, as long as there is memory. */
    WRENN_POOL_MIN: number(0, 1000, 2),
    /** Warm machines of one template and size, whatever the demand; 0 = no pool. */
    WRENN_POOL_MAX: number(0, 1000, 20),
    /** VMM processes that are kept started under emulation, so that a wake and a fork do not wait for one; 0 = none. */
    WRENN_SPARES: number(0, 1000, 8),
    /** Network slots that are kept built, so that no start waits for one. */
    WRENN_READY_SLOTS: number(0, 1000, 4),
    /** Seconds that a paused sandbox keeps its memory before it hibernates; 0 = until it is resumed. */
    WRENN_PAUSED_SEC: number(0, 0xffffffff, 300),
    /** Least severe level that is logged. */
    WRENN_LOG_LEVEL: z.enum(
      ["debug", "info", "warning", "error"],
      "must be 'debug', 'info', 'warning' or 'error'",
    ).default("info"),
  });
}

/**
 * Reads the agent's configuration.
 *
 * @param env Environment. @param cores Processors of the host.
 * @throws {ConfigError} With a sentence for each wrong variable.
 */
export function loadAgentConfig(
  env: Record<string, string | undefined>,
  cores: number,
): AgentConfig {
  const given = loadConfig(schema(cores), env);
  return {
    dataDir: given.WRENN_DATA_DIR,
    runDir: given.WRENN_RUN_DIR,
    listen: given.WRENN_AGENT_LISTEN,
    secret: given.WRENN_AGENT_SECRET,
    slots: given.WRENN_SLOTS,
    dns: given.WRENN_DNS,
    vmm: given.WRENN_VMM,
    jail: given.WRENN_JAIL,
    accelerator: given.WRENN_ACCEL,
    rootfs: given.WRENN_ROOTFS,
    qemuBin: given.WRENN_QEMU_BIN,
    firecrackerBin: given.WRENN_FIRECRACKER_BIN,
    jailerBin: given.WRENN_JAILER_BIN,
    maxSandboxes: given.WRENN_MAX_SANDBOXES,
    startConcurrency: given.WRENN_START_CONCURRENCY,
    guestTimeoutSec: given.WRENN_GUEST_TIMEOUT_SEC || undefined,
    memoryOvercommit: given.WRENN_MEMORY_OVERCOMMIT_PERCENT / 100,
    memoryReserveMb: given.WRENN_MEMORY_RESERVE_MB,
    diskReserveMb: given.WRENN_DISK_RESERVE_MB,
    layerMb: given.WRENN_LAYER_MB || undefined,
    goldenDir: given.WRENN_GOLDEN_DIR ?? `${given.WRENN_DATA_DIR}/golden`,
    poolTemplates: given.WRENN_POOL_TEMPLATES,
    poolMin: given.WRENN_POOL_MIN,
    poolMax: given.WRENN_POOL_MAX,
    spares: given.WRENN_SPARES,
    readySlots: given.WRENN_READY_SLOTS,
    pausedSec: given.WRENN_PAUSED_SEC,
    logLevel: given.WRENN_LOG_LEVEL,
  };
}
