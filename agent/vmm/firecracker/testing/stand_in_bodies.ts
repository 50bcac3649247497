/**
 * Bodies that the stand-in accepts. Stricter than Firecracker where it is not certain what Firecracker takes: no
 * deprecated field, no null, no field that Wrenn does not use.
 */
import { z } from "zod";
import type { ActionType } from "../../../core/firecracker_calls.ts";
import type {
  Balloon,
  BootSource,
  Drive,
  DriveUpdate,
  Entropy,
  HotplugMemory,
  HotplugMemoryUpdate,
  LoggerConfig,
  MachineConfig,
  MetricsConfig,
  MmdsConfig,
  NetworkInterface,
  NetworkInterfaceUpdate,
  SerialConfig,
  SnapshotCreate,
  SnapshotLoad,
  Vsock,
} from "../api_types.ts";

const natural = z.int().min(0);
const text = z.string().min(1);
const id = z.string().regex(/^[A-Za-z0-9_]+$/);

const tokenBucket = z.strictObject({
  size: natural,
  refill_time: natural,
  one_time_burst: natural.exactOptional(),
});
const rateLimiter = z.strictObject({
  bandwidth: tokenBucket.exactOptional(),
  ops: tokenBucket.exactOptional(),
});

/** `PUT /boot-source`. x86 kernels read 2048 bytes of command line, its end included. */
export const bootSource: z.ZodType<BootSource> = z.strictObject({
  kernel_image_path: text,
  initrd_path: text.exactOptional(),
  boot_args: z.string().max(2047).regex(/^[ -~]*$/).exactOptional(),
});

/** `PUT /machine-config`. Which named CPU models start is up to the host: none is accepted. */
export const machineConfig: z.ZodType<MachineConfig> = z.strictObject({
  vcpu_count: z.int().min(1).max(32),
  mem_size_mib: z.int().min(1),
  smt: z.boolean().exactOptional(),
  track_dirty_pages: z.boolean().exactOptional(),
  huge_pages: z.enum(["None", "2M"]).exactOptional(),
  cpu_template: z.literal("None").exactOptional(),
}).refine(({ smt, vcpu_count }) => !smt || vcpu_count === 1 || vcpu_count % 2 === 0, {
  error: "vCPUs must be 1 or even with SMT",
}).refine(({ huge_pages, mem_size_mib }) => huge_pages !== "2M" || mem_size_mib % 2 === 0, {
  error: "memory is no multiple of a page",
});

/** `PUT /drives/{id}`. */
export const drive: z.ZodType<Drive> = z.strictObject({
  drive_id: id,
  is_root_device: z.boolean(),
  path_on_host: text,
  is_read_only: z.boolean(),
  cache_type: z.enum(["Unsafe", "Writeback"]).exactOptional(),
  io_engine: z.enum(["Sync", "Async"]).exactOptional(),
  rate_limiter: rateLimiter.exactOptional(),
});

/** `PATCH /drives/{id}`. One that changes nothing is for another kind of drive. */
export const driveUpdate: z.ZodType<DriveUpdate> = z.strictObject({
  drive_id: id,
  path_on_host: text.exactOptional(),
  rate_limiter: rateLimiter.exactOptional(),
}).refine((body) => body.path_on_host !== undefined || body.rate_limiter !== undefined);

/** `PUT /network-interfaces/{id}`. */
export const networkInterface: z.ZodType<NetworkInterface> = z.strictObject({
  iface_id: id,
  host_dev_name: z.string().regex(/^[\w.-]{1,15}$/),
  guest_mac: z.string().regex(/^([0-9A-Fa-f]{2}:){5}[0-9A-Fa-f]{2}$/).exactOptional(),
  rx_rate_limiter: rateLimiter.exactOptional(),
  tx_rate_limiter: rateLimiter.exactOptional(),
});

/** `PATCH /network-interfaces/{id}`. */
export const networkInterfaceUpdate: z.ZodType<NetworkInterfaceUpdate> = z.strictObject({
  iface_id: id,
  rx_rate_limiter: rateLimiter.exactOptional(),
  tx_rate_limiter: rateLimiter.exactOptional(),
});

/** `PUT /vsock`. */
export const vsock: z.ZodType<Vsock> = z.strictObject({
  guest_cid: z.int().min(3).max(0xffff_ffff),
  uds_path: z.string().min(1).max(107),
});

/** `PUT /entropy`. */
export const entropy: z.ZodType<Entropy> = z.strictObject({
  rate_limiter: rateLimiter.exactOptional(),
});

/** `PUT /balloon`. */
export const balloon: z.ZodType<Balloon> = z.strictObject({
  amount_mib: natural,
  deflate_on_oom: z.boolean(),
  stats_polling_interval_s: z.int().min(0).max(0xffff).exactOptional(),
});

/** `PUT /mmds/config`. */
export const mmdsConfig: z.ZodType<MmdsConfig> = z.strictObject({
  network_interfaces: z.array(id).min(1),
  version: z.enum(["V1", "V2"]).exactOptional(),
  ipv4_address: z.string()
    .regex(
      /^169\.254\.([1-9]|[1-9]\d|1\d\d|2[0-4]\d|25[0-4])\.(\d|[1-9]\d|1\d\d|2[0-4]\d|25[0-5])$/,
    )
    .exactOptional(),
});

/** `PUT /logger`. */
export const logger: z.ZodType<LoggerConfig> = z.strictObject({
  log_path: text.exactOptional(),
  level: z.enum(["Error", "Warning", "Info", "Debug", "Trace", "Off"]).exactOptional(),
  show_level: z.boolean().exactOptional(),
  show_log_origin: z.boolean().exactOptional(),
  module: text.exactOptional(),
});

/** `PUT /metrics`. */
export const metrics: z.ZodType<MetricsConfig> = z.strictObject({ metrics_path: text });

/** `PUT /serial`. */
export const serial: z.ZodType<SerialConfig> = z.strictObject({ serial_out_path: text });

/** `PUT /hotplug/memory`. */
export const hotplugMemory: z.ZodType<HotplugMemory> = z.strictObject({
  total_size_mib: natural,
  slot_size_mib: z.int().min(128).exactOptional(),
  block_size_mib: z.int().min(2).exactOptional(),
}).refine(({ total_size_mib: total, slot_size_mib: slot = 128, block_size_mib: block = 2 }) =>
  Number.isInteger(Math.log2(block)) && slot % block === 0 && total >= slot && total % slot === 0
);

/** `PATCH /hotplug/memory`. */
export const hotplugMemoryUpdate: z.ZodType<HotplugMemoryUpdate> = z.strictObject({
  requested_size_mib: natural,
});

/** `PUT /actions`. */
export const action: z.ZodType<{ action_type: ActionType }> = z.strictObject({
  action_type: z.enum(["InstanceStart", "FlushMetrics", "SendCtrlAltDel"]),
});

/** `PATCH /vm`. */
export const vm: z.ZodType<{ state: "Paused" | "Resumed" }> = z.strictObject({
  state: z.enum(["Paused", "Resumed"]),
});

/** `PUT /snapshot/create`. */
export const snapshotCreate: z.ZodType<SnapshotCreate> = z.strictObject({
  snapshot_path: text,
  mem_file_path: text,
  snapshot_type: z.enum(["Full", "Diff"]).exactOptional(),
});

/** `PUT /snapshot/load`. A handler of page faults waits for descriptors that the stand-in cannot send. */
export const snapshotLoad: z.ZodType<SnapshotLoad> = z.strictObject({
  snapshot_path: text,
  mem_backend: z.strictObject({ backend_type: z.literal("File"), backend_path: text }),
  resume_vm: z.boolean().exactOptional(),
  track_dirty_pages: z.boolean().exactOptional(),
  network_overrides: z.array(z.strictObject({ iface_id: id, host_dev_name: text })).exactOptional(),
  clock_realtime: z.boolean().exactOptional(),
});
