/** A platform in memory behind a real HTTP listener: sandboxes, a warm pool, and their processes. */
import type { AgentFigures } from "../agent_link.ts";
import type { PoolState } from "../pool_gauge.ts";
import type { ProcessMemory, ProcessTable } from "../processes.ts";
import { FakeBox, type FakeMachine, FakeRefusal } from "./fake_box.ts";

/** How the platform behaves. */
export interface FakeOptions {
  /** Warm machines; undefined: the agent keeps no pool. */
  readonly pool?: number;
  /** Time until a claimed machine is replaced, milliseconds. */
  readonly refillMs?: number;
  /** Time that a call takes, milliseconds, by name. `create` from a warm machine, `restore` without one. */
  readonly takes?: Readonly<Record<string, number>>;
  /** `Server-Timing` of a call, by name. */
  readonly timing?: Readonly<Record<string, string>>;
  /** Waking loses the guest's memory: its disk was booted. */
  readonly forgets?: boolean;
  /** Copies that a fork makes too few. */
  readonly forksShort?: number;
}

/** A request as the platform saw it. */
export interface Seen {
  readonly call: string;
  /** Warm machines when it came. */
  readonly ready: number;
  /** Requests that were being answered, with this one. */
  readonly atOnce: number;
}

/** API key that it accepts. */
export const FAKE_KEY = "wrn_fake";
const VMM_MEMORY: ProcessMemory = { privateMb: 90, pssMb: 100 };

/** The platform. Disposing of it ends the listener. */
export class FakePlatform implements AgentFigures, ProcessTable, AsyncDisposable {
  readonly seen: Seen[] = [];
  readonly boxes: Map<string, FakeBox> = new Map();
  readonly runDir: string = "/run/fake/vm";
  readonly agentPid: number = 1;
  readonly #options: FakeOptions;
  readonly #server: Deno.HttpServer<Deno.NetAddr>;
  readonly #failures: { call: string; status: number; code: string }[] = [];
  readonly #warm: FakeMachine[] = [];
  readonly #timers = new Set<ReturnType<typeof setTimeout>>();
  #counters = { hits: 0, misses: 0, pid: 100, id: 0, open: 0 };

  /** @param options How it behaves. */
  constructor(options: FakeOptions = {}) {
    this.#options = options;
    for (let i = 0; i < (options.pool ?? 0); i++) this.#warm.push(this.#machine());
    this.#server = Deno.serve(
      { hostname: "127.0.0.1", port: 0, onListen: () => {} },
      (request) => this.#serve(request),
    );
  }

  /** Base URL. */
  get url(): string {
    return `http://127.0.0.1:${this.#server.addr.port}`;
  }

  /** The next calls of this name fail. */
  failNext(call: string, status: number, code: string, times: number = 1): void {
    for (let i = 0; i < times; i++) this.#failures.push({ call, status, code });
  }

  /** Calls of this name so far. */
  calls(call: string): Seen[] {
    return this.seen.filter((request) => request.call === call);
  }

  /** The pool. */
  pool(): Promise<PoolState | undefined> {
    const { pool } = this.#options;
    if (pool === undefined) return Promise.resolve(undefined);
    const { hits, misses } = this.#counters;
    const spares = { ready: 0, target: 0 };
    return Promise.resolve({ ready: this.#warm.length, target: pool, hits, misses, spares });
  }

  /** It emulates. */
  host(): Promise<{ accelerator: string; vmm: string }> {
    return Promise.resolve({ accelerator: "tcg", vmm: "fake 1.0" });
  }

  /** Processes of warm machines and of sandboxes that have one. */
  vmms(runDir: string): Promise<number[]> {
    if (runDir !== this.runDir) return Promise.resolve([]);
    const machines = [...this.#warm, ...[...this.boxes.values()].flatMap((b) => b.machine ?? [])];
    return Promise.resolve(machines.map(({ pid }) => pid).sort((a, b) => a - b));
  }

  /** The process of a sandbox that has a machine. */
  vmmOf(runDir: string, sandbox: string): Promise<number | undefined> {
    const box = runDir === this.runDir ? this.boxes.get(sandbox) : undefined;
    return Promise.resolve(box?.machine?.pid);
  }

  /** The agent's process is 1; a sandbox's has 90 MB of its own, a warm machine's 10. */
  memory(pid: number): Promise<ProcessMemory> {
    const isWarm = this.#warm.some((machine) => machine.pid === pid);
    if (pid === this.agentPid) return Promise.resolve({ privateMb: 50, pssMb: 60 });
    return Promise.resolve(isWarm ? { privateMb: 10, pssMb: 20 } : VMM_MEMORY);
  }

  /** A fiftieth of the time: 2 % of a processor. */
  cpuMs(_pid: number): Promise<number> {
    return Promise.resolve(performance.now() / 50);
  }

  /** Ends the listener and the refills. */
  async [Symbol.asyncDispose](): Promise<void> {
    for (const timer of this.#timers) clearTimeout(timer);
    await this.#server.shutdown();
  }

  async #serve(request: Request): Promise<Response> {
    const [, , , id, ...rest] = new URL(request.url).pathname.split("/");
    const call = id === undefined ? "create" : rest.join("/") || request.method.toLowerCase();
    this.#counters.open++;
    this.seen.push({ call, ready: this.#warm.length, atOnce: this.#counters.open });
    try {
      if (request.headers.get("x-api-key") !== FAKE_KEY) {
        throw new FakeRefusal(401, "unauthorized", "Key is wrong");
      }
      const at = this.#failures.findIndex((failure) => failure.call === call);
      const failure = at < 0 ? undefined : this.#failures.splice(at, 1)[0];
      if (failure) throw new FakeRefusal(failure.status, failure.code, "As asked");
      return await this.#answer(call, id, request);
    } catch (error) {
      if (!(error instanceof FakeRefusal)) throw error;
      const { status, code, message } = error;
      return Response.json({ error: { code, message } }, { status });
    } finally {
      await request.body?.cancel().catch(() => {}); // read already
      this.#counters.open--;
    }
  }

  async #answer(call: string, id: string | undefined, request: Request): Promise<Response> {
    if (id === undefined) return await this.#create(await request.json());
    const box = this.boxes.get(id);
    if (!box) throw new FakeRefusal(404, "sandbox_not_found", `Sandbox '${id}' not found`);
    await this.#take(call);
    switch (call) {
      case "delete":
        this.boxes.delete(id);
        return new Response(null, { status: 204, headers: this.#headers(call) });
      case "exec":
        return this.#json(call, box.exec(await request.json()));
      case "pause":
        box.pause();
        return this.#json(call, { id, status: box.status });
      case "hibernate":
        box.hibernate();
        return this.#json(call, { id, status: box.status });
      case "resume":
        box.resume(this.#machine(), this.#options.forgets ?? false);
        return this.#json(call, { id, status: box.status });
      case "fork":
        return this.#json(call, this.#fork(box, (await request.json()).count));
      case "files/stream/write":
        box.size = (await request.bytes()).length;
        return this.#json(call, { size: box.size });
      case "files/stream/read":
        return new Response(new Uint8Array(box.size));
      default:
        throw new FakeRefusal(404, "not_found", "No such route");
    }
  }

  async #create(body: Record<string, unknown>): Promise<Response> {
    if (body.template !== "base" || body.vcpus !== 1 || body.memory_mb !== 512) {
      throw new FakeRefusal(
        400,
        "invalid_request",
        `Not what is measured: ${JSON.stringify(body)}`,
      );
    }
    const warm = this.#warm.shift();
    if (warm) {
      this.#counters.hits++;
      this.#later(() => this.#warm.push(this.#machine()));
    } else this.#counters.misses++;
    await this.#take(warm ? "create" : "restore");
    const box = this.#box(warm ?? this.#machine());
    return Response.json({ id: box.id, status: "running" }, {
      status: 201,
      headers: this.#headers(warm ? "create" : "restore"),
    });
  }

  #fork(box: FakeBox, count: number): unknown {
    box.mustRun();
    const made = count - (this.#options.forksShort ?? 0);
    const children = Array.from({ length: made }, () => this.#box(this.#machine(), box));
    return { parent: box.id, children: children.map(({ id }) => ({ sandbox: { id } })) };
  }

  #box(machine: FakeMachine, parent?: FakeBox): FakeBox {
    const id = `sb-${(++this.#counters.id).toString(16).padStart(8, "0")}`;
    const box = new FakeBox(id, machine, parent);
    this.boxes.set(id, box);
    return box;
  }

  #machine(): FakeMachine {
    return { pid: ++this.#counters.pid };
  }

  #json(call: string, body: unknown): Response {
    return Response.json(body, { headers: this.#headers(call) });
  }

  #headers(call: string): Record<string, string> {
    const timing = this.#options.timing?.[call];
    return timing === undefined ? {} : { "server-timing": timing };
  }

  #take(call: string): Promise<void> {
    const ms = this.#options.takes?.[call];
    return ms === undefined ? Promise.resolve() : new Promise((done) => this.#later(done, ms));
  }

  #later(work: () => void, ms: number = this.#options.refillMs ?? 5): void {
    const timer = setTimeout(() => {
      this.#timers.delete(timer);
      work();
    }, ms);
    this.#timers.add(timer);
  }
}
