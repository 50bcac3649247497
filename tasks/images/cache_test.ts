import { assertEquals, assertRejects } from "@std/assert";
import { join } from "node:path";
import { BuildCache, entryName } from "./cache.ts";
import { contentKey } from "./core/content_key.ts";

const silent = (): void => {};
const KEY = contentKey({ a: 1 });

async function inFolder(test: (root: string) => Promise<void>): Promise<void> {
  const root = await Deno.makeTempDir({ prefix: "wrenn-cache-" });
  try {
    await test(root);
  } finally {
    await Deno.remove(root, { recursive: true });
  }
}

function write(text: string, log: string[] = []): (folder: string) => Promise<void> {
  return async (folder) => {
    log.push(text);
    await Deno.writeTextFile(join(folder, "file"), text);
  };
}

Deno.test("entry() builds once, and again when asked for a fresh one", () =>
  inFolder(async (root) => {
    using cache = await BuildCache.open(root, silent, undefined);
    const log: string[] = [];
    const first = await cache.entry({ kind: "k", key: KEY, build: write("one", log) });
    assertEquals(first, join(root, entryName("k", KEY)));
    assertEquals(await cache.entry({ kind: "k", key: KEY, build: write("two", log) }), first);
    assertEquals(await Deno.readTextFile(join(first, "file")), "one");
    await cache.entry({ kind: "k", key: KEY, fresh: true, build: write("three", log) });
    assertEquals(await Deno.readTextFile(join(first, "file")), "three");
    assertEquals(log, ["one", "three"]);
  }));

Deno.test("entry() leaves no name and no folder behind when a build fails", () =>
  inFolder(async (root) => {
    using cache = await BuildCache.open(root, silent, undefined);
    const build = async (folder: string): Promise<void> => {
      await write("half")(folder);
      throw new Error("Cannot go on");
    };
    await assertRejects(() => cache.entry({ kind: "k", key: KEY, build }), Error, "Cannot go on");
    assertEquals((await Array.fromAsync(Deno.readDir(root))).map((e) => e.name), ["lock"]);
  }));

Deno.test("open() clears what a killed builder left and nothing else", () =>
  inFolder(async (root) => {
    await Deno.mkdir(join(root, "tmp-dead/entry"), { recursive: true });
    await Deno.mkdir(join(root, "k-whole"));
    using _cache = await BuildCache.open(root, silent, undefined);
    const names = (await Array.fromAsync(Deno.readDir(root))).map((e) => e.name).sort();
    assertEquals(names, ["k-whole", "lock"]);
  }));

Deno.test("open() waits for another builder and tells so", () =>
  inFolder(async (root) => {
    const lines: string[] = [];
    const first = await BuildCache.open(root, silent, undefined);
    let opened = false;
    const told = Promise.withResolvers<void>();
    const second = BuildCache.open(root, (line) => {
      lines.push(line);
      told.resolve();
    }, undefined).then((cache) => {
      opened = true;
      return cache;
    });
    await told.promise;
    assertEquals(opened, false);
    first[Symbol.dispose]();
    (await second)[Symbol.dispose]();
    assertEquals(lines, ["Waiting for another build to finish"]);
  }));

Deno.test("open() stops waiting when it is cancelled", () =>
  inFolder(async (root) => {
    using _held = await BuildCache.open(root, silent, undefined);
    const cancelled = AbortSignal.abort(new Error("Cancelled"));
    await assertRejects(() => BuildCache.open(root, silent, cancelled), Error, "Cancelled");
  }));

Deno.test("keep() deletes the builds of one kind that were used longest ago", () =>
  inFolder(async (root) => {
    using cache = await BuildCache.open(root, silent, undefined);
    const keys = ["a", "b", "c"].map((name) => contentKey({ name }));
    for (const [i, key] of keys.entries()) {
      const folder = await cache.entry({ kind: "image-x", key, build: write("") });
      await Deno.utime(folder, i, i);
    }
    const other = await cache.entry({ kind: "image-x-y", key: KEY, build: write("") });
    await Deno.utime(other, 0, 0);
    await cache.keep("image-x", 2);
    const names = (await Array.fromAsync(Deno.readDir(root))).map((e) => e.name).sort();
    const [, b = "", c = ""] = keys;
    const left = [entryName("image-x", b), entryName("image-x", c), entryName("image-x-y", KEY)];
    assertEquals(names, [...left, "lock"].sort());
  }));
