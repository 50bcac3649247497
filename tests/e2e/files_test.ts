import { assert, assertEquals, assertRejects } from "@std/assert";
import { InvalidRequestError, NotFoundError } from "@wrenn/sdk";
import { assertError, call } from "./lib/http.ts";
import { sharedSandbox } from "./lib/sandbox.ts";
import { test } from "./lib/test.ts";

const sandbox = sharedSandbox();

test("Files come back as they went in", async () => {
  const { files } = sandbox();
  const all = new Uint8Array(70_000).map((_, i) => i % 256);
  for (
    const [path, bytes] of [
      ["/tmp/all.bin", all],
      ["/tmp/empty", new Uint8Array()],
      ["/tmp/ü ✓ %2e &?#+.txt", new TextEncoder().encode("é")],
      ["/tmp/new/folder/deep.txt", new TextEncoder().encode("x")],
      [`/tmp/${"n".repeat(255)}`, all],
    ] as const
  ) {
    assertEquals(await files.write(path, bytes), { path, size: bytes.length });
    assertEquals(await files.read(path, { format: "bytes" }), bytes);
    const { stdout } = await sandbox().commands.run(["stat", "-c", "%s %U", path]);
    assertEquals(stdout, `${bytes.length} user\n`);
  }
});

test("A file is replaced, never mixed", async () => {
  const { files } = sandbox();
  await files.write("/tmp/replaced", "a long first text");
  await files.write("/tmp/replaced", "short");
  assertEquals(await files.read("/tmp/replaced"), "short");
});

test("Parts of a file are read by offset and length", async () => {
  const { files } = sandbox();
  await files.write("/tmp/digits", "0123456789");
  assertEquals(await files.read("/tmp/digits", { offset: 3 }), "3456789");
  assertEquals(await files.read("/tmp/digits", { offset: 3, length: 2 }), "34");
  assertEquals(await files.read("/tmp/digits", { offset: 8, length: 100 }), "89");
});

test("Relative paths and ~ start at the user's home", async () => {
  const { files } = sandbox();
  assertEquals((await files.write("notes.txt", "1")).path, "/home/user/notes.txt");
  assertEquals(await files.read("~/notes.txt"), "1");
  assertEquals((await files.write("r.txt", "2", { user: "root" })).path, "/root/r.txt");
});

test("Users are kept apart", async () => {
  const { files } = sandbox();
  const root = { user: "root" };
  await files.write("/root/secret", "s", root);
  assertEquals((await files.stat("/root/secret", root)).owner, "root");
  const error = await assertRejects(
    () => files.write("/etc/shadow", "mine", { user: "no-such-user" }),
    InvalidRequestError,
  );
  assertEquals(error.code, "invalid_user");
});

test("Folders are made, listed, moved and removed", async () => {
  const { files } = sandbox();
  assertEquals(await files.makeDir("/tmp/tree/a/b"), true);
  assertEquals(await files.makeDir("/tmp/tree/a/b"), false);
  await files.write("/tmp/tree/one.txt", "12345");
  await files.write("/tmp/tree/a/two.txt", "1");
  await sandbox().commands.run("ln -s one.txt /tmp/tree/link; chmod 640 /tmp/tree/one.txt");
  const entries = await files.list("/tmp/tree");
  assertEquals(entries.map((e) => e.name).sort(), ["a", "link", "one.txt"]);
  const deep = await files.list("/tmp/tree", { depth: 3 });
  const paths = ["a", "a/b", "a/two.txt", "link", "one.txt"];
  assertEquals(deep.map((e) => e.path).sort(), paths.map((p) => `/tmp/tree/${p}`));
  const one = await files.stat("/tmp/tree/one.txt");
  assertEquals([one.type, one.size, one.mode & 0o777, one.owner], ["file", 5, 0o640, "user"]);
  assert(Math.abs(Number(one.modifiedAt) - Date.now()) < 60_000);
  assertEquals((await files.stat("/tmp/tree/a")).type, "directory");
  const link = entries.find((e) => e.name === "link");
  assert(link?.symlinkTarget?.endsWith("one.txt"));
  const moved = await files.move("/tmp/tree/a", "/tmp/tree/c");
  assertEquals(moved.path, "/tmp/tree/c");
  assertEquals(await files.read("/tmp/tree/c/two.txt"), "1");
  await files.remove("/tmp/tree");
  assertEquals(await files.exists("/tmp/tree"), false);
  assertEquals(await files.exists("/tmp/all.bin/below-a-file"), false);
});

test("What is not there, or is something else, is told by its code", async () => {
  const { files } = sandbox();
  const coded = async (code: string, work: Promise<unknown>): Promise<void> => {
    const error = await assertRejects(() => work, Error);
    assertEquals((error as { code?: string }).code, code);
  };
  await coded("file_not_found", files.read("/no/such"));
  await coded("file_not_found", files.list("/no/such"));
  await coded("file_not_found", files.stat("/no/such"));
  await coded("file_not_found", files.move("/no/such", "/tmp/x"));
  await coded("is_directory", files.read("/tmp"));
  await coded("is_directory", files.write("/tmp", "x"));
  await coded("not_directory", files.list("/etc/passwd"));
  await coded("invalid_path", files.read("a\0b"));
  await coded("invalid_path", files.stat("x".repeat(5000)));
  await assertRejects(() => files.watch("/no/such"), NotFoundError);
});

test("A multipart upload writes its file", async () => {
  const base = `/v1/sandboxes/${sandbox().id}/files/write`;
  const form = new FormData();
  form.set("path", "/tmp/form.txt");
  form.set("file", new Blob(["from a form\r\n--not-a-boundary"]), "ignored.txt");
  const inForm = await call("POST", base, { body: form });
  assertEquals([inForm.status, inForm.json], [200, { path: "/tmp/form.txt", size: 29 }]);
  const query = new FormData();
  query.set("file", new Blob(["x"]));
  const inQuery = await call("POST", `${base}?path=/tmp/query.txt&user=root`, { body: query });
  assertEquals(inQuery.status, 200, inQuery.text);
  assertEquals((await sandbox().files.stat("/tmp/query.txt")).owner, "root");
  const none = await call("POST", `${base}?path=/tmp/x`, { body: new FormData() });
  assertError(none, 400, "invalid_request");
});

test("POST files/read answers the bytes", async () => {
  await sandbox().files.write("/tmp/posted", "0123456789");
  const answer = await call("POST", `/v1/sandboxes/${sandbox().id}/files/read`, {
    body: JSON.stringify({ path: "/tmp/posted", user: "root" }),
    headers: { "content-type": "application/json" },
  });
  assertEquals([answer.status, answer.text], [200, "0123456789"]);
  assertEquals(answer.headers.get("content-type"), "application/octet-stream");
});

test("An upload that breaks off is an error, and the next one replaces what it left", async () => {
  const { files } = sandbox();
  await files.write("/tmp/kept", "old");
  const abort = new AbortController();
  let sent = 0;
  const endless = new ReadableStream<Uint8Array>({
    async pull(controller) {
      controller.enqueue(new Uint8Array(65536));
      if (++sent === 20) abort.abort(new RangeError("Enough"));
      if (sent > 20) await new Promise((resolve) => setTimeout(resolve, 10));
    },
  });
  await assertRejects(
    () => files.write("/tmp/kept", endless, { signal: abort.signal }),
    RangeError,
  );
  assert((await files.stat("/tmp/kept")).size <= 20 * 65536);
  await files.write("/tmp/kept", "new");
  assertEquals(await files.read("/tmp/kept"), "new");
});

test("A watch tells what happens in a folder, and below it where asked", async () => {
  const { files, commands } = sandbox();
  await files.makeDir("/tmp/watched/sub");
  await using flat = await files.watch("/tmp/watched");
  await using deep = await files.watch("/tmp/watched", { recursive: true });
  await commands.run(
    "cd /tmp/watched; echo 1 > sub/inner; echo 1 > a; chmod 600 a; mv a b; rm b; touch end",
  );
  const collect = async (watch: typeof flat): Promise<string[]> => {
    const seen: string[] = [];
    for await (const { type, name } of watch) {
      seen.push(`${type} ${name}`);
      if (name === "end") break;
    }
    return seen;
  };
  const [shallow, all] = [await collect(flat), await collect(deep)];
  for (const event of ["create a", "write a", "chmod a", "rename a", "remove b", "create end"]) {
    assert(shallow.includes(event), `${event} is not in ${shallow}`);
  }
  assertEquals(shallow.filter((event) => event.includes("inner")), []);
  assert(all.includes("create sub/inner"), String(all));
});

test("The API key is needed for files as for all else", async () => {
  const path = `/v1/sandboxes/${sandbox().id}/files/stream/read?path=/etc/hostname`;
  for (const key of ["", "wrn_wrong", `wrn_${"a".repeat(32)}`]) {
    assertError(await call("GET", path, { headers: { "x-api-key": key } }), 401, "unauthorized");
  }
});
