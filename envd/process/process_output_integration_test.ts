import { assert, assertEquals } from "@std/assert";
import { collect, pidOf, sh } from "../testing/process.ts";
import { eventually, TestEnvd } from "../testing/server.ts";

const encoder = new TextEncoder();

Deno.test("a reader that does not read holds the process back and loses nothing", async () => {
  await using envd = new TestEnvd();
  const total = 300 * 1024 * 1024;
  const process = { cmd: "head", args: ["-c", String(total), "/dev/zero"], cwd: "/" };
  const stream = envd.processes().start({ process })[Symbol.asyncIterator]();
  const pid = await pidOf(stream);
  const before = Deno.memoryUsage().rss;
  // Pipe, queue and socket fill up; then the writer stands still.
  let last = "";
  await eventually(async () => {
    await new Promise((resolve) => setTimeout(resolve, 200));
    const written = /wchar: (\d+)/.exec(await Deno.readTextFile(`/proc/${pid}/io`))?.[1] ?? "";
    const still = written === last;
    last = written;
    return still;
  }, "a writer that stands still");
  assert(Number(last) < 100 * 1024 * 1024, `${last} bytes were taken`);
  const grown = Deno.memoryUsage().rss - before;
  assert(grown < 100 * 1024 * 1024, `Memory grew by ${grown} bytes`);
  const { stdout } = await collect({ [Symbol.asyncIterator]: () => stream });
  assertEquals(stdout.length, total);
});

Deno.test("several readers get all of it, each at its own pace", async () => {
  await using envd = new TestEnvd();
  const client = envd.processes();
  const script = "read x; head -c 20000000 /dev/zero";
  const stream = client.start({ process: sh(script) })[Symbol.asyncIterator]();
  const process = { selector: { case: "pid" as const, value: await pidOf(stream) } };
  const other = client.connect({ process })[Symbol.asyncIterator]();
  await other.next();
  await client.sendInput({
    process,
    input: { input: { case: "stdin", value: encoder.encode("go\n") } },
  });
  const [first, second] = await Promise.all([
    collect({ [Symbol.asyncIterator]: () => stream }),
    collect((async function* () {
      for await (const message of { [Symbol.asyncIterator]: () => other }) {
        await new Promise((resolve) => setTimeout(resolve, 1));
        yield message;
      }
    })()),
  ]);
  assertEquals([first.stdout.length, second.stdout.length], [20_000_000, 20_000_000]);
});

Deno.test("a client that goes away frees a process that waits for it", async () => {
  await using envd = new TestEnvd();
  const client = envd.processes();
  const gone = new AbortController();
  const file = `${envd.dir}/finished`;
  const script = `head -c 50000000 /dev/zero; touch ${file}`;
  const stream = client.start({ process: sh(script) }, { signal: gone.signal });
  await pidOf(stream[Symbol.asyncIterator]());
  gone.abort();
  await eventually(() => Deno.stat(file).catch(() => undefined), "the end of the process");
});

Deno.test("a descendant that keeps the pipe neither delays the end for ever nor breaks", async () => {
  await using envd = new TestEnvd();
  const file = `${envd.dir}/alive`;
  const script = `(sleep 1.5; echo unheard; echo $? > ${file}; exec sleep 300) & echo $!`;
  const { stdout, end } = await collect(envd.processes().start({ process: sh(script) }));
  assertEquals(end.exitCode, 0);
  const written = await eventually(
    () => Deno.readTextFile(file).catch(() => undefined),
    "the daemon's write",
  );
  assertEquals(written, "0\n");
  Deno.kill(Number(stdout.trim()), "SIGKILL");
});

Deno.test("last words are delivered although a descendant holds the pipe", async () => {
  await using envd = new TestEnvd();
  const script = "sleep 300 & echo $! >&2; head -c 65000 /dev/zero | tr '\\0' x";
  const { stdout, stderr } = await collect(envd.processes().start({ process: sh(script) }));
  Deno.kill(Number(stderr.trim()), "SIGKILL");
  assertEquals(stdout.length, 65000);
});

Deno.test("silence is filled with keepalives", async () => {
  await using envd = new TestEnvd();
  const kinds: string[] = [];
  const options = { headers: { "keepalive-ping-interval": "0.1" } };
  for await (const { event } of envd.processes().start({ process: sh("sleep 0.5") }, options)) {
    kinds.push(event?.event.case ?? "");
  }
  assert(kinds.filter((kind) => kind === "keepalive").length >= 2, kinds.join());
  assertEquals([kinds[0], kinds.at(-1)], ["start", "end"]);
});
