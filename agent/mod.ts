/**
 * What other parts may know of the host agent: its configuration and the interfaces of what it is built from.
 *
 * @module
 */
export type { ListenAddress } from "@wrenn/common";
export { type AgentConfig, loadAgentConfig, type SlotRange } from "./config.ts";
export type {
  NetworkPolicy,
  NetworkSlots,
  Slot,
  SlotFigures,
  SlotsStartOptions,
  SlotsStopOptions,
  WorkFigures,
} from "./network/slots.ts";
export type { Base, BlockDevice, RootfsStore } from "./rootfs/store.ts";
export type { BootSpec, ExitInfo, Vm, VmmDriver, VmStats } from "./vmm/driver.ts";
export { AGENT_VERSION } from "./version.ts";
