import { assert, assertEquals } from "@std/assert";
import { fileURLToPath } from "node:url";
import { FakeAgent } from "./testing/fake_agent.ts";
import { TEST_KEY } from "./testing/fake_services.ts";
import { TestSocket } from "./testing/test_app.ts";

const MIB = 1024 * 1024;
const SIZE = 512 * MIB;
/** Below the project's bound of 200 MB for a process that a 2 GiB file passes through. */
const MAX_RSS = 170;

/** The app in a process of its own, and a fake agent behind it in this one. */
async function withApi(
  test: (api: { base: string; id: string; peak: () => Promise<number> }) => Promise<void>,
): Promise<void> {
  const handle = new FakeAgent().handler();
  const agent = Deno.serve(
    { port: 0, hostname: "127.0.0.1", onListen: () => {} },
    (request) => handle(request) ?? new Response(null, { status: 404 }),
  );
  const child = new Deno.Command(Deno.execPath(), {
    args: [
      "run",
      "-A",
      // As the control plane is started everywhere, see docs/decisions/006-http-server.md.
      "--v8-flags=--max-semi-space-size=1",
      fileURLToPath(import.meta.resolve("./testing/api_process.ts")),
      `127.0.0.1:${agent.addr.port}`,
    ],
    stdin: "piped",
    stdout: "piped",
  }).spawn();
  const lines = child.stdout.pipeThrough(new TextDecoderStream()).getReader();
  try {
    const { port, id } = JSON.parse((await lines.read()).value ?? "");
    const peak = async (): Promise<number> => {
      const status = await Deno.readTextFile(`/proc/${child.pid}/status`);
      return Number(/VmHWM:\s+(\d+)/.exec(status)?.[1]) / 1024;
    };
    await test({ base: `127.0.0.1:${port}`, id, peak });
  } finally {
    await child.stdin.close();
    await lines.cancel();
    await child.status;
    await agent.shutdown();
  }
}

function pieces(size: number, pieceSize: number = 256 * 1024): ReadableStream<Uint8Array> {
  let left = size;
  return new ReadableStream({
    pull(controller) {
      const piece = new Uint8Array(Math.min(left, pieceSize));
      left -= piece.length;
      if (piece.length > 0) controller.enqueue(piece);
      if (left === 0) controller.close();
    },
  });
}

const headers = { "x-api-key": TEST_KEY };

Deno.test("files/stream carries a large file both ways in bounded memory", async () => {
  await withApi(async ({ base, id, peak }) => {
    const url = `http://${base}/v1/sandboxes/${id}/files`;
    using client = Deno.createHttpClient({});
    const up = await fetch(`${url}/stream/write?path=/dev/null`, {
      method: "POST",
      headers,
      body: pieces(SIZE),
      client,
    });
    assertEquals(await up.json(), { path: "/dev/null", size: SIZE });
    const afterUpload = await peak();
    assert(afterUpload < MAX_RSS, `Peak after the upload is ${afterUpload} MiB`);

    const down = await fetch(`${url}/stream/read?path=/dev/zero/${SIZE}`, { headers, client });
    assertEquals(down.headers.get("content-length"), String(SIZE));
    let size = 0;
    for await (const piece of down.body ?? []) size += piece.length;
    assertEquals(size, SIZE);
    const afterDownload = await peak();
    assert(afterDownload < MAX_RSS, `Peak after the download is ${afterDownload} MiB`);
  });
});

Deno.test("files/write carries a large multipart file in bounded memory", async () => {
  await withApi(async ({ base, id, peak }) => {
    const boundary = "b".repeat(40);
    const head = new TextEncoder().encode(
      `--${boundary}\r\ncontent-disposition: form-data; name="path"\r\n\r\n/dev/null\r\n` +
        `--${boundary}\r\ncontent-disposition: form-data; name="file"; filename="f"\r\n\r\n`,
    );
    const tail = new TextEncoder().encode(`\r\n--${boundary}--\r\n`);
    async function* body(): AsyncGenerator<Uint8Array> {
      yield head;
      yield* pieces(SIZE);
      yield tail;
    }
    using client = Deno.createHttpClient({});
    const up = await fetch(`http://${base}/v1/sandboxes/${id}/files/write`, {
      method: "POST",
      headers: { ...headers, "content-type": `multipart/form-data; boundary=${boundary}` },
      body: ReadableStream.from(body()),
      client,
    });
    assertEquals(await up.json(), { path: "/dev/null", size: SIZE });
    const rss = await peak();
    assert(rss < MAX_RSS, `Peak is ${rss} MiB`);
  });
});

Deno.test("a reader that stops holds the guest, not the memory of the api", async () => {
  await withApi(async ({ base, id, peak }) => {
    const url = `http://${base}/v1/sandboxes/${id}`;
    using client = Deno.createHttpClient({});
    // Takes the first piece and no more while the guest has gigabytes to give.
    const down = await fetch(`${url}/files/stream/read?path=/dev/zero/${4096 * MIB}`, {
      headers,
      client,
    });
    const reader = down.body?.getReader();
    await reader?.read();

    const stream = await Deno.connect({ hostname: "127.0.0.1", port: Number(base.split(":")[1]) });
    await stream.write(new TextEncoder().encode(
      `GET /v1/sandboxes/${id}/exec/stream HTTP/1.1\r\nhost: x\r\nx-api-key: ${TEST_KEY}\r\n` +
        "connection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\n" +
        "sec-websocket-key: MDEyMzQ1Njc4OWFiY2RlZg==\r\n\r\n",
    ));
    await stream.read(new Uint8Array(4096));
    await stream.write(clientFrame(JSON.stringify({ cmd: "flood" })));

    // A healthy session beside them is served, several times the sockets' buffers.
    const beside = new TestSocket(`ws://${base}/v1/sandboxes/${id}/exec/stream`, headers);
    await beside.send({ cmd: "flood", args: ["512"] });
    assertEquals(await beside.closed, 1000);
    assertEquals(beside.text("stdout").length, 512 * 64 * 1024);

    const rss = await peak();
    assert(rss < MAX_RSS, `Peak is ${rss} MiB`);
    await reader?.cancel();
    stream.close();
  });
});

/** A text frame as a client sends it: masked, here with a mask of zeros. */
function clientFrame(text: string): Uint8Array {
  const data = new TextEncoder().encode(text);
  return new Uint8Array([0x81, 0x80 | data.length, 0, 0, 0, 0, ...data]);
}
