/** A guest agent in memory, served on loopback: enough of envd's wire to test what the host does with it. */
import { Process } from "@wrenn/proto/process";
import { Filesystem } from "@wrenn/proto/filesystem";
import { connectHandler, toConnectError, WrennError } from "@wrenn/common";
import { FakeFiles } from "./fake_files.ts";
import { FakeProcesses } from "./fake_processes.ts";

/** What a fake guest does wrong. */
export interface EnvdFaults {
  /** `/health` answers 503. */
  sick?: boolean;
  /** `/init` answers 500. */
  initFails?: boolean;
}

/** The body of `POST /init`. */
export interface InitBody {
  accessToken: string;
  envVars: Record<string, string>;
  timestamp: string;
  hostname: string;
  defaultUser: string;
  entropy: string;
}

/** One fake guest. */
export class FakeEnvd implements AsyncDisposable {
  /** `http://127.0.0.1:port`. */
  readonly url: string;
  readonly processes: FakeProcesses = new FakeProcesses();
  readonly files: FakeFiles = new FakeFiles();
  readonly faults: EnvdFaults;
  /** Every `/init` so far. */
  readonly inits: InitBody[] = [];
  /** User of each call: the Basic user, or the query's `username`. */
  readonly users: string[] = [];
  readonly #server: Deno.HttpServer<Deno.NetAddr>;
  readonly #abort = new AbortController();

  /** Listens at once. */
  constructor(faults: EnvdFaults = {}) {
    this.faults = faults;
    const rpc = connectHandler((router) => {
      router.service(Process, this.processes.service());
      router.service(Filesystem, this.files.service());
    }, {
      interceptors: [(next) => async (request) => {
        const basic = request.header.get("authorization")?.replace(/^Basic /, "");
        if (basic) this.users.push(atob(basic).replace(/:$/, ""));
        try {
          const response = await next(request);
          return response.stream ? { ...response, message: mapped(response.message) } : response;
        } catch (error) {
          throw toConnectError(error);
        }
      }],
    });
    this.#server = Deno.serve({
      hostname: "127.0.0.1",
      port: 0,
      signal: this.#abort.signal,
      onListen: () => {},
    }, (request) => this.#answer(request, rpc));
    this.url = `http://127.0.0.1:${this.#server.addr.port}`;
  }

  /** Cuts every connection, as the end of a machine does. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.processes.killAll();
    this.#abort.abort();
    await this.#server.finished;
  }

  async #answer(
    request: Request,
    rpc: (request: Request) => Promise<Response> | undefined,
  ): Promise<Response> {
    const url = new URL(request.url);
    if (url.pathname === "/health") {
      return new Response(null, { status: this.faults.sick ? 503 : 204 });
    }
    const token = this.inits.at(-1)?.accessToken;
    if (url.pathname === "/init") {
      if (this.faults.initFails) return failure(new WrennError("internal", "Broken"));
      if (token !== undefined && request.headers.get("x-access-token") !== token) {
        return failure(new WrennError("unauthorized", "Wrong token"));
      }
      this.inits.push(await request.json());
      return new Response(null, { status: 204 });
    }
    if (token === undefined || request.headers.get("x-access-token") !== token) {
      return failure(new WrennError("unauthorized", "Wrong token"));
    }
    if (url.pathname === "/files") {
      this.users.push(url.searchParams.get("username") ?? "");
      try {
        return await this.files.answer(request, url.searchParams.get("path") ?? "");
      } catch (error) {
        return failure(error);
      }
    }
    return await rpc(request) ?? new Response("not found", { status: 404 });
  }
}

function failure(error: unknown): Response {
  const known = WrennError.from(error);
  return Response.json({ code: known.status, message: known.message }, {
    status: known.status,
    headers: { "wrenn-code": known.code },
  });
}

async function* mapped<T>(messages: AsyncIterable<T>): AsyncGenerator<T> {
  try {
    yield* messages;
  } catch (error) {
    throw toConnectError(error);
  }
}
