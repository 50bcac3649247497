import { assert, assertEquals, assertRejects } from "@std/assert";
import { createClient } from "@connectrpc/connect";
import { AgentService, SandboxStatus } from "@wrenn/proto/agent";
import { delay, denoTransport } from "@wrenn/common";
import { codeOf, startFixture } from "../testing/agent_fixture.ts";
import { startServer } from "./server.ts";

const ID = "sb-00000001";

Deno.test("The service answers nobody without the secret", async () => {
  await using fixture = await startFixture();
  const http = Deno.createHttpClient({ proxy: { transport: "unix", path: fixture.socket } });
  using _http = http;
  for (const authorization of ["", "Bearer", "Bearer wrong", "Basic a secret of the test"]) {
    const client = createClient(
      AgentService,
      denoTransport({ baseUrl: "http://localhost", client: http }),
    );
    const headers: Record<string, string> = authorization === "" ? {} : { authorization };
    assertEquals(await codeOf(client.listSandboxes({}, { headers })), "unauthorized");
    assertEquals(await codeOf(client.watchSandboxes({}, { headers })), "unauthorized");
  }
  const health = await fetch("http://localhost/health", { client: http });
  assertEquals([health.status, await health.text()], [200, "ok\n"]);
  const nothing = await fetch("http://localhost/nothing", { client: http });
  assertEquals(nothing.status, 404);
  assertEquals((await nothing.json()).error.code, "not_found");
});

Deno.test("The socket is open to its owner alone, and a stale one is replaced", async () => {
  await using fixture = await startFixture();
  assertEquals(((await Deno.stat(fixture.socket)).mode ?? 0) & 0o777, 0o600);
  const host = {
    hostId: "host-00000002" as const,
    version: "1",
    cpus: 1,
    memoryMb: 1,
    vmm: fixture.host.vmm(),
    rootfs: fixture.host.disks,
  };
  const options = { secret: "s", manager: fixture.manager, host };
  await assertRejects(
    () => startServer({ ...options, listen: { transport: "unix", path: fixture.socket } }),
    Deno.errors.AddrInUse,
  );
  // Renamed, the socket outlives its listener as it does a killed process.
  const path = `${fixture.host.runDir}/stale.sock`;
  const dead = Deno.listen({ transport: "unix", path: `${path}.live` });
  await Deno.rename(`${path}.live`, path);
  dead.close();
  const server = await startServer({ ...options, listen: { transport: "unix", path } });
  await server.stop(100);
});

Deno.test("stop() does not wait for a caller that never ends its request", async () => {
  await using fixture = await startFixture();
  const caller = await Deno.connect({ transport: "unix", path: fixture.socket });
  await caller.write(new TextEncoder().encode([
    "POST /wrenn.agent.v1.AgentService/ListSandboxes HTTP/1.1",
    "host: localhost",
    "content-type: application/proto",
    "expect: 100-continue",
    "content-length: 10\r\n\r\n",
  ].join("\r\n")));
  // The server asks for the rest: the call is under way.
  await caller.read(new Uint8Array(100));
  await fixture.server.stop(50);
  caller.close();
});

Deno.test("Life cycle calls go from create to destroy", async () => {
  await using fixture = await startFixture();
  const { client } = fixture;
  const stop = new AbortController();
  const seen: (SandboxStatus | undefined)[] = [];
  const watching = (async () => {
    for await (const { sandbox } of client.watchSandboxes({}, { signal: stop.signal })) {
      seen.push(sandbox?.status);
    }
  })();
  while (seen.length === 0) await delay(2);
  const { sandbox } = await fixture.create(1);
  assertEquals(sandbox.status, SandboxStatus.RUNNING);
  assertEquals(sandbox.spec?.diskMb, 1024);
  assertEquals(sandbox.spec?.env, {}, "Secrets of the guest came back");
  assertEquals((await client.pauseSandbox({ id: ID })).sandbox?.status, SandboxStatus.PAUSED);
  assertEquals(
    await codeOf(client.exec({ id: ID, command: { cmd: "echo" } })),
    "sandbox_paused",
  );
  assertEquals((await client.resumeSandbox({ id: ID })).sandbox?.status, SandboxStatus.RUNNING);
  assertEquals((await client.pingSandbox({ id: ID })).sandbox?.id, ID);
  assertEquals((await client.getSandbox({ id: ID })).sandbox?.executionId, "e1");
  assertEquals(await codeOf(client.destroySandbox({ id: ID, executionId: "e9" })), "conflict");
  await client.destroySandbox({ id: ID, executionId: "e1" });
  await client.destroySandbox({ id: ID });
  assertEquals((await client.listSandboxes({})).sandboxes[0]?.status, SandboxStatus.STOPPED);
  while (seen.length < 6) await delay(2);
  stop.abort();
  await watching.catch(() => {});
  const { STARTING, RUNNING, PAUSED, STOPPED } = SandboxStatus;
  assertEquals(seen, [undefined, STARTING, RUNNING, PAUSED, RUNNING, STOPPED]);
  assertEquals(fixture.host.left(), []);
});

Deno.test("Calls refuse what cannot be, with codes", async () => {
  await using fixture = await startFixture();
  const { client } = fixture;
  const command = { cmd: "echo" };
  assertEquals(await codeOf(client.getSandbox({ id: "../../etc" })), "invalid_request");
  assertEquals(await codeOf(client.getSandbox({ id: ID })), "sandbox_not_found");
  assertEquals(await codeOf(client.exec({ id: ID, command })), "sandbox_not_found");
  assertEquals(
    await codeOf(client.createSandbox({ id: ID, executionId: "e1" })),
    "invalid_request",
  );
  const spec = { template: "other", vcpus: 1, memoryMb: 256 };
  assertEquals(
    await codeOf(client.createSandbox({ id: ID, executionId: "e1", spec })),
    "template_not_found",
  );
  assertEquals(await codeOf(client.exec({ id: ID, command })), "sandbox_not_running");
  await client.destroySandbox({ id: "sb-0000beef" });
});

Deno.test("Host calls describe the host and its use", async () => {
  await using fixture = await startFixture();
  await fixture.create(1);
  const info = await fixture.client.getHostInfo({});
  assertEquals(
    [info.hostId, info.version, info.accelerator, info.vmm, info.templates[0]?.name],
    ["host-00000001", "1.2.3", "tcg", "fake 1.0", "base"],
  );
  const stats = await fixture.client.getStats({});
  assertEquals([stats.sandboxes, stats.running, stats.slotsInUse], [1, 1, 1]);
  assertEquals(stats.perSandbox[0]?.memoryRssMb, 100n);
});

Deno.test("A client that leaves during a create leaves a sandbox that others find", async () => {
  await using fixture = await startFixture();
  const booting = Promise.withResolvers<void>();
  const goOn = Promise.withResolvers<void>();
  fixture.host.beforeBoot = () => {
    booting.resolve();
    return goOn.promise;
  };
  const stop = new AbortController();
  const spec = { template: "base", vcpus: 1, memoryMb: 256 };
  const request = { id: ID, executionId: "e1", spec };
  const first = codeOf(fixture.client.createSandbox(request, { signal: stop.signal }));
  await booting.promise;
  stop.abort();
  assertEquals(await first, "canceled");
  const second = fixture.client.createSandbox(request);
  goOn.resolve();
  assertEquals((await second).sandbox?.status, SandboxStatus.RUNNING);
  assert(fixture.host.machines.size === 1);
});

Deno.test("GET /metrics tells starts and pools to who has the secret", async () => {
  await using fixture = await startFixture();
  using http = Deno.createHttpClient({ proxy: { transport: "unix", path: fixture.socket } });
  const get = (secret: string): Promise<Response> =>
    fetch("http://localhost/metrics", {
      client: http,
      headers: { authorization: `Bearer ${secret}` },
    });
  const stranger = await get("wrong");
  assertEquals([stranger.status, (await stranger.json()).error.code], [401, "unauthorized"]);
  const count = async (): Promise<number> => {
    const answer = await get("a secret of the test");
    assertEquals(answer.status, 200);
    const text = await answer.text();
    const counts = text.matchAll(/^wrenn_sandbox_start_seconds_count\{.*\} (\d+)$/gm);
    return [...counts].reduce((sum, [, n]) => sum + Number(n), 0);
  };
  const before = await count();
  await fixture.create(1);
  assertEquals(await count(), before + 1);
});
