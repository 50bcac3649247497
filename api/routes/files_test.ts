import { assertEquals } from "@std/assert";
import { fileInfoSchema } from "./file_shape.ts";
import { TestApp } from "../testing/test_app.ts";

async function setUp(): Promise<{ t: TestApp; url: string }> {
  const t = new TestApp();
  return { t, url: `/v1/sandboxes/${await t.create()}/files` };
}

const random = (size: number): Uint8Array<ArrayBuffer> => {
  const bytes = new Uint8Array(size);
  for (let at = 0; at < size; at += 65536) crypto.getRandomValues(bytes.subarray(at, at + 65536));
  return bytes;
};

Deno.test("files go in and out byte for byte, by every way", async () => {
  const { t, url } = await setUp();
  await using _ = t;
  const bytes = random(300_001);
  const form = new FormData();
  form.append("path", "a/form.bin");
  form.append("file", new Blob([bytes]), "x");
  assertEquals(await (await t.request("POST", `${url}/write`, form)).json(), {
    path: "/home/user/a/form.bin",
    size: 300_001,
  });
  const raw = await t.request("POST", `${url}/stream/write?path=b.bin&user=root`, bytes);
  assertEquals(await raw.json(), { path: "/root/b.bin", size: 300_001 });
  const posted = await t.request("POST", `${url}/read`, { path: "a/form.bin" });
  assertEquals(posted.headers.get("content-length"), "300001");
  assertEquals(await posted.bytes(), bytes);
  const got = await t.request("GET", `${url}/read?path=/root/b.bin`);
  assertEquals(got.headers.get("content-type"), "application/octet-stream");
  assertEquals(await got.bytes(), bytes);
  const part = await t.request(
    "GET",
    `${url}/stream/read?path=/root/b.bin&offset=100000&length=70000`,
  );
  assertEquals(part.headers.get("content-length"), "70000");
  assertEquals(await part.bytes(), bytes.slice(100_000, 170_000));
});

Deno.test("an empty file is a file", async () => {
  const { t, url } = await setUp();
  await using _ = t;
  const written = await t.request("POST", `${url}/stream/write?path=empty`);
  assertEquals((await written.json()).size, 0);
  const read = await t.request("GET", `${url}/read?path=empty`);
  assertEquals([read.headers.get("content-length"), (await read.bytes()).length], ["0", 0]);
});

Deno.test("write takes path and user from the query too", async () => {
  const { t, url } = await setUp();
  await using _ = t;
  const form = new FormData();
  form.append("file", new Blob(["x"]));
  const written = await t.request("POST", `${url}/write?path=q.txt&user=root`, form);
  assertEquals((await written.json()).path, "/root/q.txt");
});

Deno.test("list, stat, mkdir, move and remove answer entries", async () => {
  const { t, url } = await setUp();
  await using _ = t;
  await t.request("POST", `${url}/stream/write?path=/tmp/d/x.txt`, "hello");
  const made = await t.request("POST", `${url}/mkdir`, { path: "/tmp/d/sub" });
  assertEquals(fileInfoSchema.parse(await made.json()).type, "directory");
  const names = async (depth: number): Promise<string[]> => {
    const { entries } = await (await t.request("POST", `${url}/list`, { path: "/tmp", depth }))
      .json();
    return entries.map((e: { path: string }) => e.path);
  };
  assertEquals(await names(1), ["/tmp/d"]);
  assertEquals(await names(2), ["/tmp/d", "/tmp/d/sub", "/tmp/d/x.txt"]);
  const moved = await t.request("POST", `${url}/move`, {
    path: "/tmp/d/x.txt",
    destination: "y.txt",
  });
  assertEquals((await moved.json()).path, "/home/user/y.txt");
  const stat = fileInfoSchema.parse(
    await (await t.request("POST", `${url}/stat`, { path: "y.txt" })).json(),
  );
  assertEquals([stat.type, stat.size, stat.owner], ["file", 5, "user"]);
  const removed = await t.request("POST", `${url}/remove`, { path: "/tmp/d" });
  assertEquals([removed.status, await removed.text()], [204, ""]);
  assertEquals(await names(2), []);
});

Deno.test("a body that breaks off leaves no file", async () => {
  const { t, url } = await setUp();
  await using _ = t;
  const broken = new ReadableStream<Uint8Array>({
    start(controller) {
      controller.enqueue(new Uint8Array(200_000));
    },
    pull(controller) {
      controller.error(new Error("Cable pulled"));
    },
  });
  const response = await t.request("POST", `${url}/stream/write?path=half`, broken);
  assertEquals((await response.json()).error.code, "canceled");
  const stat = await t.request("POST", `${url}/stat`, { path: "half" });
  assertEquals((await stat.json()).error.code, "file_not_found");
});

Deno.test("a body that falls silent is given up", async () => {
  await using t = new TestApp({ bodyIdleMs: 20, jsonTimeoutMs: 20 });
  const id = await t.create();
  const silent = (): ReadableStream<Uint8Array> =>
    new ReadableStream({ start: (c) => c.enqueue(new TextEncoder().encode("{")) });
  const upload = await t.request(
    "POST",
    `/v1/sandboxes/${id}/files/stream/write?path=half`,
    silent(),
  );
  assertEquals([upload.status, (await upload.json()).error.code], [408, "request_timeout"]);
  const json = await t.request("POST", "/v1/sandboxes", silent(), {
    "content-type": "application/json",
  });
  assertEquals([json.status, (await json.json()).error.code], [408, "request_timeout"]);
});

Deno.test("an agent that is lost in the middle breaks the answer off", async () => {
  const { t, url } = await setUp();
  await using _ = t;
  const big = await t.request("GET", `${url}/read?path=/dev/zero/9999999`);
  const reader = big.body?.getReader();
  await reader?.read();
  await reader?.cancel();
  t.agent.failNext("ReadFile", new Error("boom"));
  const failed = await t.request("GET", `${url}/read?path=/dev/zero/9`);
  assertEquals(failed.status >= 500, true);
  await failed.body?.cancel();
});
