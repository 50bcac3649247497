import { assert, assertEquals, assertThrows } from "@std/assert";
import fc from "fast-check";
import type { BootSpec, MachineSpec, RestoreSpec } from "../vmm/driver.ts";
import { StandInMachine } from "../vmm/firecracker/testing/stand_in_machine.ts";
import { makeContractFiles } from "../vmm/firecracker/testing/contract_files.ts";
import { type ApiCall, callName, putAction } from "./firecracker_calls.ts";
import {
  bootCalls,
  type BootPaths,
  DEFAULT_SETTINGS,
  firecrackerKernelLine,
  type FirecrackerSettings,
  MAX_KERNEL_LINE,
  restoreCalls,
} from "./firecracker_requests.ts";
import { planSlot } from "./slot_plan.ts";

const machine: MachineSpec = {
  vmId: "0123456789abcdef",
  vcpus: 2,
  memoryMb: 512,
  disk: {
    path: "/dev/mapper/wrenn-1",
    format: "raw",
    sizeMb: 1024,
    folder: "/data/sandboxes/sb-00000001",
    layers: ["base.ext4", "cow"],
  },
  slot: planSlot(7),
  runDir: "/run/wrenn/0123456789abcdef",
  uid: 300007,
};
const boot: BootSpec = {
  ...machine,
  kernel: "/data/kernels/vmlinux",
  initrd: "/data/kernels/initrd.img",
  initArgs: ["wrenn.hostname=sb-00000001"],
  memoryFile: "/data/sandboxes/sb-00000001/memory",
};
const back: RestoreSpec = { ...machine, memoryBase: "/data/memory", state: "/data/state" };
const bootPaths: BootPaths = { kernel: "/vmlinux", initrd: "/initrd.img", disk: "/disk" };
const restorePaths = { state: "/state", memory: "/memory" };

const limit = fc.record(
  {
    bytesPerSecond: fc.integer({ min: 1 }),
    opsPerSecond: fc.integer({ min: 1 }),
  },
  { requiredKeys: [] },
);
const settings: fc.Arbitrary<FirecrackerSettings> = fc.record(
  {
    limits: fc.record({ disk: limit, receive: limit, send: limit }, { requiredKeys: [] }),
    trackDirtyPages: fc.boolean(),
    cacheType: fc.constantFrom("Unsafe", "Writeback"),
    ioEngine: fc.constantFrom("Sync", "Async"),
    logLevel: fc.constantFrom("Error", "Warning", "Info", "Debug", "Trace", "Off"),
    clockRealtime: fc.boolean(),
    tscKhz: fc.integer({ min: 1_000_000, max: 5_000_000 }),
  },
  {
    requiredKeys: [
      "limits",
      "trackDirtyPages",
      "cacheType",
      "ioEngine",
      "logLevel",
      "clockRealtime",
    ],
  },
);

Deno.test("bootCalls() describes a machine in order", () => {
  const paths = { ...bootPaths, log: "/log", metrics: "/metrics", serial: "/console" };
  const line =
    "console=ttyS0 quiet reboot=k panic=1 cryptomgr.notests transparent_hugepage=never " +
    "wrenn.hostname=sb-00000001";
  const calls: ApiCall[] = bootCalls(boot, paths);
  assertEquals(calls.map((call): [string, object] => [callName(call), call.body]), [
    ["PUT /logger", { log_path: "/log", level: "Warning" }],
    ["PUT /metrics", { metrics_path: "/metrics" }],
    ["PUT /machine-config", { vcpu_count: 2, mem_size_mib: 512, track_dirty_pages: false }],
    ["PUT /boot-source", {
      kernel_image_path: "/vmlinux",
      initrd_path: "/initrd.img",
      boot_args: line,
    }],
    ["PUT /drives/rootfs", {
      drive_id: "rootfs",
      is_root_device: true,
      path_on_host: "/disk",
      is_read_only: false,
      cache_type: "Writeback",
      io_engine: "Sync",
    }],
    ["PUT /network-interfaces/eth0", {
      iface_id: "eth0",
      host_dev_name: "tap0",
      guest_mac: "02:FC:00:00:00:05",
    }],
    ["PUT /entropy", {}],
    ["PUT /serial", { serial_out_path: "/console" }],
  ]);
});

Deno.test("bootCalls() limits disk and network as the settings say", () => {
  const limits = { disk: { opsPerSecond: 100 }, receive: { bytesPerSecond: 5 }, send: {} };
  const calls = bootCalls(boot, bootPaths, { ...DEFAULT_SETTINGS, limits });
  const [drive, net] = ["/drives/rootfs", "/network-interfaces/eth0"].map((path) =>
    Object.entries(calls.find((call) => call.path === path)?.body ?? {})
      .filter(([field]) => field.endsWith("rate_limiter"))
  );
  assertEquals(drive, [["rate_limiter", { ops: { size: 100, refill_time: 1000 } }]]);
  assertEquals(net, [["rx_rate_limiter", { bandwidth: { size: 5, refill_time: 1000 } }]]);
});

Deno.test("restoreCalls() loads a snapshot and puts today's limits in force", () => {
  const none = { size: 0, refill_time: 0 };
  const limits = { disk: { opsPerSecond: 100 } };
  const chosen = { ...DEFAULT_SETTINGS, limits, trackDirtyPages: true };
  const calls = restoreCalls(back, { ...restorePaths, log: "/log" }, chosen);
  assertEquals(calls.before.map(({ path }) => path), ["/logger"]);
  assertEquals(calls.load, {
    snapshot_path: "/state",
    mem_backend: { backend_type: "File", backend_path: "/memory" },
    resume_vm: false,
    track_dirty_pages: true,
    network_overrides: [{ iface_id: "eth0", host_dev_name: "tap0" }],
    clock_realtime: true,
  });
  assertEquals(calls.after.map(({ body }) => body), [
    {
      drive_id: "rootfs",
      rate_limiter: { bandwidth: none, ops: { size: 100, refill_time: 1000 } },
    },
    {
      iface_id: "eth0",
      rx_rate_limiter: { bandwidth: none, ops: none },
      tx_rate_limiter: { bandwidth: none, ops: none },
    },
  ]);
});

Deno.test("bootCalls() and restoreCalls() refuse what is nothing for Firecracker", () => {
  const { disk, slot } = machine;
  const wrong: Partial<MachineSpec>[] = [
    { vcpus: 0 },
    { vcpus: 33 },
    { vcpus: 1.5 },
    { memoryMb: 0 },
    { memoryMb: 512.5 },
    { disk: { ...disk, format: "qcow2" } },
    { slot: { ...slot, tap: "a".repeat(16) } },
    { slot: { ...slot, tap: "" } },
    { slot: { ...slot, guestMac: "02:FC" } },
  ];
  for (const change of wrong) {
    assertThrows(() => bootCalls({ ...boot, ...change }, bootPaths), Error);
    assertThrows(() => restoreCalls({ ...back, ...change }, restorePaths), Error);
  }
  assertThrows(
    () => bootCalls(boot, { ...bootPaths, disk: "disk" }),
    Error,
    "Not an absolute path",
  );
  assertThrows(() => restoreCalls(back, { ...restorePaths, memory: "" }), Error, "absolute");
});

Deno.test("firecrackerKernelLine() refuses words that are two and lines that are too long", () => {
  assertThrows(() => firecrackerKernelLine(["a b"], {}), Error, "Not a kernel parameter");
  assertThrows(() => firecrackerKernelLine(["a\n"], {}), Error, "Not a kernel parameter");
  const rest = MAX_KERNEL_LINE - firecrackerKernelLine([], {}).length - 1;
  assertEquals(firecrackerKernelLine(["x".repeat(rest)], {}).length, MAX_KERNEL_LINE);
  assertThrows(() => firecrackerKernelLine(["x".repeat(rest + 1)], {}), RangeError, "command line");
  assert(firecrackerKernelLine([], { tscKhz: 2_600_000 }).endsWith(" tsc_early_khz=2600000"));
});

Deno.test("Every call of bootCalls() and restoreCalls() is accepted", async () => {
  await using files = await makeContractFiles();
  const output = { log: files.log, metrics: files.metrics };
  const paths = { kernel: files.kernel, initrd: files.initrd, disk: files.disk, ...output };
  const restored = { state: files.path("state"), memory: files.path("memory"), ...output };
  const lentTaps: ReadonlySet<string> = new Set(["tap0"]);
  const size = fc.record({
    vcpus: fc.integer({ min: 1, max: 32 }),
    memoryMb: fc.integer({ min: 64, max: 1 << 16 }),
  });
  const word = fc.stringMatching(/^[!-~]{1,60}$/);
  await fc.assert(
    fc.asyncProperty(
      size,
      settings,
      fc.array(word, { maxLength: 20 }),
      async (size, chosen, words) => {
        using first = new StandInMachine({ id: "first", lentTaps });
        const accepted = async (
          stand: StandInMachine,
          { method, path, body }: { method: string; path: string; body: object },
        ): Promise<void> =>
          assertEquals(await stand.answer(method, path, JSON.stringify(body)), { status: 204 });
        const serial = { serial: files.serial };
        const calls = bootCalls(
          { ...boot, ...size, initArgs: words },
          { ...paths, ...serial },
          chosen,
        );
        for (const call of [...calls, putAction("InstanceStart")]) await accepted(first, call);
        await accepted(first, { method: "PATCH", path: "/vm", body: { state: "Paused" } });
        const body = { snapshot_path: restored.state, mem_file_path: restored.memory };
        await accepted(first, { method: "PUT", path: "/snapshot/create", body });

        using second = new StandInMachine({ id: "second", lentTaps });
        const { before, load, after } = restoreCalls({ ...back, ...size }, restored, chosen);
        for (const call of before) await accepted(second, call);
        await accepted(second, { method: "PUT", path: "/snapshot/load", body: load });
        for (const call of after) await accepted(second, call);
      },
    ),
    { numRuns: 30 },
  );
});
