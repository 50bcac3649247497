import { assert, assertEquals, assertThrows } from "@std/assert";
import { makePipe, PipeTail } from "./pipe_tail.ts";

async function withPipe(body: (path: string) => Promise<void> | void): Promise<void> {
  const folder = await Deno.makeTempDir({ prefix: "wrenn-pipe-" });
  try {
    makePipe(`${folder}/pipe`);
    await body(`${folder}/pipe`);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

function write(path: string, text: string): void {
  using file = Deno.openSync(path, { read: true, write: true });
  file.writeSync(new TextEncoder().encode(text));
}

Deno.test("PipeTail keeps the end of what is written, and waits for nobody", async () => {
  await withPipe(async (path) => {
    assertEquals([(await Deno.stat(path)).isFifo, (await Deno.stat(path)).mode], [true, 0o010600]);
    using tail = new PipeTail(path, 10);
    tail.drain();
    assertEquals(tail.text, "");
    write(path, "0123456789ab");
    assertEquals(tail.text, "");
    tail.drain();
    assertEquals(tail.text, "23456789ab");
    write(path, "cd");
    tail.drain();
    assertEquals(tail.text, "456789abcd");
  });
});

Deno.test("PipeTail reads what was written when nobody else has the pipe open any more", async () => {
  await withPipe((path) => {
    const tail = new PipeTail(path);
    write(path, "last words");
    tail.drain();
    tail[Symbol.dispose]();
    tail[Symbol.dispose]();
    tail.drain();
    assertEquals(tail.text, "last words");
  });
});

Deno.test("makePipe() replaces nothing", async () => {
  await withPipe((path) => {
    assertThrows(() => makePipe(path), Error, "Cannot make");
    assert(Deno.statSync(path).isFifo);
  });
});
