/** Calls that Firecracker refuses, by the state in which they are made. None of them changes anything. */
import {
  type ApiCall,
  callName,
  patchHotplugMemory,
  patchVm,
  putAction,
  putSnapshotCreate,
  putSnapshotLoad,
} from "../../../core/firecracker_calls.ts";
import type { SnapshotCreate, SnapshotLoad, TokenBucket } from "../api_types.ts";
import { OTHER_TAP, outputCalls, setupCalls, updateCalls } from "./contract_calls.ts";
import type { ContractFiles } from "./contract_files.ts";
import { ID_MISMATCH, NO_KERNEL, POST_BOOT, PRE_BOOT, SECOND_ROOT } from "./stand_in_fault.ts";

/** A call that is refused. */
export interface Refusal {
  /** Why, for the test's message. */
  readonly what: string;
  readonly call: ApiCall;
  /** Firecracker's own words, where they are certain. */
  readonly fault?: string;
  /** Firecracker itself may accept it: the stand-in refuses when it is not certain. */
  readonly strict?: true;
}

/** Required fields of each path; the id of a resource is left out. */
const REQUIRED: Readonly<Record<string, readonly string[]>> = {
  "PUT /boot-source": ["kernel_image_path"],
  "PUT /machine-config": ["vcpu_count", "mem_size_mib"],
  "PUT /drives": ["drive_id", "is_root_device", "path_on_host"],
  "PATCH /drives": ["drive_id"],
  "PUT /network-interfaces": ["iface_id", "host_dev_name"],
  "PATCH /network-interfaces": ["iface_id"],
  "PUT /vsock": ["guest_cid", "uds_path"],
  "PUT /balloon": ["amount_mib", "deflate_on_oom"],
  "PUT /mmds": ["network_interfaces"],
  "PUT /metrics": ["metrics_path"],
  "PUT /hotplug": ["total_size_mib"],
  "PATCH /hotplug": ["requested_size_mib"],
  "PUT /actions": ["action_type"],
  "PATCH /vm": ["state"],
  "PUT /snapshot": ["snapshot_path"],
};
/** Bodies in which Firecracker overlooks what it does not know. */
const LENIENT = ["PUT /metrics"];

/** A call with something missing, something unknown, or a value of another type. */
export function malformed(call: ApiCall): Refusal[] {
  const { body } = call;
  const name = `${call.method} /${call.path.split("/")[1]}`;
  const without = (field: string): object =>
    Object.fromEntries(Object.entries(body).filter(([key]) => key !== field));
  return [
    ...(REQUIRED[name] ?? []).map((field) => ({
      what: `${callName(call)} without ${field}`,
      call: { ...call, body: without(field) },
    })),
    ...Object.entries(body).map(([field, value]) => ({
      what: `${callName(call)} with a wrong ${field}`,
      call: { ...call, body: { ...body, [field]: wrong(value) } },
    })),
    {
      what: `${callName(call)} with an unknown field`,
      call: { ...call, body: { ...body, wrenn: 1 } },
      ...(LENIENT.includes(name) ? { strict: true as const } : {}),
    },
    { what: `${callName(call)} with a list`, call: { ...call, body: [body] } },
  ];
}

/** What is refused by a process on which nothing was configured. */
export function freshRefusals(files: ContractFiles): Refusal[] {
  const all = [...outputCalls(files), ...setupCalls(files)];
  const [machine, boot, root, , net, vsock, , balloon, , serial, hotplug] = setupCalls(files);
  const [logger, metrics] = outputCalls(files);
  return [
    ...all.flatMap(malformed),
    ...variants(machine, { vcpu_count: [0, 33, 1.5, -1], mem_size_mib: [0], huge_pages: ["1G"] }),
    ...variants(machine, { cpu_template: ["T9"] }),
    ...variants(machine, { cpu_template: ["T2"] }, { strict: true }),
    changed(machine, { vcpu_count: 3, smt: true }),
    changed(machine, { mem_size_mib: 129, huge_pages: "2M" }),
    ...variants(boot, { kernel_image_path: [files.missing], initrd_path: [files.missing] }),
    ...variants(boot, { boot_args: ["x".repeat(2048)] }),
    ...variants(boot, { boot_args: ["a=é"], kernel_image_path: [files.folder] }, { strict: true }),
    ...variants(root, { path_on_host: [files.missing], cache_type: ["None"], io_engine: ["Aio"] }),
    ...variants(root, { partuuid: ["0eaa91a0-01"] }, { strict: true }),
    ...variants(root, { rate_limiter: [{ wrenn: 1 }, { ops: { size: 1 } }, { ops: bucket(-1) }] }),
    ...variants(root, { rate_limiter: [{ ops: { ...bucket(1), wrenn: 1 } }] }, { strict: true }),
    ...variants(root, { drive_id: ["other"] }, { fault: ID_MISMATCH }),
    ...variants(root, { path_on_host: [files.folder] }),
    { what: "a drive's id with a dash", call: { ...known(root), path: "/drives/a-b" } },
    { what: "a drive without an id", call: { ...known(root), path: "/drives/" } },
    ...variants(net, { iface_id: ["eth1"], guest_mac: ["02:FC", "02-FC-00-00-00-05"] }),
    ...variants(net, { host_dev_name: ["a".repeat(16)] }),
    ...variants(net, { host_dev_name: ["wrenn-none"] }, { strict: true }),
    ...variants(vsock, { guest_cid: [0, 2, 2 ** 32], uds_path: [files.missing] }),
    ...variants(vsock, { uds_path: [files.disk, files.path("x".repeat(108))] }),
    ...variants(balloon, { amount_mib: [-1, 129], stats_polling_interval_s: [-1, 65536] }),
    ...variants(logger, { level: ["Loud"] }),
    ...variants(logger, { log_path: [files.missing] }),
    ...variants(metrics, { metrics_path: [files.missing] }),
    ...variants(logger, { log_path: [files.path("new.log")] }, { strict: true }),
    ...variants(metrics, { metrics_path: [files.path("new.metrics")] }, { strict: true }),
    ...variants(serial, { serial_out_path: [files.missing] }, { strict: true }),
    ...variants(hotplug, {
      slot_size_mib: [64, 129],
      block_size_mib: [1, 3],
      total_size_mib: [64, 200],
    }),
    ...runtimeCalls(files).map((call) => ({ what: "before the start", call, fault: PRE_BOOT })),
    {
      what: "a start without a kernel",
      call: putAction("InstanceStart"),
      fault: NO_KERNEL,
    },
    ...unknownCalls(),
  ];
}

/** What is refused by a process on which {@linkcode setupCalls} were made. */
export function configuredRefusals(files: ContractFiles): Refusal[] {
  const [machine, , root, more, net, vsock, , , mmds] = setupCalls(files);
  const [, metrics] = outputCalls(files);
  return [
    ...setupCalls(files).flatMap(malformed),
    ...variants(mmds, { network_interfaces: [[], ["eth9"]], version: ["V3"] }),
    ...variants(mmds, { ipv4_address: ["10.0.0.1"] }),
    {
      ...changed({ ...known(more), path: "/drives/more_2" }, {
        drive_id: "more_2",
        is_root_device: true,
      }),
      what: "a second root drive",
      fault: SECOND_ROOT,
    },
    changed({ ...known(net), path: "/network-interfaces/eth1" }, {
      iface_id: "eth1",
      host_dev_name: OTHER_TAP,
    }),
    changed({ ...known(net), path: "/network-interfaces/eth1" }, {
      iface_id: "eth1",
      guest_mac: "02:FC:00:00:00:06",
    }),
    changed(machine, { huge_pages: "2M" }, { strict: true }),
    { what: "metrics a second time", call: known(metrics) },
    { what: "a vsock device whose socket is there", call: known(vsock), strict: true },
    {
      what: "a root drive without its file",
      call: changed(root, { path_on_host: files.missing }).call,
    },
    ...runtimeCalls(files).map((call) => ({ what: "before the start", call, fault: PRE_BOOT })),
  ];
}

/** What is refused by a machine that was started, whether its vCPUs run or not. */
export function startedRefusals(files: ContractFiles): Refusal[] {
  const [drive, net, memory] = updateCalls(files);
  return [
    ...[...outputCalls(files), ...setupCalls(files), putAction("InstanceStart"), load(files)]
      .map((call) => ({ what: "after the start", call, fault: POST_BOOT })),
    ...updateCalls(files).flatMap(malformed),
    ...malformed(patchVm("Paused")),
    ...variants(drive, { path_on_host: [files.missing] }),
    changed({ ...known(drive), path: "/drives/other" }, { drive_id: "other" }),
    { what: "an update of nothing", call: { ...known(drive), body: { drive_id: "rootfs" } } },
    changed({ ...known(net), path: "/network-interfaces/eth9" }, { iface_id: "eth9" }),
    ...variants(memory, { requested_size_mib: [-1, 3, 258] }),
    ...variants(patchVm("Paused"), { state: ["Running", "Stopped"] }),
    ...variants(putAction("FlushMetrics"), { action_type: ["Reboot"] }),
    ...unknownCalls(),
  ];
}

/** What is refused by a machine whose vCPUs run. */
export function runningRefusals(files: ContractFiles): Refusal[] {
  return [
    { what: "a snapshot of a machine that runs", call: create(files) },
    {
      what: "a Diff of a machine that runs",
      call: changed(create(files), { snapshot_type: "Diff" }).call,
    },
  ];
}

/** What is refused by a paused machine that was described by {@linkcode setupCalls}. */
export function pluggableRefusals(files: ContractFiles): Refusal[] {
  return [{ what: "a snapshot with memory to plug in", call: create(files), strict: true }];
}

/** What is refused by a machine whose vCPUs stand still and whose pages are not tracked. */
export function pausedRefusals(files: ContractFiles): Refusal[] {
  return [
    ...malformed(create(files)),
    ...variants(create(files), { snapshot_path: [files.missing], mem_file_path: [files.missing] }),
    ...variants(create(files), { snapshot_type: ["Half"] }),
    ...variants(create(files), { snapshot_path: [files.folder], mem_file_path: [files.folder] }),
    changed(create(files), { mem_file_path: files.path("state") }, { strict: true }),
    changed(create(files), { snapshot_type: "Diff" }, { strict: true }),
    { what: "no memory to plug in", call: patchHotplugMemory({ requested_size_mib: 128 }) },
    { what: "keys for nobody", call: putAction("SendCtrlAltDel"), strict: true },
  ];
}

/** A snapshot into the folder. */
export function create(files: ContractFiles): ApiCall {
  return putSnapshotCreate(snapshotPaths(files));
}

/** Loads the snapshot of {@linkcode create}. */
export function load(files: ContractFiles, change: Partial<SnapshotLoad> = {}): ApiCall {
  const { snapshot_path, mem_file_path } = snapshotPaths(files);
  const mem_backend = { backend_type: "File", backend_path: mem_file_path } as const;
  return putSnapshotLoad({ snapshot_path, mem_backend, ...change });
}

/** Where a snapshot of the folder's machine goes. */
export function snapshotPaths(files: ContractFiles): SnapshotCreate {
  return { snapshot_path: files.path("state"), mem_file_path: files.path("memory") };
}

/** Every call that needs a started machine. */
function runtimeCalls(files: ContractFiles): ApiCall[] {
  return [
    ...updateCalls(files),
    patchVm("Paused"),
    patchVm("Resumed"),
    create(files),
    putAction("SendCtrlAltDel"),
  ];
}

function unknownCalls(): Refusal[] {
  const paths = ["/nothing", "/snapshot", "/snapshot/other", "/hotplug/cpu", "/"];
  return paths.flatMap((path) =>
    (["PUT", "PATCH"] as const).map((method) => ({
      what: `${method} ${path}`,
      call: { method, path, body: { id: "x" } },
    }))
  );
}

/** The call with each of the values, one at a time. */
function variants(
  call: ApiCall | undefined,
  values: Readonly<Record<string, readonly unknown[]>>,
  more: Partial<Refusal> = {},
): Refusal[] {
  return Object.entries(values).flatMap(([field, list]) =>
    list.map((value) => changed(call, { [field]: value }, more))
  );
}

function changed(
  call: ApiCall | undefined,
  change: object,
  more: Partial<Refusal> = {},
): Refusal {
  const base = known(call);
  const what = `${callName(base)} with ${JSON.stringify(change).slice(0, 100)}`;
  return { what, call: { ...base, body: { ...base.body, ...change } }, ...more };
}

function bucket(size: number): TokenBucket {
  return { size, refill_time: 1000 };
}

/** A value of another type. */
function wrong(value: unknown): unknown {
  return typeof value === "string" ? 7 : typeof value === "object" ? "7" : { seven: value };
}

function known(call: ApiCall | undefined): ApiCall {
  if (!call) throw new Error("There is no such call");
  return call;
}
