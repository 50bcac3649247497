/** What of the machine `/init` changes: clock, randomness, name. */
import { checked, cString, libc } from "./libc.ts";

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
  setHostname(name: string): Promise<void>;
}

/** The machine that envd runs on. */
export const systemMachine: Machine = {
  now: () => BigInt(Date.now()) * 1_000_000n,

  setClock(ns) {
    const timespec = new BigInt64Array([ns / 1_000_000_000n, ns % 1_000_000_000n]);
    checked(libc.clock_settime(CLOCK_REALTIME, new Uint8Array(timespec.buffer)), "set the clock");
  },

  addEntropy(bytes) {
    const fd = checked(libc.open(cString("/dev/urandom"), O_WRONLY | O_CLOEXEC, 0), "open urandom");
    try {
      // struct rand_pool_info: bits of entropy, bytes, data (random(4)).
      const info = new Uint8Array(8 + bytes.length);
      new DataView(info.buffer).setInt32(0, bytes.length * 8, true);
      new DataView(info.buffer).setInt32(4, bytes.length, true);
      info.set(bytes, 8);
      checked(libc.ioctl(fd, RNDADDENTROPY, info), "add entropy");
      checked(libc.ioctl(fd, RNDRESEEDCRNG, null), "reseed the random generator");
    } finally {
      libc.close(fd);
    }
  },

  async setHostname(name) {
    await Deno.writeTextFile("/proc/sys/kernel/hostname", name);
    const hosts = await Deno.readTextFile("/etc/hosts").catch(() => "127.0.0.1\tlocalhost\n");
    await Deno.writeTextFile("/etc/hosts", withHostname(hosts, name));
    await Deno.writeTextFile("/etc/hostname", `${name}\n`);
  },
};

/** `/etc/hosts` with one line of ours, `127.0.1.1 name`, in place of the one before. */
export function withHostname(hosts: string, name: string): string {
  const lines = hosts.split("\n").filter((line) => !/^127\.0\.1\.1\s/.test(line));
  while (lines.at(-1) === "") lines.pop();
  return [...lines, `127.0.1.1\t${name}`, ""].join("\n");
}
