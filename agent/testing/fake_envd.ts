/** A guest agent in memory, served on loopback: enough of envd's wire to test what the host does with it. */
import { Process } from "@wrenn/proto/process";
import { Filesystem } from "@wrenn/proto/filesystem";
import {
  connectHandler,
  type ControlAnswer,
  type ControlQuestion,
  decodeQuestion,
  delay,
  ELSEWHERE,
  encodeAnswer,
  MAX_CONTROL_BYTES,
  toConnectError,
  WrennError,
} from "@wrenn/common";
import { onOnePort } from "@wrenn/common/testing/on_one_port";
import { FakeFiles } from "./fake_files.ts";
import { FakeProcesses } from "./fake_processes.ts";

/** What a fake guest does wrong. */
export interface EnvdFaults {
  /** Everything answers 503. */
  sick?: boolean;
  /** `/init` answers 500. */
  initFails?: boolean;
  /** Milliseconds that the answer to an `/init` takes. */
  initDelayMs?: number;
}

/** The body of `POST /init`. */
export interface InitBody {
  accessToken: string;
  envVars: Record<string, string>;
  timestamp: string;
  hostname: string;
  defaultUser: string;
  entropy: string;
  machineId?: string;
  bootId?: string;
  fork?: boolean;
  report?: boolean;
}

type Rpc = (request: Request) => Promise<Response> | undefined;

/** One fake guest. */
export class FakeEnvd implements AsyncDisposable {
  /** `http://127.0.0.1:port`. */
  readonly url: string;
  readonly processes: FakeProcesses = new FakeProcesses();
  readonly files: FakeFiles = new FakeFiles();
  readonly faults: EnvdFaults;
  /** Every `/init` so far. */
  readonly inits: InitBody[] = [];
  /** Times that were told by `/clock`. */
  readonly clocks: string[] = [];
  /** Token that opens it; undefined while it is sealed. */
  token: string | undefined;
  /** Its processes are frozen. */
  frozen: boolean = false;
  /** User of each call: the Basic user, or the query's `username`. */
  readonly users: string[] = [];
  readonly #server: Deno.HttpServer<Deno.NetAddr>;
  readonly #datagrams: Deno.DatagramConn;
  readonly #abort = new AbortController();
  readonly #asked = new Map<string, AbortController>();
  readonly #large = new Map<string, Uint8Array<ArrayBuffer>>();

  /** Listens at once. */
  constructor(faults: EnvdFaults = {}, token?: string) {
    this.faults = faults;
    this.token = token;
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
    const [{ socket }, server] = onOnePort(
      (at) => {
        const socket = Deno.listenDatagram({ transport: "udp", ...at });
        const { port } = socket.addr as Deno.NetAddr;
        return { socket, port, [Symbol.dispose]: () => socket.close() };
      },
      (at) =>
        Deno.serve(
          { ...at, signal: this.#abort.signal, onListen: () => {} },
          (request) => this.#answer(request, rpc),
        ),
    );
    [this.#datagrams, this.#server] = [socket, server];
    void this.#answerDatagrams(rpc);
    this.url = `http://127.0.0.1:${this.#server.addr.port}`;
  }

  /** Cuts every connection, as the end of a machine does. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.processes.killAll();
    this.#abort.abort();
    this.#datagrams.close();
    await this.#server.finished;
  }

  async #answerDatagrams(rpc: Rpc): Promise<void> {
    while (!this.#abort.signal.aborted) {
      try {
        const [bytes, from] = await this.#datagrams.receive();
        const question = decodeQuestion(bytes);
        if (!question || this.#asked.has(question.id)) continue;
        void this.#answerDatagram(question, rpc).then(async (answer) => {
          await this.#datagrams.send(encodeAnswer(answer), from);
        }).catch(() => {/* It was closed. */});
      } catch (error) {
        if (!this.#abort.signal.aborted) throw error;
      }
    }
  }

  async #answerDatagram(question: ControlQuestion, rpc: Rpc): Promise<ControlAnswer> {
    const { id, token, path, body } = question;
    const asked = new AbortController();
    this.#asked.set(id, asked);
    if (path === "/cancel") this.#asked.get(JSON.parse(body))?.abort();
    const response = path === "/cancel" ? new Response(null, { status: 204 }) : await this.#answer(
      new Request(`${this.url}${path}`, {
        method: "POST",
        headers: { "x-access-token": token },
        body,
        signal: asked.signal,
      }),
      rpc,
    );
    const bytes = await bodyOf(response);
    if (bytes.length < MAX_CONTROL_BYTES - id.length) {
      return { id, status: response.status, body: bytes };
    }
    this.#large.set(`/answers/${id}`, bytes);
    return { id, status: ELSEWHERE, body: new Uint8Array() };
  }

  async #init(body: InitBody): Promise<Response> {
    await delay(this.faults.initDelayMs ?? 0);
    if (this.faults.initFails) return failure(new WrennError("internal", "Broken"));
    this.inits.push(body);
    this.token = body.accessToken;
    this.frozen = false;
    return reportOf(body);
  }

  async #answer(
    request: Request,
    rpc: Rpc,
  ): Promise<Response> {
    const url = new URL(request.url);
    if (this.faults.sick) return new Response(null, { status: 503 });
    if (url.pathname === "/health") return new Response(null, { status: 204 });
    const shown = request.headers.get("x-access-token");
    const allowed = shown === this.token || (url.pathname === "/init" && this.token === undefined);
    if (!allowed || (this.token === undefined && url.pathname !== "/init")) {
      return failure(new WrennError("unauthorized", "Wrong token"));
    }
    switch (url.pathname) {
      case "/init":
        return await this.#init(await request.json());
      case "/clock":
        this.clocks.push((await request.json()).timestamp);
        return new Response(null, { status: 204 });
      case "/quiesce":
        await request.body?.cancel();
        this.frozen = true;
        return Response.json({ frozen: 0, synced: true });
      case "/seal":
        await request.body?.cancel();
        this.token = undefined;
        return new Response(null, { status: 204 });
    }
    const large = this.#large.get(url.pathname);
    if (large) return new Response(large);
    if (url.pathname === "/exec") {
      const body = await request.json();
      if (body.user) this.users.push(body.user);
      try {
        return await this.processes.exec(body, request.signal);
      } catch (error) {
        return failure(error);
      }
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

function reportOf(body: InitBody): Response {
  if (!body.report) return new Response(null, { status: 204 });
  return Response.json({
    entropy_reseeded: true,
    clock_set: true,
    hostname: body.hostname,
    machine_id: body.machineId ?? "",
    connections_dropped: 0,
    hooks: [],
  });
}

/** A datagram has no headers: it names an error's code in the body. */
async function bodyOf(response: Response): Promise<Uint8Array<ArrayBuffer>> {
  const code = response.headers.get("wrenn-code");
  if (code === null) return new Uint8Array(await response.arrayBuffer());
  const { message } = await response.json();
  return new TextEncoder().encode(JSON.stringify({ code, message }));
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
