/**
 * Calls of Firecracker's API as plain values. Each type names the calls that are allowed in one phase of a machine; a
 * resource's path always has the id of its body.
 */
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
} from "../vmm/firecracker/api_types.ts";

/** A request with a body. */
export interface ApiCall {
  readonly method: "PUT" | "PATCH";
  /** Path of the URL, from its slash on. */
  readonly path: string;
  /** Sent as JSON. */
  readonly body: object;
}

interface Call<M extends ApiCall["method"], P extends string, B extends object> {
  readonly method: M;
  readonly path: P;
  readonly body: B;
}

/** Where Firecracker's own words go. All that may stand before a snapshot is loaded. */
export type OutputCall =
  | Call<"PUT", "/logger", LoggerConfig>
  | Call<"PUT", "/metrics", MetricsConfig>;

/** Describes a machine that will boot. After one of these no snapshot can be loaded. */
export type SetupCall =
  | Call<"PUT", "/boot-source", BootSource>
  | Call<"PUT", "/machine-config", MachineConfig>
  | Call<"PUT", `/drives/${string}`, Drive>
  | Call<"PUT", `/network-interfaces/${string}`, NetworkInterface>
  | Call<"PUT", "/vsock", Vsock>
  | Call<"PUT", "/entropy", Entropy>
  | Call<"PUT", "/balloon", Balloon>
  | Call<"PUT", "/mmds/config", MmdsConfig>
  | Call<"PUT", "/serial", SerialConfig>
  | Call<"PUT", "/hotplug/memory", HotplugMemory>;

/** Changes a machine that was started, whether its vCPUs run or not. */
export type UpdateCall =
  | Call<"PATCH", `/drives/${string}`, DriveUpdate>
  | Call<"PATCH", `/network-interfaces/${string}`, NetworkInterfaceUpdate>
  | Call<"PATCH", "/hotplug/memory", HotplugMemoryUpdate>;

/** Leads a machine to another phase, or asks something of its guest. */
export type ActionCall =
  | Call<"PUT", "/actions", { readonly action_type: ActionType }>
  | Call<"PATCH", "/vm", { readonly state: "Paused" | "Resumed" }>
  | Call<"PUT", "/snapshot/create", SnapshotCreate>
  | Call<"PUT", "/snapshot/load", SnapshotLoad>;

/** `FlushMetrics` writes the figures now; `SendCtrlAltDel` presses the keys that ask a guest to end. */
export type ActionType = "InstanceStart" | "FlushMetrics" | "SendCtrlAltDel";

const ID = /^[A-Za-z0-9_]+$/;

/** Where the log goes. */
export function putLogger(body: LoggerConfig): OutputCall {
  return { method: "PUT", path: "/logger", body };
}

/** Where the figures go. */
export function putMetrics(body: MetricsConfig): OutputCall {
  return { method: "PUT", path: "/metrics", body };
}

/** Kernel, initramfs and command line. */
export function putBootSource(body: BootSource): SetupCall {
  return { method: "PUT", path: "/boot-source", body };
}

/** CPUs and memory. */
export function putMachineConfig(body: MachineConfig): SetupCall {
  return { method: "PUT", path: "/machine-config", body };
}

/** A disk. @throws {RangeError} When its id has other characters than letters, digits and underscores. */
export function putDrive(body: Drive): SetupCall {
  return { method: "PUT", path: `/drives/${checkedId(body.drive_id)}`, body };
}

/** A network interface. @throws {RangeError} As {@linkcode putDrive} does. */
export function putNetworkInterface(body: NetworkInterface): SetupCall {
  return { method: "PUT", path: `/network-interfaces/${checkedId(body.iface_id)}`, body };
}

/** A vsock device. */
export function putVsock(body: Vsock): SetupCall {
  return { method: "PUT", path: "/vsock", body };
}

/** A source of random numbers. */
export function putEntropy(body: Entropy = {}): SetupCall {
  return { method: "PUT", path: "/entropy", body };
}

/** A balloon. */
export function putBalloon(body: Balloon): SetupCall {
  return { method: "PUT", path: "/balloon", body };
}

/** The metadata service. Its interfaces are configured before it. */
export function putMmdsConfig(body: MmdsConfig): SetupCall {
  return { method: "PUT", path: "/mmds/config", body };
}

/** Where the guest's console goes. */
export function putSerial(body: SerialConfig): SetupCall {
  return { method: "PUT", path: "/serial", body };
}

/** Memory that can be plugged in later. */
export function putHotplugMemory(body: HotplugMemory): SetupCall {
  return { method: "PUT", path: "/hotplug/memory", body };
}

/** Another file or other limits for a disk. @throws {RangeError} As {@linkcode putDrive} does. */
export function patchDrive(body: DriveUpdate): UpdateCall {
  return { method: "PATCH", path: `/drives/${checkedId(body.drive_id)}`, body };
}

/** Other limits for an interface. @throws {RangeError} As {@linkcode putDrive} does. */
export function patchNetworkInterface(body: NetworkInterfaceUpdate): UpdateCall {
  return { method: "PATCH", path: `/network-interfaces/${checkedId(body.iface_id)}`, body };
}

/** Plugs memory in or out. */
export function patchHotplugMemory(body: HotplugMemoryUpdate): UpdateCall {
  return { method: "PATCH", path: "/hotplug/memory", body };
}

/** Starts the machine, or asks something of a started one. */
export function putAction(action_type: ActionType): ActionCall {
  return { method: "PUT", path: "/actions", body: { action_type } };
}

/** Stops the vCPUs or lets them run. */
export function patchVm(state: "Paused" | "Resumed"): ActionCall {
  return { method: "PATCH", path: "/vm", body: { state } };
}

/** Writes state and memory to files. */
export function putSnapshotCreate(body: SnapshotCreate): ActionCall {
  return { method: "PUT", path: "/snapshot/create", body };
}

/** Brings a machine back. */
export function putSnapshotLoad(body: SnapshotLoad): ActionCall {
  return { method: "PUT", path: "/snapshot/load", body };
}

/** How a call is named in errors: `PUT /boot-source`. */
export function callName(call: ApiCall): string {
  return `${call.method} ${call.path}`;
}

function checkedId(id: string): string {
  if (!ID.test(id)) throw new RangeError(`Not an id of Firecracker's: '${id}'`);
  return id;
}
