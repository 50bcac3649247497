/** All hosts of this control plane: which answer, and which takes a new sandbox. */
import { type Clock, type Logger, WrennError } from "@wrenn/common";
import { place } from "../core/placement.ts";
import type { Database } from "../db/database.ts";
import type { AgentEndpoint } from "./agent_client.ts";
import { type ConnectedHost, HostLink } from "./host_link.ts";

/** What the registry needs. */
export interface HostRegistryOptions {
  readonly endpoints: readonly AgentEndpoint[];
  readonly db: Database;
  readonly clock: Clock;
  readonly log: Logger;
  /** Time between two hellos to a host. */
  readonly heartbeatMs?: number;
}

/** The hosts. */
export class HostRegistry {
  readonly #links: readonly HostLink[];
  readonly #listeners = new Set<() => void>();
  readonly #creating = new Map<string, number>();
  readonly #known = new Map<string, number>();

  /** @param options Endpoints, database, clock, log. */
  constructor({ endpoints, ...rest }: HostRegistryOptions) {
    const onChange = (): void => {
      for (const listener of this.#listeners) listener();
    };
    this.#links = endpoints.map((endpoint) => new HostLink({ ...rest, endpoint, onChange }));
  }

  /** Begins to connect to all hosts. */
  start(): void {
    for (const link of this.#links) link.start();
  }

  /** Calls back when something changed on a host, or a host came or went; returns the undoing. */
  onChange(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  /** Hosts that answer. */
  connected(): ConnectedHost[] {
    return this.#links.flatMap((link) => link.host ?? []);
  }

  /** Addresses that do not answer. */
  unreachable(): string[] {
    return this.#links.filter((link) => !link.host).map((link) => link.address);
  }

  /** @throws {WrennError} `host_unavailable` while this host does not answer. */
  get(hostId: string): ConnectedHost {
    const host = this.connected().find((h) => h.hostId === hostId);
    if (!host) throw new WrennError("host_unavailable", "Host of the sandbox does not answer");
    return host;
  }

  /** The reconciler tells how many sandboxes a host has. */
  noteLoad(hostId: string, sandboxes: number): void {
    this.#known.set(hostId, sandboxes);
  }

  /**
   * Chooses a host for a new sandbox and calls `work` with it.
   *
   * @throws {WrennError} `template_not_found`, or `host_unavailable` when no host answers.
   */
  async placed<T>(template: string, work: (host: ConnectedHost) => Promise<T>): Promise<T> {
    let host = this.#choose(template);
    if (!host) {
      // The template may have been built since the last hello.
      await Promise.all(this.#links.map((link) => link.refresh()));
      host = this.#choose(template, true);
    }
    if (!host) throw new WrennError("host_unavailable", "No host answers");
    const { hostId } = host;
    this.#creating.set(hostId, (this.#creating.get(hostId) ?? 0) + 1);
    try {
      return await work(host);
    } finally {
      this.#creating.set(hostId, (this.#creating.get(hostId) ?? 1) - 1);
    }
  }

  /** Ends all links. */
  async close(): Promise<void> {
    await Promise.all(this.#links.map((link) => link.close()));
  }

  #choose(template: string, last: boolean = false): ConnectedHost | undefined {
    const hosts = this.connected();
    const placement = place(
      template,
      hosts.map(({ hostId, templates }) => ({
        hostId,
        templates,
        load: (this.#known.get(hostId) ?? 0) + (this.#creating.get(hostId) ?? 0),
      })),
    );
    switch (placement.kind) {
      case "host":
        return hosts.find((h) => h.hostId === placement.hostId);
      case "no_host":
        return undefined;
      case "no_template": {
        if (!last) return undefined;
        const names = placement.known.map((name) => `'${name}'`).join(", ");
        throw new WrennError(
          "template_not_found",
          `Template '${template}' not found: there is ${names || "none"}`,
        );
      }
    }
  }
}
