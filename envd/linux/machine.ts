/** What of the machine `/init` changes: clock, randomness, name. */
import { type Freezer, openFreezer } from "./freezer.ts";
import { checked, cString, libc } from "./libc.ts";
import { overwrite } from "./overwrite.ts";
import { foreignConnections } from "./tcp_connections.ts";

const CLOCK_REALTIME = 0;
const O_WRONLY = 1;
const O_CLOEXEC = 0o2000000;
const RNDADDENTROPY = 0x40085203n;
const RNDRESEEDCRNG = 0x5207n;

/** The machine as a dependency: tests must not set the clock of their host. */
export interface Machine {
  /** Wall clock, nanoseconds since the epoch. */
  now(): bigint;
  /** Sets the wall clock. */
  setClock(ns: bigint): void;
  /** Mixes random bytes into the kernel's pool and makes it use them at once. */
  addEntropy(bytes: Uint8Array<ArrayBuffer>): void;
  /** Sets the host name, with an entry in `/etc/hosts`. */
  setHostname(name: string): void;
  /** Sets `/etc/machine-id` (machine-id(5)). */
  setMachineId(id: string): void;
  /** Sets what `/proc/sys/kernel/random/boot_id` shows, where the image has a file in its place. */
  setBootId(id: string): void;
  /** Freezes what envd has started. Answers how many processes there are. */
  freeze(): Promise<number>;
  /** Lets them go on. */
  thaw(): void;
  /** Whether something runs that envd has started, or that came of it. */
  populated(): boolean;
  /** Established TCP connections to other machines, but for those to envd. */
  foreignConnections(): number;
  /** Writes all file systems out. */
  sync(): Promise<void>;
  /** Ends processes and removes files that a tenant could find of those before. */
  clear(): Promise<void>;
}

/** The machine that envd runs on. */
export const systemMachine: Machine = {
  now: () => BigInt(Date.now()) * 1_000_000n,

  setClock(ns) {
    const timespec = new BigInt64Array([ns / 1_000_000_000n, ns % 1_000_000_000n]);
    checked(libc.clock_settime(CLOCK_REALTIME, new Uint8Array(timespec.buffer)), "set the clock");
  },

  addEntropy(bytes) {
    urandom ??= checked(
      libc.open(cString("/dev/urandom"), O_WRONLY | O_CLOEXEC, 0),
      "open urandom",
    );
    // struct rand_pool_info: bits of entropy, bytes, data (random(4)).
    const info = new Uint8Array(8 + bytes.length);
    new DataView(info.buffer).setInt32(0, bytes.length * 8, true);
    new DataView(info.buffer).setInt32(4, bytes.length, true);
    info.set(bytes, 8);
    checked(libc.ioctl(urandom, RNDADDENTROPY, info), "add entropy");
    checked(libc.ioctl(urandom, RNDRESEEDCRNG, null), "reseed the random generator");
  },

  setHostname(name) {
    const bytes = new TextEncoder().encode(name);
    checked(libc.sethostname(bytes, BigInt(bytes.length)), "set the host name");
    const known = hosts ?? readOr("/etc/hosts", "127.0.0.1\tlocalhost\n");
    // Of a guest that somebody owns the file may be another one the next time.
    hosts = undefined;
    overwrite("/etc/hosts", withHostname(known, name));
    overwrite("/etc/hostname", `${name}\n`);
  },

  setMachineId(id) {
    overwrite("/etc/machine-id", `${id}\n`);
  },

  setBootId(id) {
    // A bind mount over the kernel's own: `images/wrenn-init.sh`.
    if (bootIdFile === undefined) bootIdFile = readOr(BOOT_ID, "") !== "";
    if (bootIdFile) overwrite(BOOT_ID, `${id}\n`);
  },

  freeze: () => (freezer ??= openFreezer()).freeze(),

  thaw() {
    freezer?.thaw();
  },

  populated: () => freezer?.populated() ?? true,

  foreignConnections,

  sync: () => libc.sync(),

  async clear() {
    (freezer ??= openFreezer()).killAll();
    this.setHostname("wrenn");
    this.setMachineId(NO_MACHINE_ID);
    for (const folder of SCRATCH) await emptyFolder(folder, []);
    for (const home of HOMES) await emptyFolder(home, SKELETON);
    for (const file of SEEDS) await removeIfThere(file);
    hosts = readOr("/etc/hosts", "");
  },
};

const BOOT_ID = "/run/wrenn/boot_id";
/** Folders whose content is the tenant's. */
const SCRATCH = ["/tmp", "/var/tmp", "/dev/shm"];
const HOMES = ["/home/user", "/root"];
/** What an image puts into a home. */
const SKELETON = [".bashrc", ".profile", ".bash_logout"];
/** Randomness and keys that must not be the same in two guests. */
const SEEDS = [
  "/var/lib/systemd/random-seed",
  ...["rsa", "ecdsa", "ed25519"].flatMap((kind) => [
    `/etc/ssh/ssh_host_${kind}_key`,
    `/etc/ssh/ssh_host_${kind}_key.pub`,
  ]),
];

/** As long as the owner's, so that its file keeps its block. */
const NO_MACHINE_ID = "0".repeat(32);

/** `/etc/hosts` of a guest that nobody owns. */
let hosts: string | undefined;
/** `/dev/urandom`, open for writing. */
let urandom: number | undefined;
let bootIdFile: boolean | undefined;
let freezer: Freezer | undefined;

/** Puts envd into a group of its own, before it starts anything. */
export function prepareFreezer(): void {
  freezer ??= openFreezer();
}

function readOr(path: string, fallback: string): string {
  try {
    return Deno.readTextFileSync(path);
  } catch {
    // An image may have none.
    return fallback;
  }
}

async function emptyFolder(folder: string, keep: readonly string[]): Promise<void> {
  try {
    for await (const { name } of Deno.readDir(folder)) {
      if (!keep.includes(name)) await Deno.remove(`${folder}/${name}`, { recursive: true });
    }
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
}

async function removeIfThere(path: string): Promise<void> {
  try {
    await Deno.remove(path);
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
}

/** `/etc/hosts` with one line of ours, `127.0.1.1 name`, in place of the one before. */
export function withHostname(hosts: string, name: string): string {
  const lines = hosts.split("\n").filter((line) => !/^127\.0\.1\.1\s/.test(line));
  while (lines.at(-1) === "") lines.pop();
  return [...lines, `127.0.1.1\t${name}`, ""].join("\n");
}
