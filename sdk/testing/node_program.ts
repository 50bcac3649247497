/** The SDK's flows as a program that runs on Deno and on Node alike; prints `ok` at the end. */
import { equal, ok, rejects } from "node:assert/strict";
import { argv, stdout, versions } from "node:process";
import { CommandExitError, NotFoundError, Sandbox } from "../mod.ts";

const [apiUrl, apiKey, mode] = argv.slice(2);
const sandbox = await Sandbox.create({ apiUrl, apiKey });
try {
  equal((await sandbox.commands.run("echo hello")).stdout, "hello\n");
  const failing = mode === "fake" ? "fail 3" : "exit 3";
  await rejects(sandbox.commands.run(failing), (error: unknown) => {
    return error instanceof CommandExitError && error.exitCode === 3;
  });

  let streamed = "";
  await sandbox.commands.run("echo streamed", { onStdout: (text) => void (streamed += text) });
  equal(streamed, "streamed\n");

  const cat = await sandbox.commands.run(["cat"], { background: true, stdin: true });
  await cat.sendStdin("typed\n");
  await cat.closeStdin();
  equal((await cat.wait()).stdout, "typed\n");

  const pty = await sandbox.pty.create({ cols: 90, rows: 33 });
  await pty.write("exit\n");
  let shown = 0;
  for await (const data of pty) shown += data.length;
  ok(shown > 0);
  equal(typeof (await pty.wait()).exitCode, "number");

  const bytes = new Uint8Array(300_000).map((_, i) => i % 251);
  const pieces = new ReadableStream<Uint8Array>({
    start(controller) {
      for (let i = 0; i < bytes.length; i += 65536) {
        controller.enqueue(bytes.subarray(i, i + 65536));
      }
      controller.close();
    },
  });
  equal((await sandbox.files.write("/tmp/stream.bin", pieces)).size, bytes.length);
  const back = await sandbox.files.read("/tmp/stream.bin", { format: "stream" });
  let at = 0;
  for await (const piece of back) {
    for (const byte of piece) equal(byte, at++ % 251);
  }
  equal(at, bytes.length);
  await sandbox.files.write("/tmp/text.txt", "café");
  equal(await sandbox.files.read("/tmp/text.txt"), "café");
  await rejects(sandbox.files.read("/tmp/none"), NotFoundError);

  await sandbox.files.makeDir("/tmp/watched");
  const watch = await sandbox.files.watch("/tmp/watched");
  await sandbox.files.write("/tmp/watched/x", "1");
  for await (const { name } of watch) {
    equal(name, "x");
    break;
  }

  const abort = new AbortController();
  const sleep = sandbox.commands.run(mode === "fake" ? ["sleep"] : ["sleep", "600"], {
    signal: abort.signal,
    onStdout: () => {},
  });
  setTimeout(() => abort.abort(new RangeError("Enough")), 50);
  await rejects(sleep, RangeError);

  const ids: string[] = [];
  for await (const { id } of Sandbox.list({ apiUrl, apiKey })) ids.push(id);
  ok(ids.includes(sandbox.id));
} finally {
  await sandbox.destroy();
}
await rejects(
  Sandbox.connect(sandbox.id, { apiUrl, apiKey, maxRetries: 0 }).then(async (gone) => {
    if ((await gone.info()).status === "stopped") throw new NotFoundError("stopped", "Stopped");
  }),
  NotFoundError,
);
stdout.write(`ok ${versions.node}\n`);
