import { assertEquals, assertRejects } from "@std/assert";
import { SandboxStatus } from "@wrenn/proto/agent";
import { ConnectError } from "@connectrpc/connect";
import { denoTransport, fromConnectError } from "@wrenn/common";
import { createClient } from "@connectrpc/connect";
import { AgentService } from "@wrenn/proto/agent";
import type { AgentClient } from "../services/types.ts";
import { FakeAgent } from "./fake_agent.ts";

const id = "sb-00000001";
const file = (path: string): { id: string; path: string } => ({ id, path });

async function run(agent: AgentClient, fake: FakeAgent): Promise<void> {
  await agent.createSandbox({ id, executionId: "e1", spec: { template: "base" } });
  const out = await agent.exec({ id, command: { cmd: "echo", args: ["hi"] } });
  assertEquals(new TextDecoder().decode(out.stdout), "hi\n");
  const error = await assertRejects(() => agent.exec({ id: "sb-ffffffff" }), ConnectError);
  assertEquals(fromConnectError(error).code, "sandbox_not_found");

  const events: string[] = [];
  async function* input() {
    yield {
      event: {
        case: "start" as const,
        value: { id, command: { cmd: "cat" }, stdin: true },
      },
    };
    yield { event: { case: "stdin" as const, value: new TextEncoder().encode("abc") } };
    yield { event: { case: "stdinClose" as const, value: true } };
  }
  for await (const { event } of agent.execStream(input())) {
    const text = event.value instanceof Uint8Array ? new TextDecoder().decode(event.value) : "";
    events.push(`${event.case}${text}`);
  }
  assertEquals(events, ["start", "stdoutabc", "exit"]);

  async function* content() {
    yield { event: { case: "start" as const, value: file("a/b.bin") } };
    for (let i = 0; i < 4; i++) {
      yield { event: { case: "data" as const, value: new Uint8Array(65536).fill(i) } };
    }
  }
  const written = await agent.writeFile(content());
  assertEquals([written.path, written.size], ["/home/user/a/b.bin", 262144n]);
  let size = 0;
  for await (const piece of agent.readFile({ file: file("a/b.bin"), offset: 1n })) {
    size += piece.data.length;
  }
  assertEquals(size, 262143);
  assertEquals((await agent.listDir({ file: file("a") })).entries.map((e) => e.name), ["b.bin"]);
  const missing = await assertRejects(async () => {
    for await (const _ of agent.readFile({ file: file("none") }));
  }, ConnectError);
  assertEquals(fromConnectError(missing).code, "file_not_found");
  await agent.destroySandbox({ id, executionId: "e1" });
  assertEquals(fake.vms.get(id)?.sandbox.status, SandboxStatus.STOPPED);
}

Deno.test("FakeAgent answers in memory", async () => {
  const fake = new FakeAgent();
  await run(fake.client(), fake);
});

Deno.test("FakeAgent answers over TCP", async () => {
  const fake = new FakeAgent();
  const handle = fake.handler();
  const server = Deno.serve(
    { port: 0, hostname: "127.0.0.1", onListen: () => {} },
    (request) => handle(request) ?? new Response(null, { status: 404 }),
  );
  using client = Deno.createHttpClient({});
  const transport = denoTransport({ baseUrl: `http://127.0.0.1:${server.addr.port}`, client });
  await run(createClient(AgentService, transport), fake);
  await server.shutdown();
});
