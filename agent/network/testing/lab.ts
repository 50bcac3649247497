/** A closed network of namespaces for tests: a host, an internet behind it, guests. Leaves nothing behind. */
import { CleanupStack, type RunCommand, runCommand } from "@wrenn/common";
import { GATEWAY_IP, GUEST_IP, GUEST_MAC, TAP_MAC, TAP_NAME } from "../../core/slot_plan.ts";
import type { Slot } from "../slots.ts";
import type { Probe } from "./net_peer.ts";

/** Port of every server in the lab. */
export const PORT = 8080;
/** The host's address on its uplink. */
export const HOST_UPLINK = "203.0.113.2";
/** A server on the internet. */
export const PUBLIC = "203.0.113.10";
/** Servers behind the host's uplink that no guest may reach. */
export const PRIVATE: readonly string[] = [
  "10.99.0.1",
  "100.64.0.1",
  "169.254.169.254",
  "172.16.5.1",
  "192.0.0.9",
  "192.168.7.1",
  "198.18.0.1",
];
/** An IPv6 server behind the uplink. */
export const PUBLIC_6 = "2001:db8:1::1";

const here = (file: string): string => new URL(file, import.meta.url).pathname;

/** Kills a process, which may have ended already, and waits for it. */
async function end(child: Deno.ChildProcess): Promise<void> {
  try {
    child.kill("SIGKILL");
  } catch (error) {
    if (!(error instanceof TypeError)) throw error;
  }
  await child.status;
}

/** Namespaces and the processes in them, removed on disposal. */
export class Lab implements AsyncDisposable {
  readonly #prefix: string;
  readonly #undo = new CleanupStack();
  /** Ends the program between a guest and its slot. */
  readonly #pumps = new Map<string, () => Promise<void>>();

  /** @param prefix Starts every namespace's name; unique on the machine. */
  constructor(prefix: string) {
    this.#prefix = prefix;
  }

  /** Full name of a namespace of the lab. */
  name(short: string): string {
    return `${this.#prefix}-${short}`;
  }

  /** Creates a namespace. */
  async namespace(short: string): Promise<void> {
    const name = this.name(short);
    await runCommand(["ip", "netns", "add", name]);
    this.#undo.add(async () => void await runCommand(["ip", "netns", "del", name]), name);
    await this.shell(short, "ip link set lo up");
  }

  /** Runs programs inside a namespace: what the code under test takes for its host. */
  runIn(short: string): RunCommand {
    const net = `--net=/run/netns/${this.name(short)}`;
    return (argv, options) => runCommand(["nsenter", net, ...argv], options);
  }

  /** Runs a shell script inside a namespace and returns its output. */
  async shell(short: string, script: string): Promise<string> {
    return (await this.runIn(short)(["sh", "-euc", script])).stdout;
  }

  /** The host with its uplink of a smaller MTU, and the internet with a public server, private networks and IPv6. */
  async world(): Promise<void> {
    await this.namespace("host");
    await this.namespace("inet");
    await this.shell(
      "host",
      "ip link add up0 mtu 1400 type veth peer name eth0 netns " + this.name("inet"),
    );
    await this.shell(
      "host",
      `ip addr add ${HOST_UPLINK}/24 dev up0; ip link set up0 up; ip -6 addr add 2001:db8:1::2/64 dev up0 nodad
      echo 1 > /proc/sys/net/ipv6/conf/all/forwarding`,
    );
    await this.shell(
      "inet",
      `ip addr add 203.0.113.1/24 dev eth0; ip addr add ${PUBLIC}/24 dev eth0; ip link set eth0 up
      for a in ${PRIVATE.join(" ")}; do ip addr add $a/32 dev lo; done
      ip -6 addr add ${PUBLIC_6}/64 dev eth0 nodad; ip -6 route add default via 2001:db8:1::2
      ip route add 10.11.0.0/16 via ${HOST_UPLINK}`,
    );
    await this.shell("host", "ip route add default via 203.0.113.1");
    await this.serve("inet");
    await this.serve("host");
  }

  /** A namespace that plays the guest of a slot, with a server in it. */
  async guest(short: string, slot: Slot): Promise<void> {
    await this.namespace(short);
    // Made here it outlives the program that carries its frames.
    await this.shell(short, "ip tuntap add eth0 mode tap");
    await this.plug(short, slot);
    await this.shell(
      short,
      `ip link set eth0 address ${GUEST_MAC} up; ip addr add ${GUEST_IP}/30 dev eth0
      ip route add default via ${GATEWAY_IP}
      ip -6 addr add 2001:db8:2::2/64 dev eth0 nodad; ip -6 neigh add fe80::1 lladdr ${TAP_MAC} dev eth0
      ip -6 route add default via fe80::1 dev eth0`,
    );
    await this.serve(short);
  }

  /** Connects a guest to another slot: what a restore does to a guest that knows nothing of it. */
  async plug(short: string, slot: Slot): Promise<void> {
    await this.unplug(short);
    const places = [`${slot.namespace}:${TAP_NAME}`, `${this.name(short)}:eth0`] as const;
    const argv = [Deno.execPath(), "run", "-A", here("tap_pump.ts"), ...places] as const;
    this.#pumps.set(short, await this.#daemon(argv));
  }

  /** Takes a guest from the slot that it is connected to. */
  async unplug(short: string): Promise<void> {
    await this.#pumps.get(short)?.();
  }

  /** Starts a server that answers with the namespace's short name. */
  async serve(short: string): Promise<void> {
    const net = `--net=/run/netns/${this.name(short)}`;
    await this.#daemon([
      "nsenter",
      net,
      Deno.execPath(),
      "run",
      "-A",
      here("net_peer.ts"),
      "serve",
      short,
      `${PORT}`,
    ]);
  }

  /**
   * Sends datagrams to an address as fast as it goes.
   *
   * @param namespace Full name: also one that is not of the lab.
   * @returns Ends it.
   */
  async flood(namespace: string, host: string): Promise<() => Promise<void>> {
    const program = [Deno.execPath(), "run", "-A", here("flood.ts"), host, `${PORT}`] as const;
    return await this.#daemon(["nsenter", `--net=/run/netns/${namespace}`, ...program]);
  }

  /** What each probe from a namespace was answered; null is silence. */
  async probe(short: string, probes: readonly Probe[]): Promise<(string | null)[]> {
    const { stdout } = await this.runIn(short)([
      Deno.execPath(),
      "run",
      "-A",
      here("net_peer.ts"),
      "probe",
      JSON.stringify(probes),
    ]);
    return JSON.parse(stdout);
  }

  /** Which of the addresses answer on TCP, with the answer. */
  async reach(short: string, hosts: readonly string[]): Promise<Record<string, string | null>> {
    const probes = hosts.map((host) => ({ kind: "tcp" as const, host, port: PORT, line: "who" }));
    const answers = await this.probe(short, probes);
    return Object.fromEntries(hosts.map((host, i) => [host, answers[i] ?? null]));
  }

  /** Opens a connection that stays: each call sends a line on it and resolves to the answer, or `silence`. */
  talk(short: string, host: string): (line: string) => Promise<string> {
    const net = `--net=/run/netns/${this.name(short)}`;
    const child = new Deno.Command("nsenter", {
      args: [net, Deno.execPath(), "run", "-A", here("net_peer.ts"), "talk", host, `${PORT}`],
      stdin: "piped",
      stdout: "piped",
    }).spawn();
    const input = child.stdin.getWriter();
    const output = child.stdout.getReader();
    this.#undo.add(async () => {
      await end(child);
      await input.close().catch(() => {});
      await output.cancel();
    }, "talk");
    return async (line) => {
      await input.write(new TextEncoder().encode(`${line}\n`));
      const { value } = await output.read();
      return new TextDecoder().decode(value).trim();
    };
  }

  /**
   * Runs `slot_holder.ts` on a host of the lab.
   *
   * @returns The indexes that it claimed, and what kills it as `kill -9` does.
   */
  async holder(
    short: string,
    args: readonly number[],
  ): Promise<{ claimed: number[]; kill: () => Promise<void> }> {
    const child = new Deno.Command("nsenter", {
      args: [
        `--net=/run/netns/${this.name(short)}`,
        ...[Deno.execPath(), "run", "-A", here("slot_holder.ts"), ...args.map(String)],
      ],
      stdin: "null",
      stdout: "piped",
    }).spawn();
    const output = child.stdout.getReader();
    const kill = async (): Promise<void> => {
      await end(child);
      await output.cancel();
    };
    this.#undo.add(kill, "slot holder");
    const { value } = await output.read();
    return { claimed: JSON.parse(new TextDecoder().decode(value)), kill };
  }

  /** Ends the processes and removes the namespaces. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#undo.run();
  }

  /** Starts a program and waits until it is ready. Calling what it resolves to ends it. */
  async #daemon(argv: readonly [string, ...string[]]): Promise<() => Promise<void>> {
    const [program, ...args] = argv;
    const child = new Deno.Command(program, { args, stdin: "null", stdout: "piped" }).spawn();
    const output = child.stdout.getReader();
    const stop = async (): Promise<void> => {
      await end(child);
      await output.cancel();
    };
    this.#undo.add(stop, argv.slice(-2).join(" "));
    const { value } = await output.read();
    if (new TextDecoder().decode(value) !== "ready\n") {
      throw new Error(`Cannot start '${argv.join(" ")}'`);
    }
    return stop;
  }
}
