import { createHash } from "node:crypto";
import { assert, assertEquals, assertRejects } from "@std/assert";
import { CommandExitError, InvalidRequestError, WrennError } from "@wrenn/sdk";
import { rawSocket } from "./lib/socket.ts";
import { createSandbox, sharedSandbox } from "./lib/sandbox.ts";
import { until } from "./lib/wait.ts";
import { test } from "./lib/test.ts";

const sandbox = sharedSandbox();

test("Output comes line by line while the command runs", async () => {
  // Each line is answered before the next is printed: nothing can have been held back.
  const script = "for i in 1 2 3; do echo line $i; read answer; echo got $answer; done";
  const shell = await sandbox().commands.run(["bash", "-c", script], {
    background: true,
    stdin: true,
  });
  let text = "";
  let answered = 0;
  for await (const output of shell) {
    text += output.text;
    const asked = text.match(/line \d/g)?.length ?? 0;
    for (; answered < asked; answered++) await shell.sendStdin(`a${answered}\n`);
  }
  assertEquals(text, "line 1\ngot a0\nline 2\ngot a1\nline 3\ngot a2\n");
  assertEquals((await shell.wait()).exitCode, 0);
});

test("Input goes in whole and ends", async () => {
  const bytes = new Uint8Array(4 * 1024 * 1024).map((_, i) => (i * 31) >> 3);
  const expected = createHash("sha256").update(bytes).digest("hex");
  const { stdout } = await sandbox().commands.run("sha256sum", { stdin: bytes });
  assertEquals(stdout.split(" ")[0], expected);
});

test("A command without stdin reads end of file at once", async () => {
  let out = "";
  await sandbox().commands.run("cat; echo over", { onStdout: (text) => void (out += text) });
  assertEquals(out, "over\n");
});

test("SIGINT reaches a Python program", async () => {
  const program = [
    "import time",
    "print('ready', flush=True)",
    "try:",
    "  time.sleep(600)",
    "except KeyboardInterrupt:",
    "  print('interrupted')",
  ].join("\n");
  const python = await sandbox().commands.run(["python3", "-c", program], { background: true });
  for await (const { text } of python) {
    if (text.includes("ready")) await python.kill("SIGINT");
  }
  assertEquals((await python.wait()).stdout, "ready\ninterrupted\n");
});

test("SIGKILL is exit code 137, the time limit is told as such", async () => {
  const { commands } = sandbox();
  const sleep = await commands.run(["sleep", "600"], { background: true });
  await sleep.kill();
  const error = await assertRejects(() => sleep.wait(), CommandExitError);
  assertEquals(error.exitCode, 137);
  const limited = await commands.run(["sleep", "600"], {
    background: true,
    timeoutMs: 1000,
    check: false,
  });
  assertEquals((await limited.wait()).timedOut, true);
});

test("Fifty megabytes of output arrive unchanged at a slow reader", async () => {
  const total = 50 * 1024 * 1024;
  const program = `import sys
b = bytes(range(256)) * 256
for i in range(${total} // len(b)): sys.stdout.buffer.write(b)`;
  const python = await sandbox().commands.run(["python3", "-c", program], {
    background: true,
    capture: false,
  });
  const block = new Uint8Array(65536).map((_, i) => i & 255);
  const expected = createHash("sha256");
  for (let i = 0; i < total / block.length; i++) expected.update(block);
  const seen = createHash("sha256");
  let count = 0, pauses = 0;
  for await (const { data } of python) {
    seen.update(data);
    count += data.length;
    if (count > (pauses + 1) * 10_000_000) {
      pauses++;
      await new Promise((resolve) => setTimeout(resolve, 200));
    }
  }
  assertEquals(count, total);
  assertEquals(seen.digest("hex"), expected.digest("hex"));
});

test("A command whose client leaves is killed", async () => {
  const { commands } = sandbox();
  {
    await using sleep = await commands.run(["sleep", "779"], { background: true });
    assert(sleep.pid > 1);
  }
  await until("the end of the command", async () => {
    const { stdout } = await commands.run(["ps", "-eo", "args"], { user: "root" });
    return stdout.includes("sleep 779") ? undefined : true;
  });
});

test("Destroying a sandbox ends what streams from it", async () => {
  const other = await createSandbox({ template: "minimal" });
  try {
    const sleep = await other.commands.run(["sleep", "600"], { background: true });
    const watch = await other.files.watch("/tmp");
    const pty = await other.pty.create({ command: ["sleep", "600"] });
    const ends = Promise.allSettled([
      sleep.wait(),
      pty.wait(),
      (async () => {
        for await (const _ of watch);
        throw new Error("The watch ended without a reason");
      })(),
    ]);
    await other.destroy();
    const codes = (await ends).map((end) =>
      end.status === "rejected" && end.reason instanceof WrennError ? end.reason.code : end
    );
    for (const code of codes) {
      const said = ["sandbox_not_running", "guest_unavailable", "sandbox_not_found", "canceled"];
      assert(typeof code === "string" && said.includes(code), String(code));
    }
  } finally {
    await other.destroy();
  }
});

test("A command that does not exist is an error before its start", async () => {
  const start = sandbox().commands.run(["no-such-program"], { background: true });
  const error = await assertRejects(() => start, InvalidRequestError);
  assertEquals(error.code, "command_not_found");
});

test("Wrong messages are answered with a code and a close", async () => {
  const path = `/v1/sandboxes/${sandbox().id}/exec/stream`;
  for (const first of ["{", "[]", "7", '{"cmd":7}', '{"cmd":"true","nonsense":1}']) {
    await using socket = await rawSocket(path);
    socket.send(first);
    const { messages, code } = await socket.ended;
    assertEquals(messages.length, 1, first);
    assertEquals(messages[0]?.["type"], "error");
    assertEquals(code, 4400, first);
  }
  await using socket = await rawSocket(path);
  socket.send('{"cmd":"sleep","args":["600"]}');
  await socket.next();
  socket.send('{"type":"resize","cols":0,"rows":-1}');
  const { messages, code } = await socket.ended;
  assertEquals([messages.at(-1)?.["type"], code], ["error", 4400]);
});
