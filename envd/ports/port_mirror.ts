/** Offers what listens on localhost on an outer address of the machine, too, as E2B's port forwarder does. */
import { logger } from "@wrenn/common/log";
import { parseListeners, planMirrors } from "../core/listeners.ts";
import { Mirror } from "./mirror.ts";

/** Time between looks while programs run that envd started, and when none does, in milliseconds. */
const BUSY_MS = 1000;
const QUIET_MS = 3000;

/** What the mirror needs. */
export interface PortMirrorOptions {
  /** Outer address. */
  address: string;
  /** Ports that are never mirrored: envd's own. */
  excluded: ReadonlySet<number>;
  /** True while new listeners are likely. */
  busy: () => boolean;
  /** True while there is a process that could listen; without one nothing is looked at until {@linkcode PortMirror.wake}. */
  populated?: () => boolean;
}

/** Keeps mirrors in step with the machine's sockets. */
export class PortMirror implements Disposable {
  readonly #options: PortMirrorOptions;
  readonly #mirrors: Map<number, Mirror> = new Map();
  #timer: ReturnType<typeof setTimeout> | undefined;
  #stopped = false;

  /** @param options Address, excluded ports, activity. */
  constructor(options: PortMirrorOptions) {
    this.#options = options;
  }

  /** True when a network interface of this machine has the address. */
  static hasAddress(address: string): boolean {
    return address !== "" &&
      Deno.networkInterfaces().some((network) => network.address === address);
  }

  /** Looks now, and again until it is disposed. */
  start(): void {
    if (this.#stopped) return;
    try {
      this.scan();
    } catch (error) {
      logger("envd", "ports").error("Cannot read the sockets", { error });
    }
    this.#timer = undefined;
    const { busy, populated = () => true } = this.#options;
    // A timer wakes an idle guest, which costs its host a percent of a processor.
    if (!populated() && this.#mirrors.size === 0) return;
    this.#timer = setTimeout(() => this.start(), busy() ? BUSY_MS : QUIET_MS);
  }

  /** Looks again from now on: a process has started. */
  wake(): void {
    if (this.#timer !== undefined || this.#stopped) return;
    this.#timer = setTimeout(() => this.start(), BUSY_MS);
  }

  /** Closes all mirrors and looks no more until {@linkcode wake}. */
  rest(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    for (const mirror of this.#mirrors.values()) mirror[Symbol.dispose]();
    this.#mirrors.clear();
  }

  /** Brings the mirrors in step once. */
  scan(): void {
    if (this.#stopped) return;
    const [tcp, tcp6] = [readTable("tcp"), readTable("tcp6")];
    const mirrored = new Map([...this.#mirrors].map(([port, { host }]) => [port, host]));
    const plan = planMirrors(parseListeners(tcp, tcp6), mirrored, this.#options.excluded);
    for (const port of plan.close) {
      this.#mirrors.get(port)?.[Symbol.dispose]();
      this.#mirrors.delete(port);
    }
    for (const { port, host } of plan.open) {
      try {
        const mirror = new Mirror({ address: this.#options.address, port, host });
        this.#mirrors.set(port, mirror);
      } catch (error) {
        // Somebody listens there already: the port is reachable.
        if (!(error instanceof Deno.errors.AddrInUse)) throw error;
      }
    }
  }

  /** Closes all mirrors. */
  [Symbol.dispose](): void {
    this.#stopped = true;
    this.rest();
  }
}

/** A table of procfs, which is in memory; empty without IPv6. */
function readTable(name: "tcp" | "tcp6"): string {
  try {
    return Deno.readTextFileSync(`/proc/net/${name}`);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return "";
    throw error;
  }
}
