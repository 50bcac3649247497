/** The platform's `/v1` in memory on a loopback port: what the SDK's tests run against. */
import { encodeOutput, FAKE_PROGRAMS, type FakeCommand, wordsOf } from "./fake_exec.ts";
import { serveExec } from "./fake_exec_socket.ts";
import { FakeFiles } from "./fake_files.ts";
import { FakeRefusal } from "./fake_refusal.ts";
import { FakeSnapshots } from "./fake_snapshots.ts";

/** The key that the fake platform takes. */
export const FAKE_KEY = "wrn_0123456789abcdef0123456789abcdef";

/** A request as the fake platform saw it. */
export interface SeenRequest {
  readonly method: string;
  readonly path: string;
  readonly search: URLSearchParams;
}

/** A fake platform with its own sandboxes and files. */
export class FakeServer implements AsyncDisposable {
  /** Every request, oldest first. */
  readonly seen: SeenRequest[] = [];
  /** Sandboxes by id, in the shape of the wire. */
  readonly sandboxes: Map<string, Record<string, unknown>> = new Map();
  /** Answers that come before the real ones, first in first out. */
  readonly faults: Response[] = [];
  /** Settles when a client has left a command before its end. */
  readonly left: Promise<void>;
  /** Characters sent on `exec/stream`. */
  sent: number = 0;
  readonly #files = new FakeFiles();
  readonly #snapshots = new FakeSnapshots((like) => this.#add(like));
  readonly #server: Deno.HttpServer<Deno.NetAddr>;
  #next = 1;
  #onLeft: () => void = () => {};

  /** Starts listening. */
  constructor() {
    this.left = new Promise((resolve) => this.#onLeft = resolve);
    this.#server = Deno.serve(
      { hostname: "127.0.0.1", port: 0, onListen: () => {} },
      (request) => this.#handle(request),
    );
  }

  /** Options that lead the SDK here. */
  get options(): { apiUrl: string; apiKey: string } {
    return { apiUrl: `http://127.0.0.1:${this.#server.addr.port}`, apiKey: FAKE_KEY };
  }

  /** Stops. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#server.shutdown();
  }

  async #handle(request: Request): Promise<Response> {
    const url = new URL(request.url);
    this.seen.push({ method: request.method, path: url.pathname, search: url.searchParams });
    const fault = this.faults.shift();
    if (fault) {
      await request.body?.cancel();
      return fault;
    }
    try {
      if (request.headers.get("x-api-key") !== FAKE_KEY) {
        throw new FakeRefusal(401, "unauthorized", "API key is not valid");
      }
      return await this.#route(request, url);
    } catch (error) {
      if (!(error instanceof FakeRefusal)) throw error;
      if (!request.bodyUsed) await request.body?.cancel();
      const { code, message, status } = error;
      const headers = { "x-request-id": "req-1" };
      return Response.json({ error: { code, message } }, { status, headers });
    }
  }

  async #route(request: Request, url: URL): Promise<Response> {
    const { method } = request;
    const [, version, noun, id, ...rest] = url.pathname.split("/");
    if (version === "v1" && noun === "snapshots") {
      return this.#snapshots.route(method, id, url.searchParams);
    }
    if (version !== "v1" || noun !== "sandboxes") {
      throw new FakeRefusal(404, "not_found", "No route");
    }
    if (id === undefined) {
      return method === "POST" ? this.#create(await request.json()) : this.#list(url.searchParams);
    }
    const sandbox = this.sandboxes.get(id);
    if (!sandbox) throw new FakeRefusal(404, "sandbox_not_found", `Sandbox '${id}' not found`);
    const call = `${method} ${rest.join("/")}`;
    switch (call) {
      case "GET ":
        return Response.json(sandbox);
      case "DELETE ":
        this.sandboxes.delete(id);
        return new Response(null, { status: 204 });
      case "POST ping":
        return Response.json(sandbox);
    }
    const answer = await this.#snapshots.handle(call, sandbox, request);
    if (answer) return answer;
    if (sandbox["status"] !== "running") {
      throw new FakeRefusal(409, "sandbox_paused", `Sandbox '${id}' is paused`);
    }
    if (call === "POST exec") return await this.#exec(id, await request.json(), request.signal);
    if (call === "GET exec/stream") {
      const { socket, response } = Deno.upgradeWebSocket(request);
      serveExec(socket, {
        onLeft: () => this.#onLeft(),
        onSent: (count) => this.sent += count,
      });
      return response;
    }
    return await this.#files.handle(call.replace("files/", ""), request, url.searchParams);
  }

  #create(body: Record<string, unknown>): Response {
    if (body["template"] === "none") {
      throw new FakeRefusal(404, "template_not_found", "Template 'none' not found");
    }
    const snapshot = body["snapshot"];
    if (typeof snapshot === "string") this.#snapshots.find(snapshot);
    return Response.json(this.#add(body), { status: 201 });
  }

  #add(fields: Record<string, unknown>): Record<string, unknown> {
    const id = `sb-${(this.#next++).toString(16).padStart(8, "0")}`;
    const now = new Date().toISOString();
    const sandbox = {
      status: "running",
      template: "base",
      vcpus: 1,
      memory_mb: 512,
      disk_mb: 0,
      timeout_sec: 0,
      on_timeout: "destroy",
      metadata: {},
      ...fields,
      id,
      host_id: "host-00000001",
      host_ip: null,
      created_at: now,
      started_at: now,
      last_active_at: now,
      expires_at: null,
    };
    this.sandboxes.set(id, sandbox);
    return sandbox;
  }

  #list(query: URLSearchParams): Response {
    const limit = Number(query.get("limit") ?? 2);
    const from = Number(query.get("cursor") ?? 0);
    const all = [...this.sandboxes.values()].filter((s) =>
      query.get("template") === null || s["template"] === query.get("template")
    );
    const next = from + limit < all.length ? String(from + limit) : null;
    return Response.json({ sandboxes: all.slice(from, from + limit), next_cursor: next });
  }

  async #exec(id: string, command: FakeCommand, signal: AbortSignal): Promise<Response> {
    const words = wordsOf(command);
    const name = words[0] ?? "";
    const program = Object.hasOwn(FAKE_PROGRAMS, name) ? FAKE_PROGRAMS[name] : undefined;
    if (name === "hang") {
      const gone = words[1] === "killed"
        ? undefined
        : new Promise((resolve) => signal.addEventListener("abort", resolve));
      await gone;
      const answer = { sandbox_id: id, stdout: "part", stderr: "", exit_code: 137 };
      return Response.json({ ...answer, duration_ms: 1000, timed_out: true, encoding: "utf-8" });
    }
    if (!program) {
      throw new FakeRefusal(400, "command_not_found", `Command '${name}' not found`);
    }
    const out: Uint8Array[] = [];
    const err: Uint8Array[] = [];
    const bytes = (data: string | Uint8Array): Uint8Array =>
      typeof data === "string" ? new TextEncoder().encode(data) : data;
    const exitCode = await program({
      command,
      words,
      out: (data) => Promise.resolve(void out.push(bytes(data))),
      err: (data) => Promise.resolve(void err.push(bytes(data))),
      next: () => Promise.resolve(undefined),
    });
    const join = async (pieces: Uint8Array[]): Promise<Uint8Array> =>
      new Uint8Array(await new Blob(pieces as Uint8Array<ArrayBuffer>[]).arrayBuffer());
    const [stdout, stderr] = [await join(out), await join(err)];
    const binary = "encoding" in encodeOutput(stdout) || "encoding" in encodeOutput(stderr);
    const text = (b: Uint8Array): string => binary ? b.toBase64() : new TextDecoder().decode(b);
    return Response.json({
      sandbox_id: id,
      stdout: text(stdout),
      stderr: text(stderr),
      exit_code: exitCode,
      duration_ms: 3,
      encoding: binary ? "base64" : "utf-8",
    });
  }
}
