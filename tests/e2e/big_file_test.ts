import { createHash, type Hash } from "node:crypto";
import { assert, assertEquals } from "@std/assert";
import { parsePeak, peakBytes, resetPeak } from "./lib/memory.ts";
import { platformHost } from "./lib/platform.ts";
import { createSandbox } from "./lib/sandbox.ts";
import { test } from "./lib/test.ts";

const GIB = 1024 ** 3;
const SIZE = 2 * GIB;
/** What a process of the host may take for it beside what it has already, bytes: V8 lets dead buffers lie. */
const EXTRA = 128 * 1024 * 1024;
/** What the guest agent may use in all, bytes. */
const LIMIT = 200 * 1024 * 1024;
const PEAK_OF_ENVD =
  'for p in /proc/[0-9]*; do if tr "\\0" " " < $p/cmdline 2>/dev/null | grep -q "envd\\.js"; then grep -H VmHWM $p/status; fi; done';

test("Two GiB go in and out unchanged, in constant memory on the way", async () => {
  const { agentPid, apiPid } = platformHost();
  const sandbox = await createSandbox();
  try {
    await resetPeak(agentPid);
    await resetPeak(apiPid);
    const sent = createHash("sha256");
    const before = { agent: await peakBytes(agentPid), api: await peakBytes(apiPid) };
    const written = await sandbox.files.write("/home/user/big.bin", generated(SIZE, sent));
    assertEquals(written.size, SIZE);

    const received = createHash("sha256");
    let count = 0;
    for await (const piece of await sandbox.files.read("big.bin", { format: "stream" })) {
      received.update(piece);
      count += piece.length;
    }
    assertEquals(count, SIZE);
    assertEquals(received.digest("hex"), sent.digest("hex"));

    const guest = await sandbox.commands.run(["sh", "-c", PEAK_OF_ENVD], { user: "root" });
    const envdPeaks = guest.stdout.trim().split("\n").map((line) =>
      parsePeak(line.slice(line.indexOf("VmHWM")))
    );
    assert(envdPeaks.length > 0);
    const mib = (bytes: number): string => `${Math.round(bytes / 1024 / 1024)} MiB`;
    const took = {
      agent: await peakBytes(agentPid) - before.agent,
      api: await peakBytes(apiPid) - before.api,
    };
    for (const [name, bytes] of Object.entries(took)) {
      assert(bytes < EXTRA, `${name} took ${mib(bytes)} more`);
    }
    const envd = Math.max(...envdPeaks);
    assert(envd < LIMIT, `envd used ${mib(envd)} at its peak`);
  } finally {
    await sandbox.destroy();
  }
}, 10 * 60_000);

/** Bytes that do not repeat at any power of two, made and hashed while they are read. */
function generated(size: number, hash: Hash): ReadableStream<Uint8Array> {
  const base = crypto.getRandomValues(new Uint8Array(65521));
  let left = size, number = 0;
  return new ReadableStream({
    pull(controller) {
      const piece = base.slice(0, Math.min(left, base.length));
      new DataView(piece.buffer).setUint8(0, number++ & 255);
      hash.update(piece);
      left -= piece.length;
      controller.enqueue(piece);
      if (left === 0) controller.close();
    },
  });
}
