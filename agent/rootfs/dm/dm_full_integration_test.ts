import { delay, runCommand } from "@wrenn/common";
import { assert, assertEquals, assertRejects } from "@std/assert";
import { newLayerName } from "../disk_files.ts";
import type { BlockDevice } from "../store.ts";
import { assertCode } from "../store_contract.ts";
import { type DmFixture, dmTest, dropCache, fixtureIn, openDm } from "./testing/dm_fixture.ts";
import { watchSpace } from "./space_watch.ts";

const MIB = 1024 * 1024;
const A = "sb-0000000a";
const B = "sb-0000000b";

async function disk(f: DmFixture, sizeMb: number, id: string = A): Promise<BlockDevice> {
  await f.addTemplate("base", 4, 1);
  const base = await f.store.acquireBase("base");
  const made = await f.store.overlay(id, base, sizeMb);
  f.store.releaseBase(base);
  return made;
}

/** Writes MiB after MiB until that fails; answers how many are confirmed. */
async function fill(f: DmFixture, made: BlockDevice, first: number = 0): Promise<number> {
  for (let mib = first; mib < made.sizeMb; mib++) {
    try {
      await f.write(made, mib * MIB, MIB, 100 + mib % 100);
    } catch {
      return mib;
    }
  }
  return made.sizeMb;
}

/** A fixture on a file system of its own. */
async function openSmall(sizeMb: number): Promise<DmFixture> {
  const image = await Deno.makeTempFile({ prefix: "wrenn-dm-fs-" });
  await Deno.truncate(image, sizeMb * MIB);
  await runCommand(["mke2fs", "-q", "-F", "-t", "ext4", "-m", "0", image]);
  const dataDir = await Deno.makeTempDir({ prefix: "wrenn-dm-" });
  await runCommand(["mount", "-o", "loop", image, dataDir]);
  await Deno.mkdir(`${dataDir}/sandboxes`, { mode: 0o711 });
  return fixtureIn(dataDir, { reserveMb: 0 }, async () => {
    // Files under loop devices are closed a moment after these are gone.
    for (let tries = 0;; tries++) {
      const { code, stderr } = await runCommand(["umount", dataDir], { allowFailure: true });
      if (code === 0) break;
      if (tries > 20) throw new Error(stderr);
      await delay(100);
    }
    await Deno.remove(dataDir);
    await Deno.remove(image);
  });
}

dmTest("a disk can be written from end to end, twice", async () => {
  await using f = await openDm();
  const made = await disk(f, 24);
  assertEquals(await fill(f, made), 24);
  assertEquals(await fill(f, made), 24);
  await dropCache(made);
  for (let mib = 0; mib < 24; mib++) assert(await f.holds(made, mib * MIB, MIB, 100 + mib));
  assertEquals(await f.store.health.state(A), "ok");
});

dmTest(
  "a disk that has less room than it is large becomes full, is read on, and says no_space",
  async () => {
    await using f = await openDm({ cowMb: 4 });
    const made = await disk(f, 32);
    assertEquals(await f.store.health.state(A), "ok");
    const whole = await fill(f, made);
    assert(whole >= 2 && whole < 4, `${whole} MiB`);
    assertEquals(await f.store.health.state(A), "full");
    assert(await f.store.usedMb(A) <= 4);
    await dropCache(made);
    for (let mib = 0; mib < whole; mib++) assert(await f.holds(made, mib * MIB, MIB, 100 + mib));
    assert(await f.holds(made, 5 * MIB, 27 * MIB, 0));
    await assertRejects(() => f.write(made, 0, 4096, 1));
    await assertCode("no_space", () => f.store.addLayer(made, 0));
    await f.store.exportImage(made, `${f.dataDir}/image`);
    const frozen = await f.store.freeze(made, await f.snapshotFolder());
    const copy = await f.store.overlayOn(B, frozen);
    for (let mib = 0; mib < whole; mib++) assert(await f.holds(copy, mib * MIB, MIB, 100 + mib));
    await f.write(copy, 0, MIB, 9);
    assertEquals([await f.store.health.state(A), await f.store.health.state(B)], ["full", "ok"]);
    await f.store.remove(A);
    await f.store.remove(B);
  },
);

dmTest(
  "a disk that a full host could not write is lost and can be mended, with all that was confirmed",
  async () => {
    await using f = await openSmall(32);
    const [made, other] = [await disk(f, 64), await disk(f, 64, B)];
    await f.write(other, 0, MIB, 5);
    const folder = await f.snapshotFolder();
    using open = await Deno.open(made.path);
    const whole = await fill(f, made);
    assert(whole > 8 && whole < 32, `${whole} MiB`);
    assertEquals([await f.store.health.state(A), await f.store.health.state(B)], ["lost", "ok"]);
    await dropCache(made);
    await assertRejects(() => f.holds(made, 0, 4096, 100));
    assert(await f.holds(other, 0, MIB, 5), "a disk that does not write is read on");
    for (
      const attempt of [
        () => f.store.addLayer(made, 0),
        () => f.store.freeze(made, folder),
        () => f.store.exportImage(made, `${f.dataDir}/image`),
        () => f.store.addLayer(other, 0),
        () => f.store.overlayOn("warm-0000000000000001", { ...made }),
      ]
    ) await assertCode("no_space", attempt);
    await assertCode("no_space", () => f.reopen({ reserveMb: 4 }).health.mend(A));

    await f.store.remove(B);
    await Deno.remove(`${f.dataDir}/images`, { recursive: true });
    assertEquals(await f.store.health.mendAll(), [A]);
    assertEquals(await f.store.health.state(A), "ok");
    for (let mib = 0; mib < whole; mib++) {
      assert(await f.holds(made, mib * MIB, MIB, 100 + mib), `MiB ${mib} of ${whole}`);
    }
    await open.read(new Uint8Array(4096));
    await f.write(made, 0, MIB, 77);
    assert(await f.holds(made, 0, MIB, 77));
  },
);

dmTest("a lost disk that is not open is mended when it comes up", async () => {
  await using f = await openSmall(24);
  const made = await disk(f, 64);
  const whole = await fill(f, made);
  assertEquals(await f.store.health.state(A), "lost");
  await Deno.remove(`${f.dataDir}/images`, { recursive: true });
  await Deno.rename(`${f.dataDir}/sandboxes`, `${f.dataDir}/aside`);
  await f.reopen().sweep(new Set());
  await Deno.rename(`${f.dataDir}/aside`, `${f.dataDir}/sandboxes`);
  assertEquals(await f.store.health.state(A), "lost");
  const found = await f.reopen().find(A);
  assertEquals([found, await f.store.health.state(A)], [made, "ok"]);
  for (let mib = 0; mib < whole; mib++) assert(await f.holds(found, mib * MIB, MIB, 100 + mib));
});

dmTest("watchSpace() lets writers wait before the host is full, and nothing is lost", async () => {
  await using f = await openSmall(64);
  const made = await disk(f, 128);
  const filler = `${f.dataDir}/filler`;
  await Deno.writeFile(filler, new Uint8Array(20 * MIB));
  const end = new AbortController();
  const watching = watchSpace({ health: f.store.health, reserveMb: 24, signal: end.signal });
  let written = 0;
  const writing = (async () => {
    for (; written < 28; written++) await f.write(made, written * MIB, MIB, 100 + written);
  })();
  try {
    for (let before = -1; written !== before;) {
      before = written;
      await delay(2000);
    }
    assert(written < 28, "it waits");
    const free = await f.store.health.freeMb();
    assert(free > 1 && free < 13, `${free} MiB are left`);
    assertEquals(await f.store.health.state(A), "ok");
    await assertCode("no_space", () => f.reopen({ reserveMb: 24 }).addLayer(made, 0));
    const next = { ...made, layers: [...made.layers, newLayerName("cow")] };
    await assertCode("no_space", () => f.store.switchTo(next, undefined));
    await Deno.remove(filler);
    await writing;
  } finally {
    // Lets go whoever waits.
    end.abort();
    await watching;
  }
  await dropCache(made);
  for (let mib = 0; mib < 28; mib++) assert(await f.holds(made, mib * MIB, MIB, 100 + mib));
});

dmTest("abandon() lets a process be killed whose writes wait", async () => {
  await using f = await openDm();
  const made = await disk(f, 8);
  await f.store.health.hold(true);
  const writer = new Deno.Command("dd", {
    args: ["if=/dev/zero", `of=${made.path}`, "bs=1M", "count=1", "oflag=direct"],
    stderr: "null",
  }).spawn();
  const ended = writer.status.then(() => true);
  await delay(500);
  writer.kill("SIGKILL");
  assertEquals(await Promise.race([ended, delay(500).then(() => false)]), false);
  await f.store.health.abandon(A);
  assert(await ended);
  const found = await f.store.find(A);
  assert(await f.holds(found, 0, 4 * MIB, 1), "the disk itself is whole");
});
