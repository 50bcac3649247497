import { assertEquals, assertRejects } from "@std/assert";
import { abortableFetch } from "./abortable_fetch.ts";
import { delay } from "./clock.ts";

Deno.test("abortableFetch() aborts a body whose response nobody keeps", async () => {
  const server = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen() {} }, () =>
    new Response(
      new ReadableStream({ start: (c) => c.enqueue(new Uint8Array([1])) }),
    ));
  const stop = new AbortController();
  async function open(): Promise<ReadableStreamDefaultReader<Uint8Array> | undefined> {
    const url = `http://127.0.0.1:${server.addr.port}/`;
    return (await abortableFetch(url, { signal: stop.signal })).body?.getReader();
  }
  const reader = await open();
  assertEquals((await reader?.read())?.value?.length, 1);
  const reading = reader?.read() ?? Promise.resolve();
  reading.catch(() => {});
  // Enough garbage for a collection.
  for (let i = 0; i < 20; i++) {
    Array.from({ length: 50_000 }, (_, n) => ({ n }));
    await delay(1);
  }
  stop.abort();
  await assertRejects(() => reading, DOMException);
  await server.shutdown();
});
