import { Code, ConnectError } from "@connectrpc/connect";
import { assert, assertEquals, assertRejects } from "@std/assert";
import { FileType } from "@wrenn/proto/filesystem";
import { asUser, TestEnvd } from "../testing/server.ts";

async function code(call: () => Promise<unknown>): Promise<[Code, string | null]> {
  const error = await assertRejects(call, ConnectError);
  return [error.code, error.metadata.get("wrenn-code")];
}

for (const json of [false, true]) {
  Deno.test(`stat() tells all of a file and of links, ${json ? "JSON" : "binary"}`, async () => {
    await using envd = new TestEnvd();
    const client = envd.files(json);
    const path = `${envd.dir}/f`;
    await Deno.writeTextFile(path, "12345");
    await Deno.chmod(path, 0o640);
    await Deno.chown(path, 1, 1);
    await Deno.symlink(path, `${envd.dir}/link`);
    await Deno.symlink("nowhere", `${envd.dir}/dangling`);
    const { entry } = await client.stat({ path });
    assertEquals(
      [entry?.name, entry?.type, entry?.path, entry?.size, entry?.mode, entry?.permissions],
      ["f", FileType.FILE, path, 5n, 0o640, "-rw-r-----"],
    );
    assertEquals([entry?.owner, entry?.group, entry?.symlinkTarget], [
      "daemon",
      "daemon",
      undefined,
    ]);
    assert((entry?.modifiedTime?.seconds ?? 0n) > 0n);
    const link = (await client.stat({ path: `${envd.dir}/link` })).entry;
    assertEquals([link?.type, link?.symlinkTarget], [FileType.FILE, path]);
    const dangling = (await client.stat({ path: `${envd.dir}/dangling` })).entry;
    assertEquals([dangling?.type, dangling?.symlinkTarget], [FileType.SYMLINK, "nowhere"]);
    assertEquals(await code(() => client.stat({ path: `${envd.dir}/none` })), [
      Code.NotFound,
      "file_not_found",
    ]);
  });
}

Deno.test("makeDir() makes parents for the user and tells what exists", async () => {
  await using envd = new TestEnvd();
  const client = envd.files();
  const path = `${envd.dir}/a/b`;
  const { entry } = await client.makeDir({ path }, asUser("daemon"));
  assertEquals([entry?.permissions, entry?.owner], ["drwxr-xr-x", "daemon"]);
  assertEquals((await Deno.stat(`${envd.dir}/a`)).uid, 1);
  assertEquals((await code(() => client.makeDir({ path })))[0], Code.AlreadyExists);
  await Deno.writeTextFile(`${envd.dir}/file`, "");
  for (const wrong of [`${envd.dir}/file`, `${envd.dir}/file/x`]) {
    assertEquals(await code(() => client.makeDir({ path: wrong })), [
      Code.InvalidArgument,
      "not_directory",
    ]);
  }
});

Deno.test("listDir() goes to its depth, keeps the asked prefix and follows no link", async () => {
  await using envd = new TestEnvd();
  const client = envd.files();
  await Deno.mkdir(`${envd.dir}/t/a/b/c`, { recursive: true });
  await Deno.writeTextFile(`${envd.dir}/t/a/f`, "");
  await Deno.symlink(`${envd.dir}/t/a`, `${envd.dir}/t/loop`);
  await Deno.symlink(`${envd.dir}/t`, `${envd.dir}/alias`);
  const names = async (path: string, depth: number): Promise<string[]> =>
    (await client.listDir({ path, depth })).entries.map((entry) => entry.path.slice(path.length));
  const path = `${envd.dir}/alias`;
  assertEquals(await names(path, 0), ["/a", "/loop"]);
  assertEquals(await names(path, 1), ["/a", "/loop"]);
  assertEquals(await names(path, 3), ["/a", "/a/b", "/a/b/c", "/a/f", "/loop"]);
  assertEquals((await code(() => client.listDir({ path: `${path}/a/f` })))[1], "not_directory");
  assertEquals((await code(() => client.listDir({ path: `${path}/x` })))[0], Code.NotFound);
});

Deno.test("move() makes parents, across file systems, too", async () => {
  await using envd = new TestEnvd();
  const client = envd.files();
  await Deno.mkdir(`${envd.dir}/from/sub`, { recursive: true });
  await Deno.writeTextFile(`${envd.dir}/from/sub/f`, "text");
  const destination = `${envd.dir}/to/deep/dir`;
  const { entry } = await client.move({ source: `${envd.dir}/from`, destination });
  assertEquals([entry?.path, entry?.type], [destination, FileType.DIRECTORY]);
  const other = await Deno.makeTempDir({ dir: "/dev/shm", prefix: "envd-test-" });
  try {
    await client.move({ source: destination, destination: `${other}/moved` });
    assertEquals(await Deno.readTextFile(`${other}/moved/sub/f`), "text");
    assertEquals(await code(() => client.stat({ path: destination })), [
      Code.NotFound,
      "file_not_found",
    ]);
  } finally {
    await Deno.remove(other, { recursive: true });
  }
  const missing = () => client.move({ source: `${envd.dir}/none`, destination });
  assertEquals((await code(missing))[0], Code.NotFound);
});

Deno.test("remove() is recursive, takes links alone, and misses nothing", async () => {
  await using envd = new TestEnvd();
  const client = envd.files();
  await Deno.mkdir(`${envd.dir}/keep`);
  await Deno.mkdir(`${envd.dir}/gone/sub`, { recursive: true });
  await Deno.symlink(`${envd.dir}/keep`, `${envd.dir}/gone/link`);
  for (const path of ["gone", "gone", "never/was"]) {
    await client.remove({ path: `${envd.dir}/${path}` });
  }
  assertEquals(await Array.fromAsync(Deno.readDir(envd.dir), ({ name }) => name), ["keep"]);
  assertEquals((await code(() => client.remove({ path: "/" })))[1], "invalid_path");
  assertEquals((await code(() => client.remove({ path: "/x/.." })))[1], "invalid_path");
});

Deno.test("an unknown user is unauthenticated, a bad path an invalid argument", async () => {
  await using envd = new TestEnvd();
  const client = envd.files();
  assertEquals(await code(() => client.stat({ path: "x" }, asUser("nope"))), [
    Code.Unauthenticated,
    "invalid_user",
  ]);
  for (const path of ["a\0b", "~bob", "/" + "a/".repeat(3000), "n".repeat(300)]) {
    assertEquals(await code(() => client.stat({ path })), [Code.InvalidArgument, "invalid_path"]);
  }
});
