/** The whole service over a fake host, and a client of it, on a Unix socket. */
import { type Client, createClient } from "@connectrpc/connect";
import { AgentService, type Sandbox } from "@wrenn/proto/agent";
import { denoTransport, WrennError } from "@wrenn/common";
import { fromConnectError } from "@wrenn/common";
import { type AgentServer, startServer } from "../rpc/server.ts";
import type { SandboxManager } from "../sandbox/manager.ts";
import { FakeHost } from "./fake_host.ts";
import type { FakeVm } from "./fake_vm.ts";

/** A running service. */
export interface AgentFixture extends AsyncDisposable {
  readonly client: Client<typeof AgentService>;
  readonly host: FakeHost;
  readonly manager: SandboxManager;
  readonly server: AgentServer;
  readonly socket: string;
  /** Creates a sandbox with a number for an id. */
  create(n: number): Promise<{ sandbox: Sandbox; vm: FakeVm }>;
}

const SECRET = "a secret of the test";

/** Starts the service on a socket in a folder of its own. */
export async function startFixture(): Promise<AgentFixture> {
  const host = new FakeHost();
  const manager = host.manager();
  const folder = await Deno.makeTempDir({ prefix: "agent-test-" });
  const socket = `${folder}/agent.sock`;
  const server = await startServer({
    listen: { transport: "unix", path: socket },
    secret: SECRET,
    manager,
    host: {
      hostId: "host-00000001",
      version: "1.2.3",
      cpus: 2,
      memoryMb: 4096,
      vmm: host.vmm(),
      rootfs: host.disks,
    },
  });
  const http = Deno.createHttpClient({ proxy: { transport: "unix", path: socket } });
  const client = createClient(
    AgentService,
    denoTransport({
      baseUrl: "http://localhost",
      client: http,
      interceptors: [(next) => (request) => {
        if (!request.header.has("authorization")) {
          request.header.set("authorization", `Bearer ${SECRET}`);
        }
        return next(request);
      }],
    }),
  );
  return {
    client,
    host,
    manager,
    server,
    socket,
    create: async (n) => {
      const id = `sb-${n.toString(16).padStart(8, "0")}`;
      const { sandbox } = await client.createSandbox({
        id,
        executionId: "e1",
        spec: { template: "base", vcpus: 1, memoryMb: 256, env: { SECRET: "x" } },
      });
      if (!sandbox) throw new Error("Create answered without a sandbox");
      return { sandbox, vm: host.vm(id) };
    },
    [Symbol.asyncDispose]: async () => {
      await manager.stop();
      await server.stop(1000);
      http.close();
      await host[Symbol.asyncDispose]();
      await Deno.remove(folder, { recursive: true });
    },
  };
}

/** The code of what a call fails with. */
export async function codeOf(call: Promise<unknown> | AsyncIterable<unknown>): Promise<string> {
  try {
    if (call instanceof Promise) await call;
    else for await (const _ of call) { /* to the end */ }
  } catch (error) {
    return fromConnectError(error).code;
  }
  throw new WrennError("internal", "Call did not fail");
}
