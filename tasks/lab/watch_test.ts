import { assert, assertEquals, assertRejects } from "@std/assert";
import { LabStoppedError, LabWatch } from "./watch.ts";

/** A lab's sockets, with somebody at their ends. */
class FakeLab implements AsyncDisposable {
  readonly #listeners: Deno.Listener[];
  readonly #connections: Deno.Conn[] = [];
  readonly #work: Promise<void>[];
  readonly told: string[] = [];

  readonly root: string;

  constructor(root: string, { beats }: { beats: boolean }) {
    this.root = root;
    const at = (name: string): Deno.Listener =>
      Deno.listen({ transport: "unix", path: `${root}/${name}` });
    const [beat, monitor] = [at("beat"), at("monitor")];
    this.#listeners = [beat, monitor];
    this.#work = [
      this.#serve(beat, async (conn) => {
        const timer = setInterval(() => {
          if (beats) conn.write(new Uint8Array([10])).catch(() => {});
        }, 20);
        await this.#listen(conn);
        clearInterval(timer);
      }),
      this.#serve(monitor, async (conn) => {
        await conn.write(new TextEncoder().encode("RIP=ffffffff81000000\n"));
        await this.#listen(conn);
      }),
    ];
  }

  async #serve(listener: Deno.Listener, talk: (conn: Deno.Conn) => Promise<void>): Promise<void> {
    for await (const conn of listener) {
      this.#connections.push(conn);
      await talk(conn);
    }
  }

  async #listen(conn: Deno.Conn): Promise<void> {
    const buffer = new Uint8Array(256);
    try {
      for (let n = await conn.read(buffer); n !== null; n = await conn.read(buffer)) {
        this.told.push(new TextDecoder().decode(buffer.subarray(0, n)));
      }
    } catch {
      // The watch has gone.
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const listener of this.#listeners) listener.close();
    for (const conn of this.#connections) conn[Symbol.dispose]();
    await Promise.all(this.#work);
    await Deno.remove(this.root, { recursive: true });
  }
}

function sockets(root: string): { beat: string; monitor: string } {
  return { beat: `${root}/beat`, monitor: `${root}/monitor` };
}

Deno.test("LabWatch tells a machine that stands still, with its registers", async () => {
  await using lab = new FakeLab(await Deno.makeTempDir(), { beats: false });
  await using watch = new LabWatch(sockets(lab.root), { beatMs: 10 });
  const error = await assertRejects(() => watch.stalled, LabStoppedError);
  assert(error.message.includes("RIP=ffffffff81000000"), error.message);
  assertEquals(lab.told, ["info cpus\ninfo registers -a\n"]);
});

Deno.test("LabWatch asks a machine whose work is silent what hangs", async () => {
  await using lab = new FakeLab(await Deno.makeTempDir(), { beats: true });
  await using watch = new LabWatch(sockets(lab.root), { wordMs: 10, tellMs: 50 });
  const error = await assertRejects(() => watch.stalled, Error, "hangs");
  assert(!(error instanceof LabStoppedError));
  assertEquals(lab.told, ["tell\n"]);
});

Deno.test("LabWatch lets a lab that beats and prints go on, and stops with it", async () => {
  await using lab = new FakeLab(await Deno.makeTempDir(), { beats: true });
  await using watch = new LabWatch(sockets(lab.root), { beatMs: 3000, wordMs: 3000 });
  const words = new Response("word").body?.pipeThrough(watch.words());
  assertEquals(await new Response(words).text(), "word");
  const first = await Promise.race([
    watch.stalled,
    new Promise((resolve) => setTimeout(() => resolve("goes on"), 1500)),
  ]);
  assertEquals(first, "goes on");
});

Deno.test("LabWatch ends before its lab has begun", async () => {
  const root = await Deno.makeTempDir();
  {
    await using _watch = new LabWatch(sockets(root));
  }
  await Deno.remove(root);
});
