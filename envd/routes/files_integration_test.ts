import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { readMetadata } from "../linux/xattr.ts";
import { eventually, TestEnvd } from "../testing/server.ts";

const OCTETS = { "content-type": "application/octet-stream" };

function url(path: string, extra = ""): string {
  return `/files?path=${encodeURIComponent(path)}${extra}`;
}

async function failure(response: Promise<Response>): Promise<[number, string, string]> {
  const answer = await response;
  const { code, message } = await answer.json();
  assertEquals(code, answer.status);
  return [answer.status, answer.headers.get("wrenn-code") ?? "", message];
}

/** Pieces that the host agent sends, too: of larger ones `Deno.serve` holds no sender back (decision 006). */
const PIECE_BYTES = 65_518;

/** Bytes that are made as they are read. */
function bytes(total: number, failAfter = Infinity): ReadableStream<Uint8Array<ArrayBuffer>> {
  let sent = 0;
  return new ReadableStream({
    pull(controller) {
      if (sent >= failAfter) return controller.error(new Error("Source failed"));
      const piece = new Uint8Array(Math.min(PIECE_BYTES, total - sent)).fill(sent / PIECE_BYTES);
      sent += piece.length;
      if (piece.length === 0) controller.close();
      else controller.enqueue(piece);
    },
  });
}

Deno.test("POST /files stores a body, its directories and its owner", async () => {
  await using envd = new TestEnvd();
  const path = `${envd.dir}/a/b/c.bin`;
  const target = url(path, "&username=daemon");
  const headers = { ...OCTETS, "X-Metadata-Kind": "test 1" };
  const answer = await envd.fetch(target, { method: "POST", headers, body: bytes(3_000_000) });
  assertEquals(await answer.json(), [
    { name: "c.bin", path, type: "file", metadata: { kind: "test 1" } },
  ]);
  for (const made of [path, `${envd.dir}/a/b`, `${envd.dir}/a`]) {
    const info = await Deno.stat(made);
    assertEquals([info.uid, info.gid], [1, 1]);
  }
  assertEquals((await Deno.stat(path)).size, 3_000_000);
  assertEquals(readMetadata(path), { kind: "test 1" });
  const plain = await envd.fetch(target, { method: "POST", headers: OCTETS, body: "short" });
  await plain.body?.cancel();
  assertEquals([await Deno.readTextFile(path), readMetadata(path)], ["short", {}]);
});

Deno.test("POST /files takes forms with whole file names, and skips other parts", async () => {
  await using envd = new TestEnvd();
  const form = new FormData();
  form.append("note", "skipped");
  form.append("file", new Blob(["one"]), `${envd.dir}/d/one.txt`);
  form.append("file", new Blob(["x".repeat(1_000_000)]), `${envd.dir}/two.txt`);
  const answer = await envd.fetch("/files", { method: "POST", body: form });
  assertEquals((await answer.json()).map((file: { name: string }) => file.name), [
    "one.txt",
    "two.txt",
  ]);
  assertEquals(await Deno.readTextFile(`${envd.dir}/d/one.txt`), "one");
  assertEquals((await Deno.stat(`${envd.dir}/two.txt`)).size, 1_000_000);
  const twice = new FormData();
  twice.append("file", new Blob(["1"]), "a");
  twice.append("file", new Blob(["2"]), "b");
  const [status, code, message] = await failure(
    envd.fetch(url(`${envd.dir}/same`), { method: "POST", body: twice }),
  );
  assertEquals([status, code], [400, "invalid_request"]);
  assertStringIncludes(message, "same path");
});

Deno.test("POST /files unpacks gzip and tells damage", async () => {
  await using envd = new TestEnvd();
  const path = `${envd.dir}/z`;
  const headers = { ...OCTETS, "content-encoding": "gzip" };
  const packed = bytes(2_000_000).pipeThrough(new CompressionStream("gzip"));
  const answer = await envd.fetch(url(path), { method: "POST", headers, body: packed });
  await answer.body?.cancel();
  assertEquals((await Deno.stat(path)).size, 2_000_000);
  const [status, , message] = await failure(
    envd.fetch(url(path), { method: "POST", headers, body: "not gzip" }),
  );
  assertEquals(status, 400);
  assertStringIncludes(message, "incomplete");
});

Deno.test("POST /files answers each wrong request with its reason", async () => {
  await using envd = new TestEnvd();
  await Deno.writeTextFile(`${envd.dir}/plain`, "x");
  assertEquals((await new Deno.Command("mkfifo", { args: [`${envd.dir}/pipe`] }).output()).code, 0);
  const cases: [string, Record<string, string>, number, string][] = [
    [url(envd.dir), OCTETS, 400, "is_directory"],
    [url(`${envd.dir}/pipe`), OCTETS, 400, "invalid_path"],
    [url("/dev/full"), OCTETS, 400, "invalid_path"],
    [url(`${envd.dir}/plain/below`), OCTETS, 400, "not_directory"],
    [url("a\0b"), OCTETS, 400, "invalid_path"],
    [url("/" + "n".repeat(300)), OCTETS, 400, "invalid_path"],
    [url("~bob/x"), OCTETS, 400, "invalid_path"],
    ["/files", OCTETS, 400, "invalid_path"],
    [url("x", "&username=nobody-here"), OCTETS, 401, "invalid_user"],
    [url(`${envd.dir}/x`), { "content-type": "text/plain" }, 415, "unsupported_media_type"],
    [
      url(`${envd.dir}/x`),
      { ...OCTETS, "content-encoding": "br" },
      415,
      "unsupported_media_type",
    ],
    [url(`${envd.dir}/x`), { "content-type": "multipart/form-data" }, 400, "invalid_request"],
    [
      url(`${envd.dir}/x`),
      { "content-type": "multipart/form-data; boundary=b" },
      400,
      "invalid_request",
    ],
    [
      url(`${envd.dir}/x`),
      { ...OCTETS, "x-metadata-k": "v".repeat(5000) },
      400,
      "invalid_request",
    ],
  ];
  for (const [target, headers, status, code] of cases) {
    const seen = await failure(envd.fetch(target, { method: "POST", headers, body: "data" }));
    assertEquals([seen[0], seen[1]], [status, code], `${target.slice(0, 60)} ${seen[2]}`);
  }
});

Deno.test("POST /files tells a full disk with 507", async () => {
  await using envd = new TestEnvd();
  const mount = `${envd.dir}/small`;
  await Deno.mkdir(mount);
  const run = async (cmd: string, ...args: string[]): Promise<void> =>
    assertEquals((await new Deno.Command(cmd, { args }).output()).code, 0);
  await run("mount", "-t", "tmpfs", "-o", "size=1m", "none", mount);
  try {
    const [status, code, message] = await failure(
      envd.fetch(url(`${mount}/big`), { method: "POST", headers: OCTETS, body: bytes(5_000_000) }),
    );
    assertEquals([status, code], [507, "no_space"]);
    assertStringIncludes(message, "no space left");
  } finally {
    await run("umount", mount);
  }
});

Deno.test("a client that breaks off leaves envd well and no open file", async () => {
  await using envd = new TestEnvd();
  const path = `${envd.dir}/half`;
  const upload = envd.fetch(url(path), {
    method: "POST",
    headers: OCTETS,
    body: bytes(50_000_000, 1_000_000),
  });
  assertEquals(await upload.then(() => "answered", () => "broken"), "broken");
  const isOpen = async (): Promise<boolean> => {
    for await (const { name } of Deno.readDir("/proc/self/fd")) {
      if (await Deno.readLink(`/proc/self/fd/${name}`).catch(() => "") === path) return true;
    }
    return false;
  };
  await eventually(async () => !await isOpen(), "a closed file");
  assertEquals((await envd.fetch("/health")).status, 204);
});

Deno.test("GET /files gives whole files, ranges, conditions and compression", async () => {
  await using envd = new TestEnvd();
  const path = `${envd.dir}/ünï.txt`;
  await Deno.writeTextFile(path, "0123456789");
  const get = (headers: Record<string, string>): Promise<Response> =>
    envd.fetch(url(path), { headers });
  const whole = await get({});
  assertEquals([whole.status, await whole.text()], [200, "0123456789"]);
  assertEquals(whole.headers.get("content-length"), "10");
  assertEquals(whole.headers.get("vary"), "Accept-Encoding");
  assertStringIncludes(whole.headers.get("content-disposition") ?? "", "inline");
  const part = await get({ range: "bytes=2-4" });
  assertEquals([part.status, await part.text()], [206, "234"]);
  assertEquals(part.headers.get("content-range"), "bytes 2-4/10");
  const beyond = await get({ range: "bytes=10-" });
  assertEquals([beyond.status, beyond.headers.get("content-range")], [416, "bytes */10"]);
  await beyond.body?.cancel();
  const since = whole.headers.get("last-modified") ?? "";
  assertEquals((await get({ "if-modified-since": since })).status, 304);
  const packed = await get({ "accept-encoding": "gzip" });
  assertEquals([packed.headers.get("content-length"), await packed.text()], [null, "0123456789"]);
  const [status] = await failure(get({ "accept-encoding": "identity;q=0, br" }));
  assertEquals(status, 406);
});

Deno.test("GET /files gives an empty file a length, and virtual files their content", async () => {
  await using envd = new TestEnvd();
  await Deno.writeTextFile(`${envd.dir}/empty`, "");
  for (const encoding of ["identity", "gzip"]) {
    const headers = { "accept-encoding": encoding };
    const empty = await envd.fetch(url(`${envd.dir}/empty`), { headers });
    assertEquals([empty.headers.get("content-length"), await empty.text()], ["0", ""]);
    const cpu = await envd.fetch(url("/proc/cpuinfo"), { headers });
    assertStringIncludes(await cpu.text(), "processor");
  }
});

Deno.test("GET /files refuses what is no regular file, and never waits", async () => {
  await using envd = new TestEnvd();
  await new Deno.Command("mkfifo", { args: [`${envd.dir}/pipe`] }).output();
  const cases: [string, number, string][] = [
    [envd.dir, 400, "is_directory"],
    ["/proc/self/root", 400, "is_directory"],
    [`${envd.dir}/none`, 404, "file_not_found"],
    [`${envd.dir}/pipe`, 400, "invalid_path"],
    ["/dev/zero", 400, "invalid_path"],
    ["/proc/kmsg", 400, "invalid_path"],
    ["/proc/self/root/proc/kmsg", 400, "invalid_path"],
    ["/proc/self/mem", 400, "invalid_path"],
    ["/etc/passwd/x", 400, "not_directory"],
    ["../../../../../none", 404, "file_not_found"],
    ["a\0b", 400, "invalid_path"],
    ["/" + "a/".repeat(3000), 400, "invalid_path"],
  ];
  for (const [path, status, code] of cases) {
    const seen = await failure(envd.fetch(url(path)));
    assertEquals([seen[0], seen[1]], [status, code], path.slice(0, 60));
  }
  const unknown = await failure(envd.fetch(url("x", "&username=nope")));
  assertEquals(unknown[2], "error looking up user 'nope': user: unknown user nope");
});

Deno.test("a file of 600 MB goes in and out in constant memory", async () => {
  await using envd = new TestEnvd();
  const total = 600 * 1024 * 1024;
  const path = `${envd.dir}/big`;
  const before = Deno.memoryUsage().rss;
  const up = await envd.fetch(url(path), { method: "POST", headers: OCTETS, body: bytes(total) });
  await up.body?.cancel();
  const down = await envd.fetch(url(path));
  let received = 0;
  for await (const piece of down.body ?? []) received += piece.length;
  assertEquals(received, total);
  const grown = Deno.memoryUsage().rss - before;
  // V8 lets some dead buffers lie, however large the file is: 40 to 60 MB.
  assert(grown < total / 4, `Memory grew by ${grown} bytes`);
});

Deno.test("POST /files/compose joins pieces and removes them", async () => {
  await using envd = new TestEnvd();
  const { dir } = envd;
  for (const [name, text] of [["1", "one "], ["2", "two"]]) {
    await Deno.writeTextFile(`${dir}/${name}`, text ?? "");
  }
  const compose = (body: unknown): Promise<Response> =>
    envd.fetch("/files/compose", { method: "POST", body: JSON.stringify(body) });
  const destination = `${dir}/sub/all`;
  const bad = await failure(compose({ source_paths: [`${dir}/1`, `${dir}/nope`], destination }));
  assertEquals(bad[1], "file_not_found");
  assertEquals(await Array.fromAsync(Deno.readDir(`${dir}/sub`)), []);
  const answer = await compose({
    source_paths: [`${dir}/1`, `${dir}/2`],
    destination,
    username: "daemon",
  });
  assertEquals(await answer.json(), { name: "all", path: destination, type: "file" });
  assertEquals(await Deno.readTextFile(destination), "one two");
  assertEquals((await Deno.stat(destination)).uid, 1);
  assertEquals(await Array.fromAsync(Deno.readDir(dir), ({ name }) => name), ["sub"]);
  for (const body of [{}, { source_paths: [], destination }, { source_paths: ["a"] }, [], 1]) {
    assertEquals((await failure(compose(body)))[0], 400);
  }
});

Deno.test("other routes: health, envs, metrics, CORS, unknown ones", async () => {
  await using envd = new TestEnvd(true);
  assertEquals((await failure(envd.fetch("/envs")))[0], 401);
  const init = await envd.fetch("/init", {
    method: "POST",
    body: JSON.stringify({ accessToken: "t", envVars: { A: "1" } }),
  });
  assertEquals([init.status, init.headers.get("x-envd-version")], [204, "0.6.13"]);
  const headers = { "x-access-token": "t" };
  assertEquals(await (await envd.fetch("/envs", { headers })).json(), { A: "1" });
  const metrics = await (await envd.fetch("/metrics", { headers })).json();
  assert(metrics.cpu_count >= 1 && metrics.mem_total > metrics.mem_used);
  assert(metrics.disk_total >= metrics.disk_used);
  const preflight = await envd.fetch("/process.Process/List", { method: "OPTIONS" });
  assertEquals([preflight.status, preflight.headers.get("access-control-allow-origin")], [
    204,
    "*",
  ]);
  assertEquals((await failure(envd.fetch("/nope", { headers })))[0], 404);
  assertEquals((await failure(envd.fetch("/files", { method: "PUT", headers })))[0], 405);
  const big = envd.fetch("/init", { method: "POST", headers, body: "x".repeat(5_000_000) });
  assertEquals((await failure(big))[0], 413);
});
