/** A control plane and the ways to call it. */
import {
  type CallOptions,
  type ConnectionConfig,
  type ConnectionOptions,
  resolveConfig,
} from "./config.ts";
import { endpoint, HttpClient } from "./http_client.ts";
import { MessageSocket } from "./socket.ts";

/** One control plane with one key. */
export class Connection {
  /** Plain calls. */
  readonly http: HttpClient;
  readonly #config: ConnectionConfig;

  /** @param options Address and key; the environment fills in what is missing. */
  constructor(options: ConnectionOptions) {
    this.#config = resolveConfig(options);
    this.http = new HttpClient(this.#config);
  }

  /** Longest wait for an answer, milliseconds. */
  get requestTimeoutMs(): number {
    return this.#config.requestTimeoutMs;
  }

  /** Opens a WebSocket below the API's address. */
  socket(path: string, options: CallOptions): Promise<MessageSocket> {
    return MessageSocket.open({
      url: endpoint(this.#config.apiUrl, path),
      headers: { "x-api-key": this.#config.apiKey },
      timeoutMs: options.requestTimeoutMs ?? this.#config.requestTimeoutMs,
      signal: options.signal,
    });
  }
}
