/** What every VMM driver must do, as tests with real virtual machines. */
import { hasCode, runCommand, type WrennError } from "@wrenn/common";
import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { countPages } from "../core/memory_pages.ts";
import type { BootSpec, VmmDriver } from "./driver.ts";
import { answers, type DiskKind, filesIn, processesWith, VmHost } from "./testing/vm_host.ts";

const NONE: ReadonlySet<string> = new Set();
const text = new TextEncoder();

/** What differs between drivers. */
export interface DriverUnderTest {
  /** Shows in the tests' names. */
  readonly name: string;
  /** Disks that it can read. */
  readonly disks: DiskKind;
  /** Opens the driver on a host. */
  open(host: VmHost): Promise<VmmDriver>;
  /** Starts a program that boots the machine with this driver and then waits; tells the VMM's process id. */
  bootElsewhere(host: VmHost, spec: BootSpec): Promise<{ agent: Deno.ChildProcess; pid: number }>;
}

/** Registers the tests of the contract. Root, the network and images are needed. */
export function driverContract(subject: DriverUnderTest): void {
  const test = (what: string, body: (driver: VmmDriver, host: VmHost) => Promise<void>): void => {
    Deno.test(`${subject.name} ${what}`, async () => {
      await using host = await VmHost.open("minimal", subject.disks);
      await body(await subject.open(host), host);
    });
  };

  test("boots, pauses, resumes and kills a guest and leaves nothing", async (driver, host) => {
    const spec = await host.spec();
    const vm = await driver.boot(spec);
    assertEquals(vm.vmId, spec.vmId);
    assert(await answers(spec), "the guest answers");
    const { cpuMs, memoryRssMb } = await vm.stats();
    assert(cpuMs > 100 && memoryRssMb > 32, `${cpuMs} ms, ${memoryRssMb} MiB`);

    await Promise.all([vm.pause(), vm.pause()]);
    await vm.pause();
    const frozen = (await vm.stats()).cpuMs;
    assertEquals(await answers(spec, 1000), false, "a paused guest is silent");
    assert((await vm.stats()).cpuMs - frozen < 500, "its vCPUs stand still");
    await vm.resume();
    await vm.resume();
    assert(await answers(spec), "it answers again");

    await Promise.all([vm.kill(), vm.kill()]);
    await vm.kill();
    await vm.exited;
    assertEquals(await processesWith(spec.runDir), []);
    assertEquals((await filesIn(spec.runDir)).filter((name) => !name.endsWith(".log")), []);
    assertEquals((await vm.stats()).memoryRssMb, 0);
    assert(hasCode(await vm.pause().catch((e) => e), "sandbox_not_running"));
    assert(hasCode(await vm.resume().catch((e) => e), "sandbox_not_running"));
  });

  test("kills a paused guest", async (driver, host) => {
    const spec = await host.spec();
    const vm = await driver.boot(spec);
    await vm.pause();
    await vm.kill();
    assertEquals(await processesWith(spec.runDir), []);
  });

  test("notices that the VMM was killed from outside", async (driver, host) => {
    const vm = await driver.boot(await host.spec());
    Deno.kill(vm.pid, "SIGKILL");
    const { code, signal } = await vm.exited;
    assertEquals([code, signal], [undefined, "SIGKILL"]);
    await vm.kill();
  });

  test("notices that the guest ended by itself and keeps its last words", async (driver, host) => {
    // A kernel without a first process panics.
    const spec = await host.spec({ initArgs: ["rdinit=/nonexistent", "root=/dev/nonexistent"] });
    const { code, tail } = await (await driver.boot(spec)).exited;
    assertEquals(code, 0);
    assert(tail.includes("Kernel panic"), tail);
    assertEquals(await processesWith(spec.runDir), []);
  });

  test("leaves nothing when a boot fails", async (driver, host) => {
    const good = await host.spec();
    const slot = good.slot;
    const taken = `${host.runRoot}-taken`;
    await Deno.writeTextFile(taken, "somebody's");
    const wrong: Record<string, Partial<BootSpec>> = {
      "no kernel": { kernel: "/nonexistent/vmlinux" },
      "a kernel that is none": { kernel: "/etc/passwd" },
      "no initramfs": { initrd: "/nonexistent/initrd.img" },
      "no disk": { disk: { ...good.disk, path: "/nonexistent/disk.qcow2" } },
      // Everything is a raw disk.
      ...(subject.disks === "qcow2"
        ? { "a disk of another format": { disk: { ...good.disk, path: good.kernel } } }
        : {}),
      "no TAP": { slot: { ...slot, tap: "tap7" } },
      "no namespace": { slot: { ...slot, namespace: "ns-nonexistent" } },
      "no run folder": { runDir: `${host.runRoot}/nonexistent` },
      "a memory file that is there": { memoryFile: taken },
      "no memory": { memoryMb: 1 << 30 },
      "a kernel parameter that is two": { initArgs: ["a b"] },
    };
    for (const [what, change] of Object.entries(wrong)) {
      const failed = await driver.boot({ ...good, ...change }).then(() => undefined, (e) => e);
      assert(hasCode(failed, "internal"), what);
      assertEquals(failed.message, "Cannot start the virtual machine", what);
      assertEquals(await processesWith(host.runRoot), [], what);
      assertEquals(await filesIn(good.runDir), [], what);
    }
    assertEquals(await Deno.readTextFile(taken), "somebody's");
    await Deno.remove(taken);
    await Deno.chmod(good.runDir, 0o755);
    const error: WrennError = await assertRejects(() => driver.boot(good)) as WrennError;
    assertEquals(error.code, "internal", "a run folder that others may enter");
    await Deno.chmod(good.runDir, 0o700);
    const vm = await driver.boot(good);
    await vm.kill();
  });

  test("sweeps what a dead agent left and nothing else", async (driver, host) => {
    const [left, other] = [await host.spec(), await host.spec()];
    const elsewhere = `${host.runRoot}2`;
    await Deno.mkdir(elsewhere, { mode: 0o700 });
    const runDir = `${elsewhere}/${other.vmId}`;
    await Deno.mkdir(runDir, { mode: 0o700 });
    const survivor = await driver.boot({ ...other, runDir });
    const { agent, pid } = await subject.bootElsewhere(host, left);
    agent.kill("SIGKILL");
    await agent.status;
    assert((await processesWith(left.runDir)).includes(pid), "the VM outlives its agent");

    assertEquals(await driver.sweep(host.runRoot, new Set([left.runDir])), 0);
    assert((await processesWith(left.runDir)).includes(pid), "what is kept lives on");
    assertEquals(await driver.sweep(host.runRoot, NONE), 1);
    assertEquals(await processesWith(left.runDir), []);
    assertEquals(await driver.sweep(host.runRoot, NONE), 0);
    assert((await processesWith(runDir)).includes(survivor.pid), "a neighbour's VM lives on");
    await survivor.resume();
    await survivor.kill();
  });

  test("brings a machine back as it was, any number of times", async (driver, host) => {
    const spec = await host.spec();
    const vm = await driver.boot(spec);
    assert(await answers(spec), "the guest answers");
    assertEquals(await vm.writtenPages().catch(() => "runs"), undefined);
    await vm.pause();
    const state = `${host.runRoot}/state`;
    await Deno.writeFile(state, await vm.saveState());
    await vm.kill();
    const base = await Deno.readFile(spec.memoryFile);
    const from = { memoryBase: spec.memoryFile, state };
    const saved: { first: number; bytes: Uint8Array<ArrayBuffer> }[] = [];
    let next = await host.successor(spec, from);
    for (let round = 0; round < 2; round++) {
      const back = await driver.restore({
        ...next,
        fill: async (memory) => {
          for (const { first, bytes } of saved.splice(0)) await memory.write(first, bytes);
        },
      });
      assertEquals(await back.running(), false);
      assertEquals(await answers(next, 500), false, "its vCPUs stand still");
      await back.resume();
      assert(await answers(next), "it answers");
      await back.pause();
      // It goes on after a first snapshot: what a later one has is all that was written since the base.
      await back.saveState();
      const earlier = await back.writtenPages() ?? [];
      await back.resume();
      assert(await answers(next), "it goes on");
      await back.pause();
      const runs = await back.writtenPages() ?? [];
      assert(runs.length > 0 && runs.every((run) => run.count > 0));
      assert(countPages(runs) >= countPages(earlier), "nothing is taken back");
      {
        using memory = await back.memory();
        assertEquals(memory.pages, spec.memoryMb * 256);
        for (const { first, count } of runs) {
          const bytes = new Uint8Array(count * 4096);
          await memory.read(first, bytes);
          saved.push({ first, bytes });
        }
        assertThrows(() => memory.read(memory.pages, new Uint8Array(4096)), RangeError);
      }
      await Deno.writeFile(state, await back.saveState());
      await back.kill();
      if (round === 0) next = await host.successor(next, from);
    }
    assertEquals(await Deno.readFile(spec.memoryFile), base, "C-6: the base is never written");
    await Deno.writeFile(state, text.encode("not a device state"));
    const failed = await driver.restore(await host.successor(next, from)).catch((e) => e);
    assert(hasCode(failed, "internal"));
    assertEquals(await processesWith(host.runRoot), []);
  });

  test(
    "continues on another layer of the disk, and takes layers into one",
    async (driver, host) => {
      const spec = await host.spec();
      const vm = await driver.boot(spec);
      try {
        assert(await answers(spec), "the guest answers");
        const { layers } = vm;
        if (layers === undefined) return;
        assertEquals(await layers.topLayer(), spec.disk.layers.at(-1));
        let disk = spec.disk;
        for (let n = 0; n < 2; n++) {
          disk = await host.addLayer({ ...spec, disk });
          await layers.switchTo(disk);
          assertEquals(await layers.topLayer(), disk.layers.at(-1));
        }
        assert(await answers(spec), "the guest goes on");
        await layers.flatten(disk.layers[1] ?? "");
        const info = await runCommand(["qemu-img", "info", "-U", "--output=json", disk.path]);
        assertEquals(JSON.parse(info.stdout)["backing-filename"], disk.layers[1]);
        assert(await answers(spec), "the guest goes on");
      } finally {
        await vm.kill();
      }
    },
  );

  test("takes over the machine of a dead agent, running or not", async (driver, host) => {
    const spec = await host.spec();
    const { agent, pid } = await subject.bootElsewhere(host, spec);
    assert(await answers(spec), "the guest answers");
    agent.kill("SIGKILL");
    await agent.status;
    const left = { ...spec, memoryBase: spec.memoryFile, booted: true };
    const vm = await driver.adopt(left);
    assertEquals(vm?.pid, pid);
    if (vm === undefined) throw new Error("The machine was not taken over");
    assertEquals(await vm.running(), true);
    await vm.pause();
    assertEquals(await answers(spec, 500), false);
    await vm.resume();
    assert(await answers(spec), "it answers");
    Deno.kill(pid, "SIGKILL");
    await vm.exited;
    assertEquals(await driver.adopt(left), undefined);
    assertEquals(await processesWith(spec.runDir), []);
  });
}
