import { assertEquals } from "@std/assert";
import { join } from "node:path";
import { z } from "zod";
import { publish, readPublished, sweepTemporary, temporaryName } from "./publish.ts";

const schema: z.ZodType<{ id: number }> = z.object({ id: z.number() });

async function inFolder(test: (root: string) => Promise<void>): Promise<void> {
  const root = await Deno.makeTempDir({ prefix: "wrenn-publish-" });
  try {
    await test(root);
  } finally {
    await Deno.remove(root, { recursive: true });
  }
}

/** Builds `text` and publishes it. */
async function put(root: string, id: number, text: string): Promise<string> {
  const source = join(root, `built-${id}`);
  await Deno.writeTextFile(source, text);
  await Deno.utime(source, id, id);
  const target = join(root, "data/x.ext4");
  await publish([{ source, target }], { target: join(root, "data/x.json"), value: { id } });
  return target;
}

const read = (root: string) =>
  readPublished(join(root, "data/x.json"), schema, [join(root, "data/x.ext4")]);
const names = async (folder: string) =>
  (await Array.fromAsync(Deno.readDir(folder))).map((e) => e.name).sort();

Deno.test("publish() puts file and manifest, again with the same file too", () =>
  inFolder(async (root) => {
    for (let i = 0; i < 2; i++) {
      const target = await put(root, 7, "seven");
      assertEquals(await Deno.readTextFile(target), "seven");
      assertEquals((await read(root))?.id, 7);
      assertEquals(await names(join(root, "data")), ["x.ext4", "x.json"]);
    }
  }));

Deno.test("publish() leaves an open older file as it was", () =>
  inFolder(async (root) => {
    using open = await Deno.open(await put(root, 1, "old"));
    const target = await put(root, 2, "new!");
    assertEquals(await new Response(open.readable).text(), "old");
    assertEquals(await Deno.readTextFile(target), "new!");
  }));

Deno.test("readPublished() refuses a manifest whose file was replaced or is gone", () =>
  inFolder(async (root) => {
    const target = await put(root, 1, "one");
    assertEquals((await read(root))?.id, 1);
    await Deno.utime(target, 5, 5); // as after a crash between file and manifest
    assertEquals(await read(root), undefined);
    await Deno.remove(target);
    assertEquals(await read(root), undefined);
  }));

Deno.test("readPublished() takes a torn or foreign manifest for none", () =>
  inFolder(async (root) => {
    await put(root, 1, "one");
    for (const text of ["", '{"id":1', '{"id":"1","file_times":{}}', '{"id":1}', "null"]) {
      await Deno.writeTextFile(join(root, "data/x.json"), text);
      assertEquals(await read(root), undefined);
    }
  }));

Deno.test("sweepTemporary() deletes leftovers of killed builders alone", () =>
  inFolder(async (root) => {
    await Deno.writeTextFile(join(root, "base.ext4"), "");
    await Deno.writeTextFile(temporaryName(join(root, "base.ext4")), "");
    await sweepTemporary(root);
    assertEquals(await names(root), ["base.ext4"]);
    await sweepTemporary(join(root, "none"));
  }));
