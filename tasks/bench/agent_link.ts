/** The host agent of a platform on this machine: its figures, over its Unix socket. */
import type { PoolStats } from "@wrenn/proto/agent";
import { type AgentEndpoint, agentEndpoint } from "../../api/hosts/agent_client.ts";
import type { AgentAccess } from "../lib/agent_access.ts";
import type { PoolGauge, PoolState } from "./pool_gauge.ts";
import type { SandboxShape } from "./sandbox_api.ts";

/** What is asked of an agent. */
export interface AgentFigures extends PoolGauge {
  /** What runs the guests: `kvm` or `tcg`, and the VMM with its version. */
  host(): Promise<{ accelerator: string; vmm: string }>;
}

const TIMEOUT_MS = 10_000;

/** A connection to an agent. Disposing of it closes it. */
export class AgentLink implements AgentFigures, Disposable {
  readonly #endpoint: AgentEndpoint;
  readonly #shape: SandboxShape;

  /** @param access Address and secret. @param shape Size whose pool is asked for. */
  constructor({ address, secret }: AgentAccess, shape: SandboxShape) {
    this.#endpoint = agentEndpoint(address, secret);
    this.#shape = shape;
  }

  /** The pool of this size. */
  async pool(): Promise<PoolState | undefined> {
    const { client } = this.#endpoint;
    const { pools, spares } = await client.getStats({}, { timeoutMs: TIMEOUT_MS });
    const pool = findPool(pools, this.#shape);
    return pool && { ...pool, spares: { ready: spares?.ready ?? 0, target: spares?.target ?? 0 } };
  }

  /** Accelerator and VMM. */
  async host(): Promise<{ accelerator: string; vmm: string }> {
    const { client } = this.#endpoint;
    const { accelerator, vmm } = await client.getHostInfo({}, { timeoutMs: TIMEOUT_MS });
    return { accelerator, vmm };
  }

  /** Closes the connections. */
  [Symbol.dispose](): void {
    this.#endpoint.close();
  }
}

/** The pool that creates of this shape claim from: the template's own disk size. */
export function findPool(
  pools: readonly Pick<
    PoolStats,
    "template" | "vcpus" | "memoryMb" | "diskMb" | "ready" | "target" | "hits" | "misses"
  >[],
  { template, vcpus, memoryMb }: SandboxShape,
): Omit<PoolState, "spares"> | undefined {
  const [pool] = pools
    .filter((p) => p.template === template && p.vcpus === vcpus && p.memoryMb === memoryMb)
    .sort((a, b) => a.diskMb - b.diskMb);
  if (pool === undefined) return undefined;
  const { ready, target, hits, misses } = pool;
  return { ready, target, hits: Number(hits), misses: Number(misses) };
}
