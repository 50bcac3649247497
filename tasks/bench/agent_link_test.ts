import { assertEquals, assertRejects } from "@std/assert";
import { connectHandler } from "@wrenn/common";
import { AgentService } from "@wrenn/proto/agent";
import { requireSecret } from "../../agent/rpc/auth.ts";
import { readAgentAccess } from "../lib/agent_access.ts";
import { AgentLink, findPool } from "./agent_link.ts";
import { SHAPE } from "./testing/fixture.ts";

const POOL = {
  template: "base",
  vcpus: 1,
  memoryMb: 512,
  diskMb: 0,
  ready: 3,
  target: 4,
  hits: 10n,
  misses: 2n,
};

Deno.test("findPool() takes the pool of the shape, with the template's own disk", () => {
  const found = findPool([
    { ...POOL, template: "minimal", ready: 9 },
    { ...POOL, memoryMb: 1024, ready: 8 },
    { ...POOL, vcpus: 2, ready: 7 },
    { ...POOL, diskMb: 9000, ready: 6 },
    POOL,
  ], SHAPE);
  assertEquals(found, { ready: 3, target: 4, hits: 10, misses: 2 });
  assertEquals(findPool([], SHAPE), undefined);
});

Deno.test("AgentLink asks an agent over its socket, with the secret of its environment", async () => {
  const folder = await Deno.makeTempDir();
  const socket = `${folder}/agent.sock`;
  const secret = "a secret of the test";
  const handler = connectHandler((router) =>
    router.service(AgentService, {
      getStats: () => ({ pools: [POOL], spares: { ready: 1, target: 2 } }),
      getHostInfo: () => ({ accelerator: "tcg", vmm: "qemu 7.2.22" }),
    }), { interceptors: [requireSecret(secret)] });
  const server = Deno.serve(
    { path: socket, onListen: () => {} },
    (request) => handler(request) ?? new Response(null, { status: 404 }),
  );
  try {
    await Deno.mkdir(`${folder}/42`);
    const env = `PATH=/bin\0WRENN_AGENT_SECRET=${secret}\0WRENN_AGENT_LISTEN=unix:${socket}\0`;
    await Deno.writeTextFile(`${folder}/42/environ`, env);
    const access = await readAgentAccess(42, folder);
    if (access === undefined) throw new Error("No access");
    {
      using link = new AgentLink(access, SHAPE);
      const spares = { ready: 1, target: 2 };
      assertEquals(await link.pool(), { ready: 3, target: 4, hits: 10, misses: 2, spares });
      assertEquals((await link.host()).accelerator, "tcg");
    }
    using stranger = new AgentLink({ ...access, secret: "another" }, SHAPE);
    await assertRejects(() => stranger.pool());
  } finally {
    await server.shutdown();
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("readAgentAccess() has nothing of a process that is gone or is no agent", async () => {
  const folder = await Deno.makeTempDir();
  try {
    assertEquals(await readAgentAccess(42, folder), undefined);
    await Deno.mkdir(`${folder}/42`);
    await Deno.writeTextFile(`${folder}/42/environ`, "PATH=/bin\0");
    assertEquals(await readAgentAccess(42, folder), undefined);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});
