import { hasCode } from "@wrenn/common";
import { assert, assertEquals, assertRejects } from "@std/assert";
import { incompatibility } from "../../core/snapshot_compatibility.ts";
import { VMM_GROUP } from "../../core/vmm_ids.ts";
import type { BootSpec, Vm } from "../driver.ts";
import { filesIn, processesWith } from "../testing/vm_host.ts";
import { groupOf } from "../cgroup.ts";
import { FirecrackerDriver } from "./driver.ts";
import type { FirecrackerVm } from "./firecracker_vm.ts";
import { JailFolder } from "./jail_folder.ts";
import { BareHost } from "./testing/bare_host.ts";

const PAGE = 4096;

/** What a test needs. */
interface Given {
  readonly driver: FirecrackerDriver;
  readonly host: BareHost;
  readonly jail: "jailer" | "namespace";
  /** Where the process finds its machine's files, by a path on this host. */
  inside(vm: Vm): Promise<string>;
}

/** A test of both ways to start a process. */
function test(what: string, body: (given: Given) => Promise<void>): void {
  for (const jail of ["jailer", "namespace"] as const) {
    Deno.test(`FirecrackerDriver by ${jail}, without a guest, ${what}`, async () => {
      await using host = await BareHost.open();
      const driver = await FirecrackerDriver.open(host.options({ jail }));
      // The stand-in's jailer gives its process no root folder of its own.
      const inside = async (vm: Vm): Promise<string> =>
        jail === "namespace"
          ? `/proc/${vm.pid}/root/run/wrenn-vm`
          : `${(await host.jails()).find((path) => path.endsWith(vm.vmId))}/root/run/wrenn-vm`;
      await body({ driver, host, jail, inside });
    });
  }
}

/** Fields of /proc/{pid}/status. */
async function status(pid: number): Promise<Record<string, string>> {
  const text = await Deno.readTextFile(`/proc/${pid}/status`);
  return Object.fromEntries(
    text.trim().split("\n").map((line) => {
      const [name = "", value = ""] = line.split(":\t");
      return [name, value.replaceAll("\t", " ").trim()];
    }),
  );
}

async function identityOf(path: string): Promise<unknown[]> {
  const { uid, gid, mode } = await Deno.stat(path);
  return [uid, gid, (mode ?? 0) & 0o777];
}

test("tells what a snapshot depends on", async ({ driver }) => {
  const { environment } = driver;
  assertEquals(driver.version, "firecracker 1.15.1");
  assertEquals([environment.vmm, environment.accelerator], ["firecracker 1.15.1", "kvm"]);
  assertEquals(environment.tsc_khz, 2_000_000);
  assert(/^\S+ \d+\/\d+\/\d+ /.test(environment.cpu_model), environment.cpu_model);
  const other = { ...environment, vmm: "firecracker 1.14.0" };
  const here = { environment, rootfs: "dm" } as const;
  assert(incompatibility({ environment: other, disk: [] }, here)?.includes("1.14.0"));
  await Promise.resolve();
});

test("boots in a jail of its own and leaves nothing of it", async ({ driver, host, jail, inside }) => {
  const spec = await host.spec();
  const vm = await driver.boot(spec);
  try {
    assertEquals(vm.vmId, spec.vmId);
    assertEquals(await vm.running(), true);
    const of = await status(vm.pid);
    const uids = Array(4).fill(spec.uid).join(" ");
    const gids = Array(4).fill(VMM_GROUP).join(" ");
    const none = "0000000000000000";
    assertEquals(
      [of["Uid"], of["Gid"], of["Groups"], of["CapEff"], of["CapPrm"]],
      [uids, gids, "", none, none],
    );
    // Firecracker's own filter sees to it behind the jailer.
    if (jail === "namespace") assertEquals([of["CapBnd"], of["NoNewPrivs"]], [none, "1"]);
    for (const kind of ["net", "mnt", "ipc", "uts"]) {
      const [its, ours] = await Promise.all(
        [vm.pid, Deno.pid].map((pid) => Deno.readLink(`/proc/${pid}/ns/${kind}`)),
      );
      assert(its !== ours, kind);
    }
    assertEquals(await Deno.readTextFile(`/proc/${vm.pid}/oom_score_adj`), "600\n");
    const limits = await Deno.readTextFile(`/proc/${vm.pid}/limits`);
    assert(/Max core file size +0 +0 /.test(limits), limits);
    const [folder = ""] = await host.jails();
    const machine = await inside(vm);
    assertEquals(await filesIn(machine), [
      "disk",
      "initrd",
      "kernel",
      "memory",
      "metrics",
      "saved",
      spec.runDir.split("/")[1],
    ]);
    for (const name of ["disk", "memory", "metrics", "saved"]) {
      assertEquals(await identityOf(`${machine}/${name}`), [spec.uid, VMM_GROUP, 0o600], name);
    }
    assertEquals(await identityOf(folder), [0, 0, 0o700]);
    assertEquals((await Deno.stat(`${machine}/disk`)).ino, (await Deno.stat(spec.disk.path)).ino);
    const metrics = await (vm as FirecrackerVm).metrics();
    assert(Number(metrics["utc_timestamp_ms"]) > 0);
  } finally {
    await vm.kill();
  }
  assertEquals(await processesWith(spec.runDir), []);
  assertEquals(await filesIn(spec.runDir), ["console.log"]);
  assertEquals(await host.jails(), []);
});

test("saves a booted machine into its memory file, and seals it", async ({ driver, host }) => {
  const spec = await host.spec();
  const vm = await driver.boot(spec);
  try {
    assert(hasCode(await vm.saveState().catch((e) => e), "internal"), "its vCPUs run");
    await vm.pause();
    assertEquals(await vm.writtenPages(), undefined);
    const state = await vm.saveState();
    assert(new TextDecoder().decode(state).includes('"vmm_version":"1.15.1"'));
    assertEquals(await vm.saveState(), state, "once in a standstill");
    assertEquals(await identityOf(spec.memoryFile), [0, VMM_GROUP, 0o440]);
    {
      using memory = await vm.memory();
      assertEquals(memory.pages, spec.memoryMb * 256);
      const page = new Uint8Array(PAGE);
      memory.read(0, page);
      assert(page.some((byte) => byte !== 0));
    }
    const { blocks, size } = await Deno.stat(spec.memoryFile);
    assert(size === spec.memoryMb << 20 && (blocks ?? 0) < 1000, "zeros are holes");
    await vm.resume();
    await vm.pause();
    assert(new TextDecoder().decode(await vm.saveState()) !== new TextDecoder().decode(state));
  } finally {
    await vm.kill();
  }
  assertEquals(await identityOf(spec.memoryFile), [0, VMM_GROUP, 0o440], "it stays");
});

test("restores over a base, and adds up what is written over it", async ({ driver, host, inside }) => {
  const spec = await host.spec();
  const first = await driver.boot(spec);
  await first.pause();
  const state = `${host.dataDir}/state`;
  await Deno.writeFile(state, await first.saveState());
  await first.kill();
  const base = await Deno.readFile(spec.memoryFile);
  // The stand-in writes its first page at every snapshot: what the one before left there is filled in.
  const saved: Uint8Array[] = [];
  for (let round = 0; round < 3; round++) {
    const fill = (memory: { write(page: number, bytes: Uint8Array): void }): Promise<void> => {
      for (const bytes of saved) memory.write(0, bytes);
      memory.write(100 + round, new Uint8Array(PAGE).fill(round + 1));
      return Promise.resolve();
    };
    const next = await host.successor({
      memoryBase: spec.memoryFile,
      state,
      ...(round > 0 ? { fill } : {}),
    });
    const vm = await driver.restore(next);
    try {
      assertEquals(await vm.running(), false);
      const names = await filesIn(await inside(vm));
      assert(!names.includes("memory") && !names.includes("state"), names.join(" "));
      await vm.resume();
      await vm.pause();
      const runs = await vm.writtenPages() ?? [];
      const filled = round > 0 ? [{ first: 100 + round, count: 1 }] : [];
      assertEquals(runs, [{ first: 0, count: 1 }, ...filled]);
      await Deno.writeFile(state, await vm.saveState());
      using memory = await vm.memory();
      const page = new Uint8Array(PAGE);
      memory.read(100 + round, page);
      assertEquals(page[0], round > 0 ? round + 1 : 0);
      memory.read(0, page);
      saved[0] = page;
    } finally {
      await vm.kill();
    }
    assertEquals(await host.jails(), []);
  }
  assertEquals(await Deno.readFile(spec.memoryFile), base, "the base is never written");
});

test("leaves nothing when a start fails", async ({ driver, host }) => {
  const good = await host.spec();
  const wrong: Record<string, Partial<BootSpec>> = {
    "no kernel": { kernel: "/nonexistent/vmlinux" },
    "a kernel that is none": { kernel: "/etc/passwd" },
    "no disk": { disk: { ...good.disk, path: "/nonexistent/disk" } },
    "a folder for a disk": { disk: { ...good.disk, path: host.dataDir } },
    "a disk of another format": { disk: { ...good.disk, format: "qcow2" } },
    "no TAP": { slot: { ...good.slot, tap: "tap7" } },
    "no namespace": { slot: { ...good.slot, namespace: "ns-nonexistent" } },
    "no run folder": { runDir: `${host.runRoot}/nonexistent` },
    "a run folder that is too long": { runDir: `${host.runRoot}/${"a".repeat(100)}` },
    "too many CPUs": { vcpus: 33 },
    "a kernel parameter that is two": { initArgs: ["a b"] },
  };
  for (const [what, change] of Object.entries(wrong)) {
    const failed = await driver.boot({ ...good, ...change }).then(() => undefined, (e) => e);
    assert(hasCode(failed, "internal"), what);
    assertEquals(failed.message, "Cannot start the virtual machine", what);
    assertEquals(await processesWith(host.runRoot), [], what);
    assertEquals(await filesIn(good.runDir), [], what);
    assertEquals(await host.jails(), [], what);
    assertEquals(await filesIn(good.disk.folder), ["disk"], what);
  }
  const memoryBase = `${host.dataDir}/memory`;
  await Deno.writeTextFile(memoryBase, "not a memory");
  await Deno.writeTextFile(`${host.dataDir}/state`, "not a state");
  const next = await host.successor({ memoryBase, state: `${host.dataDir}/state` });
  await assertRejects(() => driver.restore(next));
  const broken = () => Promise.reject(new Error("a damaged diff"));
  await assertRejects(() => driver.restore({ ...next, fill: broken }));
  assertEquals(await processesWith(host.runRoot), []);
  assertEquals(await filesIn(next.runDir), []);
  assertEquals(await host.jails(), []);
});

test("sweeps what is not kept, and takes over what is", async ({ driver, host, jail }) => {
  const [kept, stale] = [await host.spec(), await host.spec()];
  const [a, b] = [await driver.boot(kept), await driver.boot(stale)];
  const elsewhere = `${host.runRoot}2/${kept.vmId}`;
  assertEquals(await driver.sweep(`${host.runRoot}2`, new Set()), 0);
  assertEquals(
    await driver.adopt({ ...kept, runDir: elsewhere, memoryBase: "", booted: true }),
    undefined,
  );
  const next = await FirecrackerDriver.open(host.options({ jail }));
  assertEquals(await next.sweep(host.runRoot, new Set([kept.runDir])), 1);
  assertEquals((await b.exited).signal, "SIGKILL");
  assert((await host.jails()).every((path) => path.endsWith(kept.vmId)));
  const vm = await next.adopt({ ...kept, memoryBase: kept.memoryFile, booted: true });
  assert(vm !== undefined);
  assertEquals([vm.pid, await vm.running()], [a.pid, true]);
  await vm.pause();
  assert((await vm.saveState()).length > 0);
  await vm.kill();
  await a.exited;
  assertEquals(await host.jails(), []);
  assertEquals(await next.sweep(host.runRoot, new Set()), 0);
  // What is left of machines that are gone, whether anybody asks for them or not.
  const chroots = `${host.dataDir}/jails/${groupOf(host.runRoot)}`;
  const [asked, unasked] = [await host.spec(), await host.spec()];
  for (const spec of [asked, unasked]) await JailFolder.make(chroots, "firecracker-1.14", spec);
  const dead = { ...asked, memoryBase: asked.memoryFile, booted: true };
  assertEquals(await next.adopt(dead), undefined);
  assertEquals((await host.jails()).length, 1);
  assertEquals(await next.sweep(host.runRoot, new Set()), 0);
  assertEquals(await host.jails(), []);
});

Deno.test("FirecrackerDriver without a guest ends a process that does not answer", async () => {
  await using host = await BareHost.open();
  const liveness = { everyMs: 50, answerMs: 200 };
  const driver = await FirecrackerDriver.open(host.options({ liveness }));
  const vm = await driver.boot(await host.spec());
  await new Promise((resolve) => setTimeout(resolve, 500));
  assertEquals(await vm.running(), true);
  Deno.kill(vm.pid, "SIGSTOP");
  assertEquals((await vm.exited).signal, "SIGKILL");
  assert(hasCode(await vm.resume().catch((e) => e), "sandbox_not_running"));
});

Deno.test("FirecrackerDriver.open() says what is missing", async () => {
  await using host = await BareHost.open();
  const open = (change: Parameters<BareHost["options"]>[0]) =>
    FirecrackerDriver.open(host.options(change));
  await assertRejects(() => open({ firecrackerBin: "/nonexistent/fc" }), Error, "Cannot find");
  await assertRejects(() => open({ firecrackerBin: "/bin/true" }), Error, "in its name");
  const jailer = { jail: "jailer", jailerBin: "/nonexistent/jailer" } as const;
  await assertRejects(() => open(jailer), Error, "Cannot find '/nonexistent/jailer'");
});
