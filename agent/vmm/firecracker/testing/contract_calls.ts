/** Calls that Firecracker accepts, one for each row of the table of calls, with every field that Wrenn uses. */
import {
  type ApiCall,
  type OutputCall,
  patchDrive,
  patchHotplugMemory,
  patchNetworkInterface,
  putAction,
  putBalloon,
  putBootSource,
  putDrive,
  putEntropy,
  putHotplugMemory,
  putLogger,
  putMachineConfig,
  putMetrics,
  putMmdsConfig,
  putNetworkInterface,
  putSerial,
  putVsock,
  type SetupCall,
} from "../../../core/firecracker_calls.ts";
import type { RateLimiter } from "../api_types.ts";
import type { ContractFiles } from "./contract_files.ts";

/** TAP that the tests use; lent to a stand-in, made by Firecracker. */
export const TAP = "wrenn-fc0";
/** Another one. */
export const OTHER_TAP = "wrenn-fc1";

const limiter: RateLimiter = {
  bandwidth: { size: 1 << 20, refill_time: 1000, one_time_burst: 1 << 20 },
  ops: { size: 100, refill_time: 1000 },
};

/** Where the process's own words go. */
export function outputCalls(files: ContractFiles): OutputCall[] {
  return [
    putLogger({
      log_path: files.log,
      level: "Info",
      show_level: true,
      show_log_origin: false,
      module: "api_server",
    }),
    putMetrics({ metrics_path: files.metrics }),
  ];
}

/** What a machine needs to start. */
export function leastCalls(files: ContractFiles, trackDirtyPages: boolean = false): SetupCall[] {
  return [
    putMachineConfig({ vcpu_count: 1, mem_size_mib: 128, track_dirty_pages: trackDirtyPages }),
    putBootSource({ kernel_image_path: files.kernel }),
    putDrive({
      drive_id: "rootfs",
      is_root_device: true,
      path_on_host: files.disk,
      is_read_only: false,
    }),
    putNetworkInterface({ iface_id: "eth0", host_dev_name: TAP }),
  ];
}

/** Everything that can be said of a machine. */
export function setupCalls(files: ContractFiles): SetupCall[] {
  return [
    putMachineConfig({
      vcpu_count: 2,
      mem_size_mib: 128,
      smt: false,
      track_dirty_pages: true,
      huge_pages: "None",
      cpu_template: "None",
    }),
    putBootSource({
      kernel_image_path: files.kernel,
      initrd_path: files.initrd,
      boot_args: "console=ttyS0 reboot=k panic=1",
    }),
    putDrive({
      drive_id: "rootfs",
      is_root_device: true,
      path_on_host: files.disk,
      is_read_only: false,
      cache_type: "Writeback",
      io_engine: "Sync",
      rate_limiter: limiter,
    }),
    putDrive({
      drive_id: "more_1",
      is_root_device: false,
      path_on_host: files.otherDisk,
      is_read_only: true,
      cache_type: "Unsafe",
    }),
    putNetworkInterface({
      iface_id: "eth0",
      host_dev_name: TAP,
      guest_mac: "02:FC:00:00:00:05",
      rx_rate_limiter: limiter,
      tx_rate_limiter: limiter,
    }),
    putVsock({ guest_cid: 3, uds_path: files.path("vsock.sock") }),
    putEntropy({ rate_limiter: limiter }),
    putBalloon({ amount_mib: 0, deflate_on_oom: true, stats_polling_interval_s: 1 }),
    putMmdsConfig({
      network_interfaces: ["eth0"],
      version: "V2",
      ipv4_address: "169.254.169.254",
    }),
    putSerial({ serial_out_path: files.serial }),
    putHotplugMemory({ total_size_mib: 256, slot_size_mib: 128, block_size_mib: 2 }),
  ];
}

/** What can be changed of a machine that was started as {@linkcode setupCalls} say. */
export function updateCalls(files: ContractFiles): ApiCall[] {
  return [
    patchDrive({ drive_id: "rootfs", path_on_host: files.otherDisk, rate_limiter: limiter }),
    patchNetworkInterface({ iface_id: "eth0", rx_rate_limiter: limiter, tx_rate_limiter: limiter }),
    patchHotplugMemory({ requested_size_mib: 128 }),
    putAction("FlushMetrics"),
  ];
}
