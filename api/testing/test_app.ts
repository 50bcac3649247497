/** The app on fakes, with and without sockets. */
import { type Logger, logger } from "@wrenn/common";
import { type ApiLimits, type App, createApp } from "../app.ts";
import { type HttpServer, listen } from "../http/server.ts";
import { FakeAgent } from "./fake_agent.ts";
import {
  FakeKeys,
  FakeReadiness,
  FakeSandboxes,
  FakeSnapshotService,
  TEST_KEY,
} from "./fake_services.ts";

/** An app and the fakes behind it. */
export class TestApp implements AsyncDisposable {
  readonly agent: FakeAgent = new FakeAgent();
  readonly keys: FakeKeys = new FakeKeys();
  readonly readiness: FakeReadiness = new FakeReadiness();
  readonly sandboxes: FakeSandboxes = new FakeSandboxes(this.agent.client());
  readonly snapshots: FakeSnapshotService = new FakeSnapshotService(
    this.agent.client(),
    this.sandboxes,
  );
  readonly app: App;
  #server: HttpServer | undefined;

  /** @param limits Bounds that differ from production. @param log Where events go; nowhere by default. */
  constructor(limits: Partial<ApiLimits> = {}, log: Logger = logger("api", "test")) {
    const { sandboxes, snapshots, keys, readiness } = this;
    this.app = createApp({ sandboxes, snapshots, keys, readiness, limits, log });
  }

  /** Calls the app without sockets; a plain object becomes a JSON body. */
  request(
    method: string,
    path: string,
    body?: unknown,
    headers: Record<string, string> = {},
  ): Promise<Response> {
    const raw = body === undefined || typeof body === "string" || body instanceof Uint8Array ||
      body instanceof FormData || body instanceof ReadableStream || body instanceof Blob;
    const type: Record<string, string> = raw ? {} : { "content-type": "application/json" };
    return this.app.fetch(
      new Request(`http://api.test${path}`, {
        method,
        headers: { "x-api-key": TEST_KEY, ...type, ...headers },
        ...(body === undefined ? {} : { body: raw ? body as BodyInit : JSON.stringify(body) }),
      }),
    );
  }

  /** A running sandbox's id. */
  async create(body: Record<string, unknown> = {}): Promise<string> {
    const made = await (await this.request("POST", "/v1/sandboxes", body)).json();
    return made.id;
  }

  /** Serves on loopback and answers `127.0.0.1:port`. */
  async listen(): Promise<string> {
    this.#server ??= await listen({
      address: { transport: "tcp", hostname: "127.0.0.1", port: 0 },
      fetch: (request, info) => this.app.fetch(request, info),
      log: logger("api", "test"),
    });
    const { address } = this.#server;
    return address.transport === "tcp" ? `127.0.0.1:${address.port}` : "";
  }

  /** A WebSocket of the served app. */
  async socket(
    path: string,
    headers: Record<string, string> = { "x-api-key": TEST_KEY },
  ): Promise<TestSocket> {
    return new TestSocket(`ws://${await this.listen()}${path}`, headers);
  }

  /** Stops the server, if there is one. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.app.close();
    await this.#server?.drain(1000);
  }
}

/** Message of the server, parsed. */
export type Message = Record<string, unknown> & { readonly type: string };

/** A client that keeps what it got. */
export class TestSocket {
  readonly messages: Message[] = [];
  /** Settles with the close code. */
  readonly closed: Promise<number>;
  /** Settles when the socket is open, rejects when the handshake is refused. */
  readonly opened: Promise<void>;
  readonly #socket: WebSocket;
  #wake: (() => void)[] = [];

  /** @param url Begins with ws. @param headers Of the handshake. */
  constructor(url: string, headers: Record<string, string>) {
    this.#socket = new WebSocket(url, { headers });
    this.opened = new Promise((resolve, reject) => {
      this.#socket.onopen = () => resolve();
      this.#socket.onerror = (event) =>
        reject(new Error(event instanceof ErrorEvent ? event.message : "Socket failed"));
    });
    this.opened.catch(() => {});
    this.closed = new Promise((resolve) => {
      this.#socket.onclose = (event) => {
        resolve(event.code);
        this.#wakeAll();
      };
    });
    this.#socket.onmessage = (event) => {
      this.messages.push(JSON.parse(event.data));
      this.#wakeAll();
    };
  }

  /** Sends JSON, or a text or bytes as they are. */
  async send(message: unknown): Promise<void> {
    await this.opened;
    const raw = typeof message === "string" || message instanceof Uint8Array;
    this.#socket.send(raw ? message as string : JSON.stringify(message));
  }

  /** The first message that satisfies `test`; throws when the socket closes without one. */
  async until(test: (message: Message) => boolean): Promise<Message> {
    while (true) {
      const found = this.messages.find(test);
      if (found) return found;
      if (this.#socket.readyState === WebSocket.CLOSED) {
        throw new Error(`Socket closed after ${JSON.stringify(this.messages)}`);
      }
      await new Promise<void>((resolve) => this.#wake.push(resolve));
    }
  }

  /** Bytes sent that the network has not taken. */
  get unsent(): number {
    return this.#socket.bufferedAmount;
  }

  /** All data of one kind, joined. */
  text(type: string): string {
    return this.messages.filter((m) => m.type === type).map((m) => m.data).join("");
  }

  /** Closes from this side. */
  async close(): Promise<void> {
    this.#socket.close();
    await this.closed;
  }

  #wakeAll(): void {
    for (const wake of this.#wake.splice(0)) wake();
  }
}
