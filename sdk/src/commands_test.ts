import { assert, assertEquals, assertRejects } from "@std/assert";
import { FakeServer } from "../testing/fake_server.ts";
import {
  CommandExitError,
  InvalidRequestError,
  NotFoundError,
  Sandbox,
  TimeoutError,
} from "../mod.ts";

async function open(): Promise<{ server: FakeServer; sandbox: Sandbox } & AsyncDisposable> {
  const server = new FakeServer();
  const sandbox = await Sandbox.create(server.options);
  return {
    server,
    sandbox,
    async [Symbol.asyncDispose]() {
      await sandbox.destroy();
      await server[Symbol.asyncDispose]();
    },
  };
}

Deno.test("run() of a line goes through a shell, of a list does not", async () => {
  await using t = await open();
  assertEquals((await t.sandbox.commands.run("echo a b")).stdout, "a b\n");
  assertEquals((await t.sandbox.commands.run(["echo", "a b"])).stdout, "a b\n");
  const { stdout } = await t.sandbox.commands.run(["env"], {
    cwd: "/tmp",
    env: { A: "1" },
    user: "root",
    timeoutMs: 1001,
  });
  assertEquals(JSON.parse(stdout), {
    cmd: "env",
    args: [],
    cwd: "/tmp",
    env: { A: "1" },
    user: "root",
    timeout_sec: 2,
  });
});

Deno.test("run() throws CommandExitError with the result, or returns it with check: false", async () => {
  await using t = await open();
  for (const extra of [{}, { onStdout: () => {} }]) {
    const error = await assertRejects(
      () => t.sandbox.commands.run("fail 3", extra),
      CommandExitError,
      "code 3: it broke",
    );
    assertEquals([error.exitCode, error.result.stderr], [3, "it broke\n"]);
    const result = await t.sandbox.commands.run("fail 3", { ...extra, check: false });
    assertEquals([result.exitCode, result.ok], [3, false]);
  }
});

Deno.test("run() gives bytes as they were", async () => {
  await using t = await open();
  for (const extra of [{}, { onStdout: () => {} }]) {
    const { stdoutBytes } = await t.sandbox.commands.run("bytes", extra);
    assertEquals(stdoutBytes, new Uint8Array([0, 255, 128]));
  }
});

Deno.test("run() of a command that was killed at its limit throws TimeoutError with the result", async () => {
  await using t = await open();
  const options = { timeoutMs: 500 };
  const error = await assertRejects(
    () => t.sandbox.commands.run(["hang", "killed"], options),
    TimeoutError,
  );
  assertEquals([error.code, error.result?.stdout], ["command_timeout", "part"]);
  const result = await t.sandbox.commands.run(["hang", "killed"], { ...options, check: false });
  assertEquals(result.timedOut, true);
});

Deno.test("run() refuses what cannot be sent", async () => {
  await using t = await open();
  const { commands } = t.sandbox;
  await assertRejects(() => commands.run([""]), InvalidRequestError, "empty");
  await assertRejects(() => commands.run("x", { timeoutMs: -1 }), InvalidRequestError, "timeoutMs");
});

Deno.test("run() with callbacks streams both outputs in order", async () => {
  await using t = await open();
  let out = "", err = "";
  const result = await t.sandbox.commands.run("lines 20", {
    onStdout: async (text) => {
      await Promise.resolve();
      out += text;
    },
    onStderr: (text) => void (err += text),
  });
  assertEquals(result.stdout, out);
  assertEquals(result.stderr, err);
  assertEquals(out.trim().split("\n").map(Number), Array.from({ length: 20 }, (_, i) => i + 1));
});

Deno.test("A character cut between two pieces reaches the callback whole", async () => {
  await using t = await open();
  const seen: string[] = [];
  await t.sandbox.commands.run("split", { onStdout: (text) => void seen.push(text) });
  assertEquals(seen, ["é"]);
});

Deno.test("A callback that throws ends the command and the call", async () => {
  await using t = await open();
  const onStdout = (): void => {
    throw new RangeError("Callback broke");
  };
  await assertRejects(() => t.sandbox.commands.run("sleep", { onStdout }), RangeError, "broke");
});

Deno.test("run() with stdin gives the command its whole input", async () => {
  await using t = await open();
  const text = "x".repeat(300_000);
  assertEquals((await t.sandbox.commands.run("cat", { stdin: text })).stdout, text);
  const bytes = new Uint8Array([0, 200, 10]);
  assertEquals((await t.sandbox.commands.run("cat", { stdin: bytes })).stdoutBytes, bytes);
});

Deno.test("A background command takes input, streams and ends", async () => {
  await using t = await open();
  const cat = await t.sandbox.commands.run("cat", { background: true, stdin: true });
  assertEquals(cat.pid, 42);
  await cat.sendStdin("one ");
  await cat.sendStdin("two");
  await cat.closeStdin();
  let all = "";
  for await (const { stream, text } of cat) {
    assertEquals(stream, "stdout");
    all += text;
  }
  assertEquals(all, "one two");
  assertEquals((await cat.wait()).stdout, "one two");
  let again = "";
  for await (const { text } of cat) again += text;
  assertEquals(again, all);
});

Deno.test("kill() ends a background command with its signal", async () => {
  await using t = await open();
  const sleep = await t.sandbox.commands.run("sleep", { background: true, timeoutMs: 0 });
  await sleep.kill("SIGINT");
  const error = await assertRejects(() => sleep.wait(), CommandExitError);
  assertEquals(error.exitCode, 130);
  await sleep.kill();
});

Deno.test("A command that does not exist is an error before the handle", async () => {
  await using t = await open();
  const start = t.sandbox.commands.run(["nothing"], { background: true });
  const error = await assertRejects(() => start, InvalidRequestError);
  assertEquals(error.code, "command_not_found");
});

Deno.test("A WebSocket that is refused throws the platform's error", async () => {
  await using t = await open();
  await t.sandbox.destroy();
  const start = t.sandbox.commands.run(["cat"], { background: true });
  const error = await assertRejects(() => start, NotFoundError);
  assertEquals([error.code, error.requestId], ["sandbox_not_found", "req-1"]);
});

Deno.test("An AbortSignal ends a streaming command and leaves the platform", async () => {
  await using t = await open();
  const abort = new AbortController();
  const run = t.sandbox.commands.run("sleep", {
    signal: abort.signal,
    onStdout: () => abort.abort(new RangeError("Enough")),
  });
  await assertRejects(() => run, RangeError, "Enough");
  await t.server.left;
});

Deno.test("Disposing of a handle leaves the command", async () => {
  await using t = await open();
  {
    await using sleep = await t.sandbox.commands.run("sleep", { background: true });
    assert(sleep.pid > 0);
  }
  await t.server.left;
});

Deno.test("Output that nobody keeps is sent only as fast as it is taken", async () => {
  await using t = await open();
  const total = 64 * 1024 * 1024;
  const flood = await t.sandbox.commands.run("flood 64", { background: true, capture: false });
  let bytes = 0;
  for await (const { data } of flood) {
    bytes += data.length;
    break;
  }
  let before = -1;
  while (before !== t.server.sent) { // until the platform can send no more
    before = t.server.sent;
    await new Promise((resolve) => setTimeout(resolve, 200));
  }
  assert(before < total / 2, `Sent ${before} characters to a reader that does not read`);
  for await (const { data } of flood) bytes += data.length;
  assertEquals(bytes, total);
  const result = await flood.wait();
  assertEquals([result.exitCode, result.stdoutBytes.length], [0, 0]);
});
