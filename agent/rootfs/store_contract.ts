/** What every {@linkcode RootfsStore} must do, as tests that run against any of them. */
import { type ErrorCode, hasCode } from "@wrenn/common";
import { assert, assertEquals, assertRejects } from "@std/assert";
import { Buffer } from "node:buffer";
import { dirname } from "node:path";
import type { BlockDevice, RootfsStore } from "./store.ts";

/** A store with fresh folders and the means to put templates and data into it. */
export interface StoreFixture extends AsyncDisposable {
  /** The store under test. */
  readonly store: RootfsStore;
  /** A second store over the same folders, as after a restart. */
  reopen(): RootfsStore;
  /** Installs, or replaces, a template whose image is filled with one byte value. */
  addTemplate(name: string, sizeMb: number, fill: number): Promise<void>;
  /** Content of a template's base image. */
  baseBytes(name: string): Promise<Uint8Array>;
  /** Writes a byte value into a disk, as a guest would. */
  write(disk: BlockDevice, offset: number, length: number, fill: number): Promise<void>;
  /** True when the range of a disk holds that byte value alone. */
  holds(disk: BlockDevice, offset: number, length: number, fill: number): Promise<boolean>;
  /** Puts an added layer into force where the disk's path alone does not. */
  putInForce(next: BlockDevice): Promise<void>;
  /** Whose the file of a layer is that a VM's user writes through its VMM. */
  layerOwner(uid: number): number;
  /** Fails when the disk's format is damaged. */
  check(disk: BlockDevice): Promise<void>;
  /** A new folder beside the disks, as a snapshot's. */
  snapshotFolder(): Promise<string>;
  /** Everything under the store's folders, and what it has on the host beside, to compare. */
  picture(): Promise<string[]>;
}

const MIB = 1024 * 1024;
const A = "sb-0000000a";
const B = "sb-0000000b";

/** Makes a fixture. */
export type OpenFixture = () => Promise<StoreFixture>;

/** Fails unless `work` fails with this code. */
export async function assertCode(code: ErrorCode, work: () => Promise<unknown>): Promise<void> {
  const error = await assertRejects(work);
  assert(hasCode(error, code), `Expected ${code}, got ${error}`);
}

/** Registers tests that each get a fixture of their own; with `ignore` they are not run. */
export function storeTests(
  kind: string,
  open: OpenFixture,
  { ignore = false }: { ignore?: boolean } = {},
): (name: string, fn: (f: StoreFixture) => Promise<void>) => void {
  return (name, fn) =>
    Deno.test({
      name: `${kind}: ${name}`,
      ignore,
      fn: async () => {
        await using fixture = await open();
        await fn(fixture);
      },
    });
}

/** Registers the tests of the contract for one kind of store. */
export function storeContract(
  kind: string,
  open: OpenFixture,
  options: { ignore?: boolean } = {},
): void {
  const test = storeTests(kind, open, options);

  test("acquireBase() counts references, releaseBase() gives one back once", async (f) => {
    await f.addTemplate("base", 4, 1);
    const [first, second] = [await f.store.acquireBase("base"), await f.store.acquireBase("base")];
    assertEquals([first.template, first.sizeMb, f.store.references("base")], ["base", 4, 2]);
    f.store.releaseBase(first);
    f.store.releaseBase(first);
    assertEquals(f.store.references("base"), 1);
    f.store.releaseBase(second);
    assertEquals([f.store.references("base"), f.store.references("other")], [0, 0]);
  });

  test("acquireBase() refuses unknown and malformed names and takes no reference", async (f) => {
    for (const name of ["missing", "", "../base", "a/b", "Base", "base.ext4", "-a", "a\0b"]) {
      await assertCode("template_not_found", () => f.store.acquireBase(name));
      assertEquals(f.store.references(name), 0);
    }
  });

  test("overlay() shows the base and keeps writes to itself", async (f) => {
    await f.addTemplate("base", 4, 1);
    const before = await f.baseBytes("base");
    const base = await f.store.acquireBase("base");
    const [a, b] = [await f.store.overlay(A, base, 0), await f.store.overlay(B, base, 16)];
    assertEquals([a.sizeMb, b.sizeMb], [4, 16]);
    assert(await f.holds(a, 0, 4 * MIB, 1));
    await f.write(a, 4096, 2 * MIB, 7);
    await f.write(b, 15 * MIB, MIB, 9);
    assert(await f.holds(a, 4096, 2 * MIB, 7) && await f.holds(a, 0, 4096, 1));
    assert(await f.holds(b, 0, 4 * MIB, 1), "one sandbox's writes are not in another's disk");
    assert(await f.holds(b, 4 * MIB, 11 * MIB, 0) && await f.holds(b, 15 * MIB, MIB, 9));
    await f.check(a);
    await f.check(b);
    assertEquals(await f.baseBytes("base"), before, "the base is untouched");
    assert(await f.store.usedMb(A) >= 2 && await f.store.usedMb(A) < 4);
  });

  test("overlay() keeps its content when the template is replaced", async (f) => {
    await f.addTemplate("base", 4, 1);
    const disk = await f.store.overlay(A, await f.store.acquireBase("base"), 0);
    await f.addTemplate("base", 8, 2);
    assert(await f.holds(disk, 0, 4 * MIB, 1));
    const next = await f.store.overlay(B, await f.store.acquireBase("base"), 0);
    assert(next.sizeMb === 8 && await f.holds(next, 0, 8 * MIB, 2));
  });

  test("overlay() refuses wrong sizes, wrong ids and a second disk, and leaves nothing", async (f) => {
    await f.addTemplate("base", 4, 1);
    const base = await f.store.acquireBase("base");
    await f.store.overlay(B, base, 0);
    const before = await f.picture();
    for (const size of [3, -1, 4.5, NaN, 2 ** 40]) {
      await assertCode("invalid_request", () => f.store.overlay(A, base, size));
    }
    for (
      const id of [
        "",
        "sb-1",
        "../../x",
        "sb-0000000G",
        "sb-0000000a/..",
        "sb-0000000a\0",
        "warm-1",
      ]
    ) {
      await assertCode("invalid_request", () => f.store.overlay(id, base, 0));
      await assertCode("invalid_request", () => f.store.remove(id));
      await assertCode("invalid_request", () => f.store.usedMb(id));
    }
    await assertCode("already_exists", () => f.store.overlay(B, base, 0));
    assertEquals(await f.picture(), before);
  });

  test("overlay() refuses a base that is not held", async (f) => {
    await f.addTemplate("base", 4, 1);
    const base = await f.store.acquireBase("base");
    f.store.releaseBase(base);
    await assertRejects(() => f.store.overlay(A, base, 0), Error, "not held");
  });

  test("remove() deletes everything of a sandbox, twice if asked", async (f) => {
    await f.addTemplate("base", 4, 1);
    const base = await f.store.acquireBase("base");
    const before = await f.picture();
    await f.store.overlay(A, base, 0);
    assert((await f.picture()).length > before.length);
    await f.store.remove(A);
    await f.store.remove(A);
    assertEquals(await f.picture(), before);
    await assertCode("sandbox_not_found", () => f.store.usedMb(A));
    await f.store.overlay(A, base, 0);
  });

  test("sweep() after a restart deletes every disk but those to keep", async (f) => {
    await f.addTemplate("base", 4, 1);
    const base = await f.store.acquireBase("base");
    const kept = await f.store.overlay(A, base, 0);
    await f.write(kept, 0, 4096, 5);
    const before = await f.picture();
    await f.store.overlay(B, base, 0);
    const next = f.reopen();
    assertEquals(await next.sweep(new Set([A])), 1);
    assertEquals(await f.picture(), before);
    assert(await f.holds(kept, 0, 4096, 5));
    assertEquals([await next.sweep(new Set()), await next.sweep(new Set())], [1, 0]);
  });

  test("exportImage() writes what the disk holds, with holes, as an image for a template", async (f) => {
    await f.addTemplate("base", 4, 1);
    const disk = await f.store.overlay(A, await f.store.acquireBase("base"), 64);
    await f.write(disk, MIB, 65536, 7);
    await f.write(disk, 40 * MIB, 65536, 8);
    const before = await f.picture();
    const target = `${await f.snapshotFolder()}/new.ext4`;
    await f.store.exportImage(disk, target);
    const expected = new Uint8Array(64 * MIB);
    expected.fill(1, 0, 4 * MIB).fill(7, MIB, MIB + 65536).fill(8, 40 * MIB, 40 * MIB + 65536);
    assertEquals(Buffer.compare(await Deno.readFile(target), expected), 0);
    assert(((await Deno.stat(target)).blocks ?? 0) * 512 < 5 * MIB, "zeros are holes");
    await assertCode("already_exists", () => f.store.exportImage(disk, target));
    const lost = `${target}/none/new.ext4`;
    await assertRejects(() => f.store.exportImage(disk, lost));
    await Deno.remove(dirname(target), { recursive: true });
    assertEquals(await f.picture(), before);
  });

  test("templates() lists usable templates by name", async (f) => {
    assertEquals(await f.store.templates(), []);
    await f.addTemplate("minimal", 2, 1);
    await f.addTemplate("base", 4, 1);
    const list = await f.store.templates();
    assertEquals(list.map((t) => [t.template, t.sizeMb]), [["base", 4], ["minimal", 2]]);
    assertEquals(f.store.references("base"), 0, "a listing holds nothing");
  });
}
