// Not a unit test: those run side by side in one process, whose memory is measured here.
import { assert, assertEquals } from "@std/assert";
import { FakeServer } from "../testing/fake_server.ts";
import { Sandbox } from "./sandbox.ts";

Deno.test("A stream of 256 MiB passes both ways without being held", async () => {
  await using server = new FakeServer();
  await using sandbox = await Sandbox.create(server.options);
  const size = 256 * 1024 * 1024;
  const down = await sandbox.files.read("/dev/zero", { format: "stream", length: size });
  let held = 0;
  const counted = down.pipeThrough(
    new TransformStream<Uint8Array, Uint8Array>({
      transform(piece, controller) {
        held = Math.max(held, Deno.memoryUsage().rss);
        controller.enqueue(piece);
      },
    }),
  );
  const start = Deno.memoryUsage().rss;
  assertEquals((await sandbox.files.write("/dev/null", counted)).size, size);
  assert(held - start < 200 * 1024 * 1024, `Grew by ${held - start} bytes`);
});
