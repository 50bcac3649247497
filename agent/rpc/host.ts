/** Calls about the host itself. */
import type { ServiceImpl } from "@connectrpc/connect";
import type { AgentService } from "@wrenn/proto/agent";
import type { HostId } from "@wrenn/common";
import type { RootfsStore } from "../rootfs/store.ts";
import type { SandboxManager } from "../sandbox/manager.ts";
import type { VmmDriver } from "../vmm/driver.ts";

/** What describes this host. */
export interface HostDescription {
  readonly hostId: HostId;
  /** Version of the agent. */
  readonly version: string;
  readonly cpus: number;
  readonly memoryMb: number;
  readonly vmm: Pick<VmmDriver, "version" | "accelerator">;
  readonly rootfs: Pick<RootfsStore, "templates">;
}

/** The calls that this file serves. */
export type HostCalls = Pick<ServiceImpl<typeof AgentService>, "getHostInfo" | "getStats">;

/** Host calls over a manager. */
export function hostCalls(manager: SandboxManager, host: HostDescription): HostCalls {
  return {
    getHostInfo: async () => ({
      hostId: host.hostId,
      version: host.version,
      cpus: host.cpus,
      memoryMb: BigInt(host.memoryMb),
      accelerator: host.vmm.accelerator,
      vmm: host.vmm.version,
      templates: (await host.rootfs.templates()).map(({ template, sizeMb }) => ({
        name: template,
        diskMb: sizeMb,
      })),
    }),
    getStats: async () => {
      const usage = await manager.usage();
      return {
        sandboxes: usage.live,
        running: usage.running,
        paused: usage.paused,
        hibernated: usage.hibernated,
        slotsInUse: usage.slotsInUse,
        memoryUsedMb: BigInt(Math.max(0, usage.memoryUsedMb)),
        diskFreeMb: BigInt(usage.diskFreeMb),
        perSandbox: usage.sandboxes.map((sandbox) => ({
          id: sandbox.id,
          cpuMs: BigInt(Math.round(sandbox.cpuMs)),
          memoryRssMb: BigInt(Math.round(sandbox.memoryRssMb)),
          diskUsedMb: BigInt(Math.round(sandbox.diskUsedMb)),
        })),
        pools: usage.pools.map((pool) => ({
          template: pool.template,
          vcpus: pool.vcpus,
          memoryMb: pool.memoryMb,
          diskMb: pool.diskMb,
          ready: pool.ready,
          target: pool.target,
          hits: BigInt(pool.hits),
          misses: BigInt(pool.misses),
        })),
        spares: {
          ready: usage.spares.ready,
          target: usage.spares.target,
          hits: BigInt(usage.spares.hits),
          misses: BigInt(usage.spares.misses),
        },
      };
    },
  };
}
