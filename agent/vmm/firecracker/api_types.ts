/**
 * Bodies of Firecracker's API, version 1.15, with its own field names: what Wrenn uses of them. Sizes in MiB where a
 * name ends in `_mib`, bytes and milliseconds else. Paths are those that Firecracker's process sees.
 */

/** Tokens that are spent at once and come back evenly. */
export interface TokenBucket {
  /** Tokens of a full bucket: bytes or operations. A size of 0 with a `refill_time` of 0 takes a limit away. */
  readonly size: number;
  /** Milliseconds in which an empty bucket fills. */
  readonly refill_time: number;
  /** Tokens given once beside those of the bucket, spent first. */
  readonly one_time_burst?: number;
}

/** Limits of a device. What is absent is not limited, or in an update left as it is. */
export interface RateLimiter {
  /** Tokens are bytes. */
  readonly bandwidth?: TokenBucket;
  /** Tokens are operations. */
  readonly ops?: TokenBucket;
}

/** `PUT /boot-source`. */
export interface BootSource {
  /** An uncompressed ELF kernel. */
  readonly kernel_image_path: string;
  readonly initrd_path?: string;
  /** The kernel's command line. Firecracker appends the root device and its own words. */
  readonly boot_args?: string;
}

/** CPU models that Firecracker knows by name. Which of them start depends on the host's CPU. */
export type CpuTemplate = "C3" | "T2" | "T2S" | "T2CL" | "T2A" | "V1N1" | "None";

/** `PUT /machine-config`. */
export interface MachineConfig {
  /** 1 to 32; with `smt` 1 or even. */
  readonly vcpu_count: number;
  readonly mem_size_mib: number;
  /** Shows vCPUs in pairs as threads of a core. */
  readonly smt?: boolean;
  /** Lets Diff snapshots be taken. */
  readonly track_dirty_pages?: boolean;
  /** Pages behind the guest's memory: small ones, or 2 MiB of the host's pool. */
  readonly huge_pages?: "None" | "2M";
  readonly cpu_template?: CpuTemplate;
}

/** `PUT /drives/{drive_id}`. */
export interface Drive {
  /** Letters, digits and underscores. */
  readonly drive_id: string;
  /** True for `/dev/vda`, the kernel's root. */
  readonly is_root_device: boolean;
  /** A raw file or block device. */
  readonly path_on_host: string;
  readonly is_read_only: boolean;
  /** `Unsafe` ignores the guest's flushes, `Writeback` performs them. */
  readonly cache_type?: "Unsafe" | "Writeback";
  /** `Async` is io_uring. */
  readonly io_engine?: "Sync" | "Async";
  readonly rate_limiter?: RateLimiter;
}

/** `PATCH /drives/{drive_id}`: at least one of the two optional fields. */
export interface DriveUpdate {
  readonly drive_id: string;
  /** Another file behind the same drive; its size may differ, and the guest is told. */
  readonly path_on_host?: string;
  readonly rate_limiter?: RateLimiter;
}

/** `PUT /network-interfaces/{iface_id}`. */
export interface NetworkInterface {
  /** Letters, digits and underscores. */
  readonly iface_id: string;
  /** Name of the TAP device in Firecracker's network namespace, at most 15 characters. */
  readonly host_dev_name: string;
  /** `02:FC:00:00:00:05`. */
  readonly guest_mac?: string;
  /** What the guest receives. */
  readonly rx_rate_limiter?: RateLimiter;
  /** What the guest sends. */
  readonly tx_rate_limiter?: RateLimiter;
}

/** `PATCH /network-interfaces/{iface_id}`. */
export interface NetworkInterfaceUpdate {
  readonly iface_id: string;
  readonly rx_rate_limiter?: RateLimiter;
  readonly tx_rate_limiter?: RateLimiter;
}

/** `PUT /vsock`. */
export interface Vsock {
  /** At least 3. */
  readonly guest_cid: number;
  /** Unix socket that Firecracker makes; nothing may be there. */
  readonly uds_path: string;
}

/** `PUT /entropy`. */
export interface Entropy {
  readonly rate_limiter?: RateLimiter;
}

/** `PUT /balloon`. */
export interface Balloon {
  /** Memory that the guest is to give back. */
  readonly amount_mib: number;
  /** Gives memory to a guest that has none left. */
  readonly deflate_on_oom: boolean;
  /** Seconds between two measurements; 0 measures nothing. */
  readonly stats_polling_interval_s?: number;
}

/** `PUT /mmds/config`: Firecracker's metadata service. */
export interface MmdsConfig {
  /** Interfaces, configured before, on which it answers. */
  readonly network_interfaces: readonly string[];
  readonly version?: "V1" | "V2";
  /** A link-local address. */
  readonly ipv4_address?: string;
}

/** How much Firecracker logs. */
export type LogLevel = "Error" | "Warning" | "Info" | "Debug" | "Trace" | "Off";

/** `PUT /logger`. */
export interface LoggerConfig {
  /** An existing file or named pipe. */
  readonly log_path?: string;
  readonly level?: LogLevel;
  readonly show_level?: boolean;
  readonly show_log_origin?: boolean;
  /** Logs of this Rust module alone. */
  readonly module?: string;
}

/** `PUT /metrics`, once in the life of a process. */
export interface MetricsConfig {
  /** An existing file or named pipe. Takes one JSON object a line. */
  readonly metrics_path: string;
}

/** `PUT /serial`. Without it the guest's console is Firecracker's standard output. */
export interface SerialConfig {
  /** An existing file or named pipe. */
  readonly serial_out_path: string;
}

/** `PUT /hotplug/memory`: memory beside that of the machine's start, none of it plugged in. */
export interface HotplugMemory {
  /** Most that can be plugged in; a multiple of the slot's size. */
  readonly total_size_mib: number;
  /** Unit of the host: at least 128, a multiple of the block's size. 128 by default. */
  readonly slot_size_mib?: number;
  /** Unit of the guest: a power of 2, at least 2. 2 by default. */
  readonly block_size_mib?: number;
}

/** `PATCH /hotplug/memory`. */
export interface HotplugMemoryUpdate {
  /** Memory that the guest is to plug in; a multiple of the block's size. */
  readonly requested_size_mib: number;
}

/** `PUT /snapshot/create`. */
export interface SnapshotCreate {
  /** File that takes the state of CPUs and devices. Made, or written anew. */
  readonly snapshot_path: string;
  /** File that takes the memory. Made with the size of the whole memory. */
  readonly mem_file_path: string;
  /** `Diff` writes the pages written since the last snapshot or load alone. `Full` by default. */
  readonly snapshot_type?: "Full" | "Diff";
}

/** Where the memory of a snapshot comes from. */
export interface MemoryBackend {
  /** `File` maps the file privately; `Uffd` asks a handler behind a Unix socket for every page. */
  readonly backend_type: "File" | "Uffd";
  readonly backend_path: string;
}

/** Another TAP for an interface of a snapshot. */
export interface NetworkOverride {
  readonly iface_id: string;
  readonly host_dev_name: string;
}

/** `PUT /snapshot/load`. Drives have the paths that they had when the snapshot was taken. */
export interface SnapshotLoad {
  readonly snapshot_path: string;
  readonly mem_backend: MemoryBackend;
  /** Lets the vCPUs run at once. */
  readonly resume_vm?: boolean;
  /** Lets Diff snapshots be taken. */
  readonly track_dirty_pages?: boolean;
  readonly network_overrides?: readonly NetworkOverride[];
  /** Advances the guest's KVM clock by the time since the snapshot. */
  readonly clock_realtime?: boolean;
}
