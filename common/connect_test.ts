import { assertEquals } from "@std/assert";
import { createClient } from "@connectrpc/connect";
import { Process } from "@wrenn/proto/process";
import { WrennError } from "./errors.ts";
import { fromConnectError, toConnectError } from "./connect_error.ts";
import { connectHandler } from "./connect_handler.ts";
import { denoTransport } from "./connect_transport.ts";

const handler = connectHandler((router) => {
  router.service(Process, {
    list: () => ({ processes: [{ pid: 7 }] }),
    sendSignal: () => {
      throw toConnectError(new WrennError("process_not_found", "No process 7"));
    },
    async *start(request) {
      for (let pid = 0; pid < Number(request.process?.args[0]); pid++) {
        yield { event: { event: { case: "start", value: { pid } } } };
        await Promise.resolve();
      }
    },
    async streamInput(requests) {
      for await (const _ of requests);
      return {};
    },
  });
});

Deno.test.each([[false], [true]])(
  "Connect works over a Unix socket (json: %s)",
  async (json: boolean) => {
    const path = `${await Deno.makeTempDir()}/rpc.sock`;
    const server = Deno.serve(
      { path, onListen: () => {} },
      (request) => handler(request) ?? new Response(null, { status: 404 }),
    );
    using client = Deno.createHttpClient({ proxy: { transport: "unix", path } });
    const rpc = createClient(Process, denoTransport({ baseUrl: "http://localhost", client, json }));

    assertEquals((await rpc.list({})).processes.map((p) => p.pid), [7]);
    const error = await rpc.sendSignal({}).catch(fromConnectError);
    assertEquals(error instanceof WrennError && [error.code, error.message], [
      "process_not_found",
      "No process 7",
    ]);
    let n = 0;
    for await (const _ of rpc.start({ process: { args: ["5"] } })) n++;
    assertEquals(n, 5);
    await rpc.streamInput((async function* () {
      yield { event: { case: "keepalive" as const, value: {} } };
    })());
    await server.shutdown();
  },
);

Deno.test("who leaves a response aborts its call, whether or not the request says so", async () => {
  const waiting = Promise.withResolvers<void>();
  const aborted = Promise.withResolvers<void>();
  const streaming = connectHandler((router) =>
    router.service(Process, {
      async *start(_request, { signal }) {
        signal.addEventListener("abort", () => aborted.resolve());
        yield { event: { event: { case: "start", value: { pid: 7 } } } };
        waiting.resolve();
        await aborted.promise;
      },
    })
  );
  const response = await streaming(
    new Request("http://localhost/process.Process/Start", {
      method: "POST",
      headers: { "content-type": "application/connect+json", "connect-protocol-version": "1" },
      body: new Uint8Array([0, 0, 0, 0, 2, ...new TextEncoder().encode("{}")]),
    }),
  );
  const reader = response?.body?.getReader();
  await reader?.read();
  await waiting.promise;
  await reader?.cancel();
  await aborted.promise;
});
