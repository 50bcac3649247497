import { assertEquals, assertRejects } from "@std/assert";
import { FakeServer } from "../testing/fake_server.ts";
import { InvalidRequestError, NoSpaceError, NotFoundError, Sandbox } from "../mod.ts";

Deno.test("files.write() takes every kind of content and read() gives every format", async () => {
  await using server = new FakeServer();
  await using sandbox = await Sandbox.create(server.options);
  const { files } = sandbox;
  const bytes = new TextEncoder().encode("café");
  for (
    const content of ["café", bytes, bytes.buffer, new Blob([bytes]), new Blob([bytes]).stream()]
  ) {
    assertEquals(await files.write("/a b?&#%.txt", content), { path: "/a b?&#%.txt", size: 5 });
    assertEquals(await files.read("/a b?&#%.txt"), "café");
  }
  assertEquals(await files.read("/a b?&#%.txt", { format: "bytes" }), bytes);
  const stream = await files.read("/a b?&#%.txt", { format: "stream" });
  assertEquals(await new Response(stream).text(), "café");
  assertEquals(await files.read("/a b?&#%.txt", { offset: 1, length: 2 }), "af");
  await files.write("/empty", "");
  assertEquals(await files.read("/empty"), "");
  assertEquals(
    (await (await files.read("/empty", { format: "stream" })).getReader().read()).done,
    true,
  );
});

Deno.test("files.read() of nothing and of a folder throws", async () => {
  await using server = new FakeServer();
  await using sandbox = await Sandbox.create(server.options);
  const error = await assertRejects(() => sandbox.files.read("/none"), NotFoundError);
  assertEquals(error.code, "file_not_found");
  await assertRejects(() => sandbox.files.read("/", { format: "stream" }), InvalidRequestError);
});

Deno.test("files.write() of a stream that the platform refuses throws its error", async () => {
  await using server = new FakeServer();
  await using sandbox = await Sandbox.create(server.options);
  const stream = new Blob([new Uint8Array(1000)]).stream();
  await assertRejects(() => sandbox.files.write("/refused", stream), NoSpaceError, "full");
});

Deno.test("files manage folders", async () => {
  await using server = new FakeServer();
  await using sandbox = await Sandbox.create(server.options);
  const { files } = sandbox;
  assertEquals(await files.makeDir("/d"), true);
  assertEquals(await files.makeDir("/d"), false);
  await files.write("/d/x", "12345");
  assertEquals(await files.exists("/d/x"), true);
  const moved = await files.move("/d/x", "/d/y");
  assertEquals([moved.path, moved.size, moved.type], ["/d/y", 5, "file"]);
  assertEquals(await files.exists("/d/x"), false);
  const entries = await files.list("/d");
  assertEquals(entries.map(({ name }) => name), ["y"]);
  assertEquals((await files.stat("/d")).type, "directory");
  assertEquals(entries[0]?.modifiedAt?.toISOString(), "2026-01-31T12:00:00.000Z");
  await files.remove("/d/y");
  await files.remove("/d/y"); // what is gone already is no error
  await assertRejects(() => files.list("/none"), NotFoundError);
});

Deno.test("files.exists() throws when it is the sandbox that is missing", async () => {
  await using server = new FakeServer();
  const sandbox = await Sandbox.create(server.options);
  await sandbox.destroy();
  await assertRejects(() => sandbox.files.exists("/x"), NotFoundError);
});

Deno.test("files.watch() tells changes from the moment it answers", async () => {
  await using server = new FakeServer();
  await using sandbox = await Sandbox.create(server.options);
  const watch = await sandbox.files.watch("/");
  await sandbox.files.write("/new.txt", "x");
  await sandbox.files.remove("/new.txt");
  const seen: string[] = [];
  for await (const { type, name } of watch) {
    seen.push(`${type} ${name}`);
    if (seen.length === 2) break;
  }
  assertEquals(seen, ["create new.txt", "remove new.txt"]);
});

Deno.test("files.watch() of nothing throws, and close() and signals end a watch", async () => {
  await using server = new FakeServer();
  await using sandbox = await Sandbox.create(server.options);
  await assertRejects(() => sandbox.files.watch("/none"), NotFoundError);
  const watch = await sandbox.files.watch("/");
  watch.close();
  for await (const _ of watch) throw new Error("Must be over");
  const abort = new AbortController();
  const other = await sandbox.files.watch("/", { signal: abort.signal });
  abort.abort(new RangeError("Enough"));
  await assertRejects(
    async () => {
      for await (const _ of other) throw new Error("Must be over");
    },
    RangeError,
    "Enough",
  );
});
