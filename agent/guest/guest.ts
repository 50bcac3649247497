/** The guest agent of one VM: everything the host asks of it. */
import { delay, hasCode, type WrennError } from "@wrenn/common";
import { z } from "zod";
import { GuestConnection } from "./connection.ts";
import { GuestFiles } from "./files.ts";
import { GuestTree } from "./tree.ts";
import { GuestProcesses } from "./processes.ts";

/** What `POST /init` brings to a guest. What is absent leaves what the guest has. */
export interface GuestIdentity {
  /** 32 random bytes as hex; the guest answers nobody who does not show it. */
  readonly token: string;
  /** Environment of every process. */
  readonly env?: Readonly<Record<string, string>>;
  readonly hostname?: string;
  /** User of requests that name none. */
  readonly defaultUser?: string;
  /** 32 hex digits (machine-id(5)). */
  readonly machineId?: string;
  /** UUID that the guest shows as its boot id. */
  readonly bootId?: string;
}

/** How a guest gets its identity. */
export interface InitOptions {
  /** Wall-clock milliseconds. */
  readonly now: () => number;
  /** Token that the guest was given before; it is dead afterwards. */
  readonly previousToken?: string;
  /** The guest is a copy: its connections end and its hooks run. */
  readonly fork?: boolean;
  /** Ask what was done. */
  readonly report?: boolean;
}

/** What a guest did when it got its identity. */
export interface GuestReport {
  readonly entropyReseeded: boolean;
  readonly clockSet: boolean;
  readonly hostname: string;
  readonly machineId: string;
  readonly connectionsDropped: number;
  readonly hooks: readonly {
    readonly name: string;
    readonly exitCode: number;
    readonly timedOut: boolean;
  }[];
}

const reportSchema = z.object({
  entropy_reseeded: z.boolean(),
  clock_set: z.boolean(),
  hostname: z.string(),
  machine_id: z.string(),
  connections_dropped: z.int(),
  hooks: z.array(z.object({ name: z.string(), exit_code: z.int(), timed_out: z.boolean() })),
}).transform((r): GuestReport => ({
  entropyReseeded: r.entropy_reseeded,
  clockSet: r.clock_set,
  hostname: r.hostname,
  machineId: r.machine_id,
  connectionsDropped: r.connections_dropped,
  hooks: r.hooks.map((h) => ({ name: h.name, exitCode: h.exit_code, timedOut: h.timed_out })),
}));
const quiesceSchema = z.object({ frozen: z.int(), synced: z.boolean() });

/** Random bytes that the guest's kernel mixes into its pool. */
const ENTROPY_BYTES = 64;
const POLL_MIN_MS = 20;
const POLL_MAX_MS = 100;
/** How long one TCP connect may take: until the guest's network is up, packets are lost. */
const CONNECT_LIMIT_MS = 250;
const HEALTH_LIMIT_MS = 5_000;
const INIT_LIMIT_MS = 60_000;
const RESTORED_POLL_MS = 3;

/** Client of one VM's guest agent. */
export class Guest {
  /** Commands. */
  readonly processes: GuestProcesses;
  /** File contents. */
  readonly files: GuestFiles;
  /** Directories and entries. */
  readonly tree: GuestTree;
  readonly #connection: GuestConnection;

  /** @param baseUrl `http://address:port` of the guest agent. */
  constructor(baseUrl: string) {
    this.#connection = new GuestConnection(baseUrl);
    this.processes = new GuestProcesses(this.#connection);
    this.files = new GuestFiles(this.#connection);
    this.tree = new GuestTree(this.#connection);
  }

  /**
   * Waits until the guest agent answers `/health`. Polls every 20 ms, growing to 100 ms. Each attempt connects
   * anew, because the first packets to a guest without a network wait a second for their repetition.
   *
   * @throws The signal's reason.
   */
  async untilHealthy(signal: AbortSignal): Promise<void> {
    for (let pause = POLL_MIN_MS;; pause = Math.min(pause * 1.5, POLL_MAX_MS)) {
      signal.throwIfAborted();
      if (await this.#accepts(signal) && await this.#healthy(signal)) return;
      await delay(pause, signal);
    }
  }

  /**
   * Waits until a restored guest answers. Its network is there at once: one connection, tried again every few
   * milliseconds.
   *
   * @throws The signal's reason.
   */
  async untilRestored(signal: AbortSignal): Promise<void> {
    while (!(await this.#healthy(signal))) {
      signal.throwIfAborted();
      await delay(RESTORED_POLL_MS, signal);
    }
  }

  /**
   * Gives the guest its identity and its clock; its processes, if they were frozen, go on.
   *
   * @returns What was done, when asked.
   * @throws {WrennError} `guest_unavailable`
   */
  async init(
    identity: GuestIdentity,
    options: InitOptions,
    signal: AbortSignal,
  ): Promise<GuestReport | undefined> {
    const { now, previousToken, fork = false, report = false } = options;
    const { token, env, ...names } = identity;
    this.#connection.authorize(previousToken ?? token);
    // JSON has no undefined fields.
    const answer = await this.#connection.control("/init", {
      ...names,
      envVars: env,
      accessToken: token,
      ...(fork ? { fork } : {}),
      ...(report ? { report } : {}),
      timestamp: timestamp(now),
      entropy: crypto.getRandomValues(new Uint8Array(ENTROPY_BYTES)).toBase64(),
    }, AbortSignal.any([signal, AbortSignal.timeout(INIT_LIMIT_MS)]));
    this.#connection.authorize(token);
    return report ? reportSchema.parse(answer) : undefined;
  }

  /**
   * Tells the time alone. The guest sets its clock when it is off by more than 50 ms.
   *
   * @throws {WrennError} `guest_unavailable`
   */
  async tellTime(now: () => number, signal: AbortSignal): Promise<void> {
    await this.#connection.control("/clock", { timestamp: timestamp(now) }, signal);
  }

  /**
   * Freezes every process that the guest agent has started, until the next `init`.
   *
   * @throws {WrennError} `guest_unavailable`
   */
  async quiesce(
    options: { sync: boolean },
    signal: AbortSignal,
  ): Promise<{ frozen: number; synced: boolean }> {
    return quiesceSchema.parse(await this.#connection.control("/quiesce", options, signal));
  }

  /** Makes the guest nobody's: its processes end, token, environment and names are gone. */
  async seal(signal: AbortSignal): Promise<void> {
    await this.#connection.control("/seal", {}, signal);
    this.#connection.authorize("");
  }

  /**
   * A call of the host agent's own that is answered with bytes.
   *
   * @param most Bytes of the answer at most. @throws As the call fails in the guest, `guest_unavailable`, or the
   * signal's reason.
   */
  call(
    path: string,
    body: unknown,
    signal: AbortSignal,
    most: number,
  ): Promise<Uint8Array<ArrayBuffer>> {
    return this.#connection.call(path, body, signal, most);
  }

  /** A plain request to the guest agent, with its token. */
  fetch(path: string, init: RequestInit & { signal: AbortSignal }): Promise<Response> {
    return this.#connection.fetch(path, init);
  }

  /** Why the connection was closed; undefined while it is open. */
  get closedBy(): WrennError | undefined {
    return this.#connection.closedBy;
  }

  /** Ends every request with `reason` and drops the connections. Idempotent. */
  close(reason: WrennError): void {
    this.#connection.close(reason);
  }

  async #accepts(signal: AbortSignal): Promise<boolean> {
    const { hostname, port } = new URL(this.#connection.baseUrl);
    try {
      const limit = AbortSignal.any([signal, AbortSignal.timeout(CONNECT_LIMIT_MS)]);
      using _conn = await Deno.connect({ hostname, port: Number(port), signal: limit });
      return true;
    } catch {
      // Refused, unreachable or silent: the guest is not up yet. The caller's limit decides.
      return false;
    }
  }

  async #healthy(signal: AbortSignal): Promise<boolean> {
    try {
      const limit = AbortSignal.any([signal, AbortSignal.timeout(HEALTH_LIMIT_MS)]);
      const response = await this.#connection.fetch("/health", { signal: limit });
      await response.body?.cancel();
      return response.ok;
    } catch (error) {
      if (hasCode(error, "sandbox_not_running")) throw error;
      return false;
    }
  }
}

function timestamp(now: () => number): string {
  return new Date(now()).toISOString();
}
