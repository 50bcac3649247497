/**
 * The control plane's link to one host agent: says hello, keeps listening to its changes, notices when it is gone
 * and tries again until it is closed.
 */
import { type Clock, delay, linkSignals, type Logger } from "@wrenn/common";
import type { GetHostInfoResponse } from "@wrenn/proto/agent";
import { type HostRow, markHostOffline, upsertHost } from "../db/hosts.ts";
import type { Database } from "../db/database.ts";
import type { AgentClient } from "../services/types.ts";
import { fromAgentError } from "./agent_errors.ts";
import type { AgentEndpoint } from "./agent_client.ts";

/** A host that answers. */
export interface ConnectedHost {
  readonly hostId: string;
  readonly client: AgentClient;
  readonly templates: readonly string[];
  /** Milliseconds of the monotonic clock. */
  readonly connectedAt: number;
}

/** What a link needs. */
export interface HostLinkOptions {
  readonly endpoint: AgentEndpoint;
  readonly db: Database;
  readonly clock: Clock;
  readonly log: Logger;
  /** Something has changed on the host, or it came, or it went. */
  readonly onChange: () => void;
  /** Time between two hellos. Default 5000 ms. */
  readonly heartbeatMs?: number;
}

const HELLO_TIMEOUT_MS = 5000;
const FIRST_WAIT_MS = 50;
const LONGEST_WAIT_MS = 1000;

/** Link to one host. */
export class HostLink {
  readonly #options: HostLinkOptions;
  readonly #abort = new AbortController();
  #host: ConnectedHost | undefined;
  #running: Promise<void> | undefined;

  /** @param options Endpoint, database, clock, log. */
  constructor(options: HostLinkOptions) {
    this.#options = options;
  }

  /** The host while it answers. */
  get host(): ConnectedHost | undefined {
    return this.#host;
  }

  /** Address of the agent. */
  get address(): string {
    return this.#options.endpoint.address;
  }

  /** Begins to connect, in the background. */
  start(): void {
    this.#running ??= this.#run();
  }

  /** Asks the host for its templates again. Errors leave what was known. */
  async refresh(): Promise<void> {
    const host = this.#host;
    if (!host) return;
    try {
      this.#update(host, await this.#hello());
    } catch (error) {
      this.#options.log.warn("Host does not answer", { address: this.address, error });
    }
  }

  /** Ends the link and closes its connections. */
  async close(): Promise<void> {
    this.#abort.abort();
    await this.#running;
    this.#options.endpoint.close();
  }

  async #run(): Promise<void> {
    const { signal } = this.#abort;
    const { db, log, clock, onChange } = this.#options;
    let wait = FIRST_WAIT_MS;
    let quiet = false;
    while (!signal.aborted) {
      try {
        const info = await this.#hello();
        await upsertHost(db, description(info, this.address));
        const { hostId } = info;
        const host = this.#update(undefined, info, clock.monotonic());
        log.info("Host connected", { host: hostId, address: this.address });
        [wait, quiet] = [FIRST_WAIT_MS, false];
        onChange();
        await this.#follow(host.hostId);
      } catch (error) {
        if (!signal.aborted && !quiet) {
          log.warn("Host unreachable", { address: this.address, error: fromAgentError(error) });
          quiet = true;
        }
      }
      await this.#lost();
      await delay(wait, signal).catch(() => {}); // aborted: the loop ends
      wait = Math.min(wait * 2, LONGEST_WAIT_MS);
    }
  }

  async #hello(): Promise<GetHostInfoResponse> {
    return await this.#options.endpoint.client.getHostInfo({}, {
      timeoutMs: HELLO_TIMEOUT_MS,
      signal: this.#abort.signal,
    });
  }

  /** Takes over what the host said, unless the link has changed since `expected` was read. */
  #update(
    expected: ConnectedHost | undefined,
    info: GetHostInfoResponse,
    connectedAt: number = expected?.connectedAt ?? 0,
  ): ConnectedHost {
    const host = {
      hostId: info.hostId,
      client: this.#options.endpoint.client,
      templates: info.templates.map((t) => t.name),
      connectedAt,
    };
    if (this.#host === expected) this.#host = host;
    return host;
  }

  /** Listens to changes and says hello at intervals; returns or throws when either fails. */
  async #follow(hostId: string): Promise<void> {
    const { endpoint, onChange, heartbeatMs = 5000 } = this.#options;
    using end = linkSignals(this.#abort.signal);
    const { signal } = end;
    const beat = async (): Promise<void> => {
      for (;;) {
        await delay(heartbeatMs, signal);
        const before = this.#host;
        const info = await this.#hello();
        if (info.hostId !== hostId) throw new Error(`Host '${hostId}' became '${info.hostId}'`);
        this.#update(before, info);
        await this.#write(info);
      }
    };
    const watch = async (): Promise<void> => {
      for await (const _ of endpoint.client.watchSandboxes({}, { signal })) onChange();
      throw new Error("Host ended the list of changes");
    };
    const work = [beat(), watch()];
    try {
      await Promise.race(work);
    } finally {
      end.abort();
      await Promise.allSettled(work);
    }
  }

  /** A database that is away says nothing about the host. */
  async #write(info: GetHostInfoResponse): Promise<void> {
    try {
      await upsertHost(this.#options.db, description(info, this.address));
    } catch (error) {
      this.#options.log.warn("Cannot write about a host", { host: info.hostId, error });
    }
  }

  async #lost(): Promise<void> {
    const host = this.#host;
    if (!host) return;
    this.#host = undefined;
    const { db, log, onChange } = this.#options;
    if (this.#abort.signal.aborted) return; // this replica leaves; the host is where it was
    onChange();
    try {
      await markHostOffline(db, host.hostId);
    } catch (error) {
      log.warn("Cannot write that a host is offline", { host: host.hostId, error });
    }
  }
}

function description(info: GetHostInfoResponse, address: string): HostRow {
  return {
    id: info.hostId,
    address,
    cpus: info.cpus,
    memoryMb: Number(info.memoryMb),
    accelerator: info.accelerator,
    vmm: info.vmm,
    version: info.version,
  };
}
