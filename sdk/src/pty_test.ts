import { assertEquals, assertRejects } from "@std/assert";
import { FakeServer } from "../testing/fake_server.ts";
import { Sandbox } from "../mod.ts";

Deno.test("A terminal shows, takes input, resizes and ends", async () => {
  await using server = new FakeServer();
  await using sandbox = await Sandbox.create(server.options);
  let shown = "";
  const pty = await sandbox.pty.create({
    cols: 100,
    rows: 30,
    onData: (data) => void (shown += new TextDecoder().decode(data)),
  });
  await pty.resize({ cols: 120, rows: 40 });
  await pty.write("exit\n");
  const exit = await pty.wait();
  assertEquals(exit, { exitCode: 7, timedOut: false, durationMs: 5 });
  assertEquals(shown, "xterm-256color 100x30\r\n120x40\r\nexit\n");
  await pty.kill();
});

Deno.test("A terminal without a callback is iterated over", async () => {
  await using server = new FakeServer();
  await using sandbox = await Sandbox.create(server.options);
  const pty = await sandbox.pty.create({ env: { TERM: "vt100" } });
  let shown = "";
  await pty.write("exit\n");
  for await (const data of pty) shown += new TextDecoder().decode(data);
  assertEquals(shown, "vt100 80x24\r\nexit\n");
  assertEquals((await pty.wait()).exitCode, 7);
});

Deno.test("kill() and disposal close a terminal", async () => {
  await using server = new FakeServer();
  await using sandbox = await Sandbox.create(server.options);
  const pty = await sandbox.pty.create();
  await pty.kill();
  assertEquals((await pty.wait()).exitCode, 137);
  {
    await using other = await sandbox.pty.create({ onData: () => {} });
    assertEquals(other.pid, 42);
  }
  await server.left;
});

Deno.test("An AbortSignal closes a terminal", async () => {
  await using server = new FakeServer();
  await using sandbox = await Sandbox.create(server.options);
  const abort = new AbortController();
  const pty = await sandbox.pty.create({ signal: abort.signal });
  abort.abort(new RangeError("Enough"));
  await assertRejects(() => pty.wait(), RangeError, "Enough");
});
