/** Collapsing real qcow2 layers and memory diffs: the same bytes in fewer files. */
import { assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { runCommand, WrennError } from "@wrenn/common";
import fc from "fast-check";
import { Buffer } from "node:buffer";
import { join } from "node:path";
import { GOLDEN_LAYERS, MAX_CHAIN, needsCollapse } from "../core/snapshot_chain.ts";
import { Qcow2Store } from "../rootfs/qcow2_store.ts";
import { applyDiffs } from "./apply_diffs.ts";
import type { MemoryFile, Snapshot } from "./manifest.ts";
import { SnapshotStore } from "./store.ts";
import { type ModelDiff, modelDiff, ModelMemory, writeModelDiff } from "./testing/model.ts";
import { contentIn, FILES, namesIn, rewrite, withRoot } from "./testing/store_fixture.ts";

/** Merging touches the snapshot's folder alone. */
const QCOW2 = new Qcow2Store({ dataDir: "/nonexistent" });
const MIB = 1 << 20;
const CLUSTER = 65536;
const CLUSTERS = 16 * MIB / CLUSTER;
const PAGES = 200;

/** What a layer does: writes of a byte, zeroes and discards, by clusters or parts of one. */
interface Write {
  readonly verb: "write" | "zero" | "discard";
  readonly at: number;
  readonly length: number;
  readonly fill: number;
}
const write: fc.Arbitrary<Write> = fc.record({
  verb: fc.constantFrom("write", "write", "zero", "discard"),
  at: fc.nat(CLUSTERS * 4 - 13).map((quarter) => quarter * CLUSTER / 4),
  length: fc.integer({ min: 1, max: 12 }).map((quarters) => quarters * CLUSTER / 4),
  fill: fc.integer({ min: 1, max: 255 }),
});
const layer: fc.Arbitrary<Write[]> = fc.array(write, { maxLength: 5 });

/** A layer's commands for `qemu-io`. */
function commandsOf(writes: readonly Write[]): string[] {
  return writes.flatMap(({ verb, at, length, fill }) => {
    const command = { write: `write -P ${fill}`, zero: "write -z", discard: "discard" }[verb];
    return ["-c", `${command} ${at} ${length}`];
  });
}

/** A snapshot with these layers, the golden snapshot's first, and these diffs over zeroes. */
async function snapshotOf(
  store: SnapshotStore,
  layers: readonly (readonly Write[])[],
  diffs: readonly ModelDiff[],
): Promise<Snapshot> {
  await using draft = await store.draft();
  const { dir } = draft;
  await Deno.writeFile(join(dir, FILES.state), new Uint8Array(100).fill(1));
  const image = new Uint8Array(8 * MIB).fill(0xee);
  await Deno.writeFile(join(dir, FILES.image), image);
  const disk: string[] = [FILES.image];
  for (const [i, writes] of layers.entries()) {
    const name = `layer-${i.toString(16).padStart(16, "0")}.qcow2`;
    const below = disk.at(-1) ?? "";
    const format = below.endsWith(".ext4") ? "raw" : "qcow2";
    const create = 'cd "$1" && exec qemu-img create -q -f qcow2 -b "$2" -F "$3" "$4" 16M';
    await runCommand(["sh", "-euc", create, "sh", dir, below, format, name]);
    if (writes.length > 0) {
      await runCommand([
        "qemu-io",
        "-f",
        "qcow2",
        "-d",
        "unmap",
        ...commandsOf(writes),
        join(dir, name),
      ]);
    }
    disk.push(name);
  }
  await Deno.writeFile(join(dir, FILES.base), new Uint8Array(PAGES * 4096));
  const memory: MemoryFile[] = [
    { file: FILES.base, bytes: PAGES * 4096, digest: "", kind: "base", pages: PAGES },
  ];
  for (const [i, diff] of diffs.entries()) {
    const file = `memory-${i.toString(16).padStart(16, "0")}.diff`;
    const digest = await writeModelDiff(join(dir, file), diff);
    const { size } = await Deno.stat(join(dir, file));
    memory.push({ file, bytes: size, digest, kind: "diff", pages: diff.size });
  }
  return await draft.commit({ ...await contentIn(dir, memory), disk });
}

/** The memory that a snapshot restores to. */
async function memoryOf({ dir, manifest }: Snapshot): Promise<Uint8Array> {
  const guest = new ModelMemory(PAGES);
  const [base, ...diffs] = manifest.memory;
  guest.bytes.set(await Deno.readFile(join(dir, base?.file ?? "")));
  await applyDiffs(diffs.map(({ file }) => join(dir, file)), guest);
  return guest.bytes;
}

function topOf({ dir, manifest }: Snapshot): string {
  return join(dir, manifest.disk.at(-1)?.file ?? "");
}

Deno.test("a collapsed snapshot has the same disk and memory, byte by byte", async () => {
  const property = fc.asyncProperty(
    fc.array(layer, { minLength: 3, maxLength: MAX_CHAIN + 2 }),
    fc.array(modelDiff(PAGES), { minLength: 1, maxLength: MAX_CHAIN + 1 }),
    async (layers, diffs) => {
      await withRoot(async (root) => {
        const store = new SnapshotStore({ root, reserveMb: 0 });
        const long = await snapshotOf(store, layers, diffs);
        const model = new ModelMemory(PAGES);
        for (const diff of diffs) model.apply(diff);
        const flat = join(root, "..", "flat.raw");
        await runCommand(["qemu-img", "convert", "-O", "raw", topOf(long), flat]);

        const short = await store.collapse(long, "snap-00000000000000ff", QCOW2);
        assertEquals(needsCollapse(short.manifest), false);
        assertEquals(short.manifest.disk.length, GOLDEN_LAYERS + 1);
        assertEquals(
          short.manifest.disk.slice(0, GOLDEN_LAYERS),
          long.manifest.disk.slice(0, GOLDEN_LAYERS),
        );
        assertEquals(short.manifest.memory.map(({ kind }) => kind), ["base", "diff"]);
        assertEquals(short.manifest.memory[0], long.manifest.memory[0]);
        const pages = new Set(diffs.flatMap((diff) => [...diff.keys()]));
        assertEquals(short.manifest.memory[1]?.pages, pages.size);
        assertEquals(short.manifest.generation, long.manifest.generation);
        const { state, memory, disk } = short.manifest;
        const named = [state, ...memory, ...disk].map(({ file }) => file);
        assertEquals(await namesIn(short.dir), [...named, "manifest.json"].sort());

        await store.verify(long);
        await store.remove(long.id);
        for (const each of [store, new SnapshotStore({ root, reserveMb: 0 })]) {
          await each.verify(short);
        }
        await runCommand(["qemu-img", "compare", "-q", topOf(short), flat]);
        await runCommand(["qemu-img", "check", "-q", topOf(short)]);
        assertEquals(Buffer.compare(await memoryOf(short), model.bytes), 0);
      });
    },
  );
  await fc.assert(property, { numRuns: 8 });
});

Deno.test("a chain that is as short as it can be is linked, and the origin is untouched", async () => {
  await withRoot(async (root) => {
    const store = new SnapshotStore({ root, reserveMb: 0 });
    const fill: Write = { verb: "write", at: 0, length: CLUSTER, fill: 7 };
    const origin = await snapshotOf(store, [[fill], [{ ...fill, fill: 8 }]], []);
    const copy = await store.collapse(origin, "snap-00000000000000ff", QCOW2);
    assertEquals([copy.manifest.disk, copy.manifest.memory], [
      origin.manifest.disk,
      origin.manifest.memory,
    ]);
    await store.verify(origin);
    await store.verify(copy);
  });
});

Deno.test("collapse() of a damaged snapshot fails and leaves nothing", async () => {
  await withRoot(async (root) => {
    const store = new SnapshotStore({ root, reserveMb: 0 });
    const fill: Write = { verb: "write", at: 0, length: CLUSTER, fill: 7 };
    const diffs = [new Map([[1, 1]]), new Map([[2, 2]])];
    const origin = await snapshotOf(store, [[], [fill], [fill], [fill]], diffs);
    const id = "snap-00000000000000ff";
    // A diff and a layer that are merged: cut short, and with a byte flipped in the guest's data.
    for (const file of [origin.manifest.memory[1], origin.manifest.disk[3]]) {
      const path = join(origin.dir, file?.file ?? "");
      const whole = await Deno.readFile(path);
      for (
        const [length, at] of [[1000, 0], [whole.length, 99], [
          whole.length,
          whole.length - 30,
        ]] as const
      ) {
        const bytes = whole.slice(0, length);
        bytes[at] = (bytes[at] ?? 0) ^ 4;
        await rewrite(path, bytes);
        const error = await assertRejects(() => store.collapse(origin, id, QCOW2), WrennError);
        assertEquals(error.code, "snapshot_corrupt");
        assertStringIncludes(error.message, file?.file ?? "");
        assertEquals(await namesIn(root), [origin.id]);
      }
      await rewrite(path, whole);
    }
    assertEquals((await store.collapse(origin, id, QCOW2)).id, id);
  });
});
