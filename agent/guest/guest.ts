/** The guest agent of one VM: everything the host asks of it. */
import { delay, hasCode, type WrennError } from "@wrenn/common";
import { GuestConnection } from "./connection.ts";
import { fromGuestFetch, fromGuestResponse, unavailable } from "./errors.ts";
import { GuestFiles } from "./files.ts";
import { GuestTree } from "./tree.ts";
import { GuestProcesses } from "./processes.ts";

/** What `POST /init` brings to a guest. */
export interface GuestIdentity {
  /** 32 random bytes as hex; the guest answers nobody who does not show it. */
  readonly token: string;
  /** Environment of every process. */
  readonly env: Readonly<Record<string, string>>;
  readonly hostname: string;
  /** User of requests that name none. */
  readonly defaultUser: string;
}

/** Random bytes that the guest's kernel mixes into its pool. */
const ENTROPY_BYTES = 64;
const POLL_MIN_MS = 20;
const POLL_MAX_MS = 100;
/** How long one TCP connect may take: until the guest's network is up, packets are lost. */
const CONNECT_LIMIT_MS = 250;
const HEALTH_LIMIT_MS = 5_000;
const INIT_LIMIT_MS = 15_000;

/** Client of one VM's guest agent. */
export class Guest {
  /** Commands. */
  readonly processes: GuestProcesses;
  /** File contents. */
  readonly files: GuestFiles;
  /** Directories and entries. */
  readonly tree: GuestTree;
  readonly #connection: GuestConnection;
  #identity: GuestIdentity | undefined;

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
   * Gives the guest its identity and its clock. `now` is wall-clock milliseconds.
   *
   * @throws {WrennError} `guest_unavailable`
   */
  async init(identity: GuestIdentity, now: () => number, signal: AbortSignal): Promise<void> {
    this.#connection.authorize(identity.token);
    this.#identity = identity;
    await this.#postInit(
      {
        envVars: identity.env,
        accessToken: identity.token,
        defaultUser: identity.defaultUser,
        hostname: identity.hostname,
      },
      now,
      AbortSignal.any([signal, AbortSignal.timeout(INIT_LIMIT_MS)]),
    );
  }

  /** Sets the guest's clock and stirs its randomness again, after its vCPUs stood still. */
  async wake(now: () => number, signal: AbortSignal): Promise<void> {
    const identity = this.#identity;
    if (identity === undefined) throw new Error("Guest was never given its identity");
    await this.init(identity, now, signal);
  }

  /** Ends every request with `reason` and drops the connections. Idempotent. */
  close(reason: WrennError): void {
    this.#connection.close(reason);
  }

  async #postInit(
    body: Record<string, unknown>,
    now: () => number,
    signal: AbortSignal,
  ): Promise<void> {
    let response: Response;
    try {
      response = await this.#connection.fetch("/init", {
        method: "POST",
        headers: { "content-type": "application/json" },
        body: JSON.stringify({
          ...body,
          timestamp: new Date(now()).toISOString(),
          entropy: crypto.getRandomValues(new Uint8Array(ENTROPY_BYTES)).toBase64(),
        }),
        signal,
      });
    } catch (error) {
      throw this.#connection.closedBy ?? fromGuestFetch(error);
    }
    if (!response.ok) throw unavailable(await fromGuestResponse(response));
    await response.body?.cancel();
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
