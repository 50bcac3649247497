import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { WrennError } from "@wrenn/common";
import { Qcow2Store } from "../../rootfs/qcow2_store.ts";
import type { BootSpec, RestoreSpec, SpareSpec, SpareVm } from "../driver.ts";
import { answers, filesIn, processesWith, VmHost } from "../testing/vm_host.ts";
import { QemuDriver } from "./driver.ts";

const SPARE = "spare-0123456789abcdef";
const GID = 300_000;

/** A booted machine's files, a process that waits for it, and what to bring back in it. */
async function prepared(host: VmHost): Promise<{
  driver: QemuDriver;
  store: Qcow2Store;
  booted: BootSpec;
  spec: SpareSpec;
  restore: () => Promise<RestoreSpec>;
}> {
  const kernels = `${host.dataDir}/kernels`;
  const driver = await QemuDriver.open({
    ...{ dataDir: host.runRoot, kernel: `${kernels}/vmlinux`, initrd: `${kernels}/initrd.img` },
  });
  const booted = await host.spec();
  const vm = await driver.boot(booted);
  assert(await answers(booted), "the guest answers");
  await vm.pause();
  const state = `${host.runRoot}/state`;
  await Deno.writeFile(state, await vm.saveState());
  await vm.kill();
  const store = new Qcow2Store({ dataDir: host.dataDir });
  const next = await host.successor(booted, { memoryBase: booted.memoryFile, state });
  const disk = await store.reserve(SPARE, booted.disk.sizeMb);
  const spec = { ...next, disk, gid: GID };
  const restore = async (): Promise<RestoreSpec> => {
    const frozen = await store.freeze(
      booted.disk,
      await Deno.makeTempDir({ dir: host.runRoot }),
    );
    await store.remove("sb-00000001");
    const root = { disk, uid: spec.uid, gid: GID };
    return { ...next, disk: await store.overlayOn("sb-00000001", frozen, root) };
  };
  return { driver, store, booted, spec, restore };
}

Deno.test("QemuSpare becomes a machine that goes on where it was, on a disk of its own", async () => {
  await using host = await VmHost.open();
  const { driver, store, spec, restore } = await prepared(host);
  const spare = await driver.prepare(spec);
  try {
    assertEquals(await processesWith(spec.runDir), [spare.pid]);
    const status = await Deno.readTextFile(`/proc/${spare.pid}/status`);
    assert(status.includes(`Uid:\t${Array(4).fill(spec.uid).join("\t")}\n`), status);
    assert(status.includes(`Gid:\t${Array(4).fill(GID).join("\t")}\n`), status);
    assert(status.includes("CapPrm:\t0000000000000000\n"), status);
    const order = await restore();
    const vm = await spare.restore(order);
    assertEquals([vm.pid, await vm.running()], [spare.pid, false]);
    await vm.resume();
    assert(await answers(order), "the guest answers");
    assertEquals(await vm.layers?.topLayer(), order.disk.layers.at(-1));
    const next = await store.addLayer(order.disk, spec.uid);
    await vm.layers?.switchTo(next);
    assertEquals(await vm.layers?.topLayer(), next.layers.at(-1));
    assert(await answers(order), "it goes on");
    await vm.pause();
    assert((await vm.writtenPages() ?? []).length > 0);
    assert((await vm.saveState()).length > 1000);
    assertThrows(() => spare.restore(order), Error, "already");
  } finally {
    await spare.kill();
  }
  assertEquals(await processesWith(spec.runDir), []);
  assertEquals((await filesIn(spec.runDir)).filter((name) => !name.endsWith(".log")), []);
});

Deno.test("QemuSpare that is not needed, or that ends, leaves nothing", async () => {
  await using host = await VmHost.open();
  const { driver, store, spec, restore } = await prepared(host);
  const spares: SpareVm[] = [];
  const prepare = async (): Promise<SpareVm> => {
    await store.remove(SPARE);
    await store.reserve(SPARE, spec.disk.sizeMb);
    const spare = await driver.prepare(spec);
    spares.push(spare);
    return spare;
  };
  const nothingLeft = async (): Promise<void> => {
    assertEquals(await processesWith(host.runRoot), []);
    assertEquals((await filesIn(spec.runDir)).filter((name) => !name.endsWith(".log")), []);
  };
  try {
    const unused = await prepare();
    await Promise.all([unused.kill(), unused.kill()]);
    await nothingLeft();

    const killed = await prepare();
    Deno.kill(killed.pid, "SIGKILL");
    await killed.ended;
    await nothingLeft();
    const order = await restore();
    await assertRejects(() => killed.restore(order), WrennError, "Cannot start");

    const broken = await prepare();
    const damaged = await restore();
    await Deno.writeTextFile(damaged.state, "not a device state");
    await assertRejects(() => broken.restore(damaged), WrennError, "Cannot start");
    await nothingLeft();

    const left = await prepare();
    assertEquals(await driver.sweep(host.runRoot, new Set()), 1, "as a dead agent left it");
    await left.ended;
    await nothingLeft();
  } finally {
    await Promise.all(spares.map((spare) => spare.kill()));
    await store.remove("sb-00000001");
    await store.remove(SPARE);
  }
});
