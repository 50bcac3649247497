/**
 * The app alone in a process, over an agent at the address given as argument, so that its memory can be measured.
 * Prints its port and the id of a sandbox, one line of JSON, and ends when its input ends.
 *
 * @module
 */
import { createClient } from "@connectrpc/connect";
import { AgentService } from "@wrenn/proto/agent";
import { denoTransport, logger } from "@wrenn/common";
import { createApp } from "../app.ts";
import { listen } from "../http/server.ts";
import { FakeKeys, FakeReadiness, FakeSandboxes, FakeSnapshotService } from "./fake_services.ts";

if (import.meta.main) {
  const transport = denoTransport({ baseUrl: `http://${Deno.args[0]}` });
  const agent = createClient(AgentService, transport);
  const sandboxes = new FakeSandboxes(agent);
  const snapshots = new FakeSnapshotService(agent, sandboxes);
  const readiness = new FakeReadiness();
  const log = logger("api", "test");
  const app = createApp({ sandboxes, snapshots, keys: new FakeKeys(), readiness, log });
  const server = await listen({
    address: { transport: "tcp", hostname: "127.0.0.1", port: 0 },
    fetch: (request, info) => app.fetch(request, info),
    log,
  });
  const { id } = await sandboxes.create({ teamId: "team-1", keyId: "key-1" }, {
    template: "base",
    vcpus: 1,
    memoryMb: 512,
    diskMb: 0,
    timeoutSec: 0,
    onTimeout: "destroy",
    env: {},
    metadata: {},
    network: { internet: true, allowOut: [], denyOut: [] },
  });
  const port = server.address.transport === "tcp" ? server.address.port : 0;
  const line = JSON.stringify({ port, id });
  await Deno.stdout.write(new TextEncoder().encode(`${line}\n`));
  for await (const _ of Deno.stdin.readable);
  app.close();
  await server.drain(1000);
}
