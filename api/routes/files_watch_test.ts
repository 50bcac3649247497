import { assertEquals } from "@std/assert";
import { TestApp } from "../testing/test_app.ts";

Deno.test("watch says when it is in place and then what changes", async () => {
  await using t = new TestApp();
  const url = `/v1/sandboxes/${await t.create()}/files`;
  const socket = await t.socket(`${url}/watch`);
  await socket.send({ path: "/tmp" });
  await socket.until((m) => m.type === "start");
  await t.request("POST", `${url}/stream/write?path=/tmp/a.txt`, "x");
  await t.request("POST", `${url}/remove`, { path: "/tmp/a.txt" });
  await socket.until((m) => m.type === "remove");
  assertEquals(socket.messages.slice(1), [
    { type: "create", name: "a.txt" },
    { type: "write", name: "a.txt" },
    { type: "remove", name: "a.txt" },
  ]);
  await socket.close();
});

Deno.test("watch goes below the folder when it is told to", async () => {
  await using t = new TestApp();
  const url = `/v1/sandboxes/${await t.create()}/files`;
  const socket = await t.socket(`${url}/watch`);
  await socket.send({ path: "/tmp", recursive: true });
  await socket.until((m) => m.type === "start");
  await t.request("POST", `${url}/mkdir`, { path: "/tmp/a/b" });
  assertEquals((await socket.until((m) => m.type === "create")).name, "a/b");
  await socket.close();
});

Deno.test("watch tells what is wrong and closes", async () => {
  await using t = new TestApp();
  const url = `/v1/sandboxes/${await t.create()}/files/watch`;
  const run = async (...messages: unknown[]): Promise<[number, unknown]> => {
    const socket = await t.socket(url);
    for (const message of messages) await socket.send(message);
    const code = await socket.closed;
    return [code, (socket.messages.at(-1)?.error as { code: string } | undefined)?.code];
  };
  assertEquals(await run({ path: "/nothing" }), [1000, "file_not_found"]);
  assertEquals(await run({ path: "/etc/passwd" }), [1000, "not_directory"]);
  assertEquals(await run({ path: "" }), [4400, "invalid_path"]);
  assertEquals(await run({ path: "/tmp", deep: 1 }), [4400, "invalid_request"]);
  assertEquals(await run({ path: "/tmp" }, { path: "/home" }), [4400, "invalid_request"]);
});
