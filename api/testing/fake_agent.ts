/** A host agent in memory: the whole of AgentService without a VM, for tests of the control plane. */
import { create } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import {
  type ConnectRouter,
  createClient,
  createRouterTransport,
  type Interceptor,
  type ServiceImpl,
} from "@connectrpc/connect";
import {
  AgentService,
  type Sandbox,
  SandboxSchema,
  type SandboxSpec,
  SandboxStatus,
  WatchEventType,
} from "@wrenn/proto/agent";
import {
  type Clock,
  connectHandler,
  type RpcHandler,
  systemClock,
  toConnectError,
  WrennError,
} from "@wrenn/common";
import type { AgentClient } from "../services/types.ts";
import { BoundedQueue } from "../services/queue.ts";
import { FakeFiles } from "./fake_files.ts";
import { findProgram, runExec, runExecStream } from "./fake_exec.ts";
import { FakeSnapshots } from "./fake_snapshots.ts";
import type { FakeProgram } from "./fake_programs.ts";

/** Options of {@linkcode FakeAgent}. */
export interface FakeAgentOptions {
  readonly clock?: Clock;
  readonly hostId?: string;
  /** Default `minimal` and `base`. */
  readonly templates?: readonly string[];
}

/** One fake VM. Tests may change its fields to play what happens to real ones. */
export interface FakeVm {
  sandbox: Sandbox;
  readonly files: FakeFiles;
}

const EVENT_TYPES = {
  create: WatchEventType.CREATE,
  write: WatchEventType.WRITE,
  remove: WatchEventType.REMOVE,
  rename: WatchEventType.RENAME,
} as const;

/** The agent. `client()` calls it without sockets, `handler()` serves it over HTTP. */
export class FakeAgent {
  /** Sandboxes by id, ended ones included. */
  readonly vms: Map<string, FakeVm> = new Map();
  /** Method names in the order they were called. */
  readonly calls: string[] = [];
  /** Extra commands by name; they go before the built-in ones. */
  readonly programs: Map<string, FakeProgram> = new Map();
  /** While true every call answers `host_unavailable`. */
  down: boolean = false;
  /** Generations and snapshots. */
  readonly snapshots: FakeSnapshots;
  readonly #clock: Clock;
  readonly #hostId: string;
  readonly #templates: readonly string[];
  readonly #failures = new Map<string, unknown[]>();
  readonly #watchers = new Set<BoundedQueue<Sandbox>>();

  /** @param options Clock, host id and templates. */
  constructor(options: FakeAgentOptions = {}) {
    this.#clock = options.clock ?? systemClock;
    this.#hostId = options.hostId ?? "host-00000001";
    this.#templates = options.templates ?? ["minimal", "base"];
    this.snapshots = new FakeSnapshots({
      clock: this.#clock,
      sandbox: (id) => this.#vm(id).sandbox,
      set: (id, status) => this.set(id, status),
      add: (sandbox) => this.#add(sandbox),
    });
  }

  /** The next call of this method, named as in the proto file, fails with `error`. */
  failNext(method: keyof typeof AgentService.method | string, error: unknown): void {
    const name = method.charAt(0).toUpperCase() + method.slice(1);
    this.#failures.set(name, [...this.#failures.get(name) ?? [], error]);
  }

  /** Changes a sandbox's state from outside, as a crash or a timeout would, and tells the watchers. */
  set(id: string, status: SandboxStatus, reason?: { code: string; message: string }): void {
    const { sandbox } = this.#vm(id);
    sandbox.status = status;
    if (reason) [sandbox.reasonCode, sandbox.reason] = [reason.code, reason.message];
    this.#publish(sandbox);
  }

  /** Client that calls this agent in memory. */
  client(): AgentClient {
    const router = { interceptors: [this.#interceptor] };
    return createClient(
      AgentService,
      createRouterTransport((r) => this.routes(r), { router }),
    );
  }

  /** Handler for `Deno.serve`. */
  handler(): RpcHandler {
    return connectHandler((r) => this.routes(r), { interceptors: [this.#interceptor] });
  }

  /** Registers the service. */
  routes(router: ConnectRouter): void {
    router.service(AgentService, this.#service());
  }

  get #interceptor(): Interceptor {
    return (next) => async (request) => {
      this.calls.push(request.method.name);
      try {
        if (this.down) throw new WrennError("host_unavailable", "Host does not answer");
        const failure = this.#failures.get(request.method.name)?.shift();
        if (failure !== undefined) throw failure;
        const response = await next(request);
        if (!response.stream) return response;
        return { ...response, message: mapped(response.message) };
      } catch (error) {
        throw toConnectError(error);
      }
    };
  }

  #service(): ServiceImpl<typeof AgentService> {
    const running = (id: string | undefined): FakeVm => this.#running(id ?? "");
    return {
      createSandbox: ({ id, executionId, spec, snapshotId }) => {
        if (snapshotId !== "" && !this.snapshots.snapshots.has(snapshotId)) {
          throw new WrennError("snapshot_not_found", `Snapshot '${snapshotId}' not found`);
        }
        return this.#create(id, executionId, spec);
      },
      destroySandbox: ({ id, executionId }) => this.#destroy(id, executionId),
      getSandbox: ({ id }) => ({ sandbox: this.#vm(id).sandbox }),
      listSandboxes: () => ({ sandboxes: [...this.vms.values()].map((vm) => vm.sandbox) }),
      watchSandboxes: (_, { signal }) => this.#watch(signal),
      ...this.snapshots.calls(),
      pingSandbox: ({ id }) => ({ sandbox: this.#touch(running(id)).sandbox }),
      exec: (request, { signal }) => {
        this.#touch(running(request.id));
        return runExec(request, findProgram(request.command, this.programs), signal);
      },
      execStream: (requests, { signal }) => this.#execStream(requests, signal),
      readFile: async function* ({ file, offset, length }) {
        const { files } = running(file?.id);
        const found = files.read(files.resolve(file), Number(offset), Number(length));
        yield { size: BigInt(found.size) };
        for (const data of found.data) yield { data };
      },
      writeFile: async (requests) => {
        const iterator = requests[Symbol.asyncIterator]();
        const first = (await iterator.next()).value?.event;
        if (first?.case !== "start") {
          throw new WrennError("invalid_request", "The first message must be the file");
        }
        const { files } = running(first.value.id);
        const path = files.resolve(first.value);
        async function* data(): AsyncGenerator<Uint8Array> {
          for (let m = await iterator.next(); !m.done; m = await iterator.next()) {
            if (m.value.event.case === "data") yield m.value.event.value;
          }
        }
        return { path, size: BigInt(await files.write(path, data())) };
      },
      listDir: ({ file, depth }) => {
        const { files } = running(file?.id);
        return { entries: files.list(files.resolve(file), depth || 1) };
      },
      stat: ({ file }) => {
        const { files } = running(file?.id);
        return { entry: files.stat(files.resolve(file)) };
      },
      makeDir: ({ file }) => {
        const { files } = running(file?.id);
        return { entry: files.mkdir(files.resolve(file)) };
      },
      move: ({ file, destination }) => {
        const { files } = running(file?.id);
        return { entry: files.move(files.resolve(file), files.resolve(file, destination)) };
      },
      remove: ({ file }) => {
        const { files } = running(file?.id);
        files.remove(files.resolve(file));
        return {};
      },
      watchDir: async function* ({ file, recursive }, { signal }) {
        const { files } = running(file?.id);
        const root = files.resolve(file);
        files.list(root, 1);
        const queue = new BoundedQueue<{ type: WatchEventType; name: string }>({ limit: 1024 });
        const base = root === "/" ? "/" : `${root}/`;
        const stop = files.watch(({ type, path }) => {
          const name = path.slice(base.length);
          if (!path.startsWith(base) || (!recursive && name.includes("/"))) return;
          void queue.push({ type: EVENT_TYPES[type], name });
        });
        const end = (): void => queue.end();
        signal.addEventListener("abort", end, { once: true });
        try {
          yield {};
          yield* queue;
        } finally {
          signal.removeEventListener("abort", end);
          stop();
        }
      },
      getHostInfo: () => ({
        hostId: this.#hostId,
        version: "0.1.0",
        cpus: 2,
        memoryMb: 4096n,
        accelerator: "tcg",
        vmm: "fake 1.0",
        templates: this.#templates.map((name) => ({ name, diskMb: 1024 })),
      }),
      getStats: () => {
        const count = (s: SandboxStatus): number =>
          [...this.vms.values()].filter((vm) => vm.sandbox.status === s).length;
        const [run, paused] = [count(SandboxStatus.RUNNING), count(SandboxStatus.PAUSED)];
        return { sandboxes: run + paused, running: run, paused, slotsInUse: run + paused };
      },
    };
  }

  #create(id: string, executionId: string, spec: SandboxSpec | undefined): { sandbox: Sandbox } {
    const known = this.vms.get(id);
    if (known) return { sandbox: known.sandbox };
    if (!this.#templates.includes(spec?.template ?? "")) {
      throw new WrennError("template_not_found", `Template '${spec?.template}' not found`);
    }
    const now = timestampFromMs(this.#clock.now());
    const sandbox = create(SandboxSchema, {
      id,
      executionId,
      status: SandboxStatus.RUNNING,
      ...(spec ? { spec: { ...spec, diskMb: spec.diskMb || 1024 } } : {}),
      hostIp: `10.11.0.${this.vms.size + 1}`,
      createdAt: now,
      startedAt: now,
      lastActiveAt: now,
    });
    this.#add(sandbox);
    return { sandbox };
  }

  #add(sandbox: Sandbox): void {
    this.vms.set(sandbox.id, { sandbox, files: new FakeFiles() });
    this.#publish(sandbox);
  }

  #destroy(id: string, executionId: string): Record<string, never> {
    const vm = this.vms.get(id);
    if (!vm) return {};
    if (executionId !== "" && executionId !== vm.sandbox.executionId) {
      throw new WrennError("conflict", `Sandbox '${id}' runs another execution`);
    }
    this.set(id, SandboxStatus.STOPPED, { code: "canceled", message: "Destroyed by request" });
    return {};
  }

  async *#execStream(
    requests: Parameters<ServiceImpl<typeof AgentService>["execStream"]>[0],
    signal: AbortSignal,
  ): ReturnType<typeof runExecStream> {
    const iterator = requests[Symbol.asyncIterator]();
    const first = (await iterator.next()).value?.event;
    if (first?.case !== "start") {
      throw new WrennError("invalid_request", "The first message must be the command");
    }
    this.#touch(this.#running(first.value.id));
    const program = findProgram(first.value.command, this.programs);
    yield* runExecStream(iterator, program, first.value, signal);
  }

  async *#watch(signal: AbortSignal): AsyncGenerator<{ sandbox?: Sandbox }> {
    const queue = new BoundedQueue<Sandbox>({ limit: 4096 });
    const end = (): void => queue.end();
    this.#watchers.add(queue);
    signal.addEventListener("abort", end, { once: true });
    try {
      yield {};
      for await (const sandbox of queue) yield { sandbox };
    } finally {
      signal.removeEventListener("abort", end);
      this.#watchers.delete(queue);
    }
  }

  #publish(sandbox: Sandbox): void {
    for (const watcher of this.#watchers) void watcher.push({ ...sandbox });
  }

  #touch(vm: FakeVm): FakeVm {
    vm.sandbox.lastActiveAt = timestampFromMs(this.#clock.now());
    return vm;
  }

  #vm(id: string): FakeVm {
    const vm = this.vms.get(id);
    if (!vm) throw new WrennError("sandbox_not_found", `Sandbox '${id}' not found`);
    return vm;
  }

  #running(id: string): FakeVm {
    const vm = this.#vm(id);
    const { status } = vm.sandbox;
    if (status === SandboxStatus.PAUSED || status === SandboxStatus.HIBERNATED) {
      throw new WrennError("sandbox_paused", `Sandbox '${id}' is paused`);
    }
    if (vm.sandbox.status !== SandboxStatus.RUNNING) {
      throw new WrennError("sandbox_not_running", `Sandbox '${id}' is not running`);
    }
    return vm;
  }
}

/** Errors that a stream throws on the way get their code too. */
async function* mapped<T>(messages: AsyncIterable<T>): AsyncGenerator<T> {
  try {
    yield* messages;
  } catch (error) {
    throw toConnectError(error);
  }
}
