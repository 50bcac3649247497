/** Listening TCP sockets of procfs (proc_pid_net(5)) and which of them need a mirror. */

/** Where a loopback socket listens. */
export interface LoopbackListener {
  /** TCP port. */
  port: number;
  /** Address to reach it at. */
  host: "127.0.0.1" | "::1";
}

/** Listening sockets of a machine. */
export interface Listeners {
  /** Reachable from the machine alone. */
  loopback: LoopbackListener[];
  /** Ports that listen on every address. */
  everywhere: ReadonlySet<number>;
}

const LISTEN = "0A";
const V4_LOOPBACK = "0100007F";
const V6_LOOPBACK = "00000000000000000000000001000000";
const MAPPED_LOOPBACK = "0000000000000000FFFF00000100007F";

/** Reads `/proc/net/tcp` and `/proc/net/tcp6`; addresses are words in the byte order of the machine. */
export function parseListeners(tcp: string, tcp6: string): Listeners {
  const loopback = new Map<number, LoopbackListener>();
  const everywhere = new Set<number>();
  for (const line of `${tcp}\n${tcp6}`.split("\n")) {
    const match = /^\s*\d+:\s+([0-9A-F]+):([0-9A-F]{4})\s+\S+\s+([0-9A-F]{2})\s/.exec(line);
    if (!match || match[3] !== LISTEN) continue;
    const [, address = "", hexPort = ""] = match;
    const port = parseInt(hexPort, 16);
    if (/^0+$/.test(address)) everywhere.add(port);
    else if (address === V4_LOOPBACK || address === MAPPED_LOOPBACK) {
      loopback.set(port, { port, host: "127.0.0.1" });
    } else if (address === V6_LOOPBACK && !loopback.has(port)) {
      loopback.set(port, { port, host: "::1" });
    }
  }
  return { loopback: [...loopback.values()], everywhere };
}

/** What to change. */
export interface MirrorPlan {
  /** Mirrors to open. */
  open: LoopbackListener[];
  /** Ports whose mirror must go. */
  close: number[];
}

/**
 * Compares what listens with what is mirrored.
 *
 * @param mirrored Port to host of the open mirrors. @param excluded Ports that are never mirrored.
 */
export function planMirrors(
  { loopback, everywhere }: Listeners,
  mirrored: ReadonlyMap<number, string>,
  excluded: ReadonlySet<number>,
): MirrorPlan {
  const wanted = loopback.filter(({ port }) => !everywhere.has(port) && !excluded.has(port));
  const hosts = new Map(wanted.map(({ port, host }) => [port, host]));
  return {
    open: wanted.filter(({ port, host }) => mirrored.get(port) !== host),
    close: [...mirrored].filter(([port, host]) => hosts.get(port) !== host).map(([port]) => port),
  };
}
