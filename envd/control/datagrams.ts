/** The host agent's calls by UDP, on the port of the HTTP server (`common/control_datagram.ts`). */
import {
  type ControlAnswer,
  type ControlQuestion,
  decodeQuestion,
  encodeAnswer,
  UNDER_WAY,
} from "@wrenn/common/control_datagram";
import { WrennError } from "@wrenn/common/errors";
import { logger } from "@wrenn/common/log";
import { requireToken } from "../init/auth.ts";
import { control, type ControlParts } from "./control.ts";

/** Answers that are kept for questions that come again. */
const KEPT = 16;
const log = logger("envd", "control");

/** Answers datagrams until it is disposed. */
export class ControlDatagrams implements Disposable {
  readonly #parts: ControlParts;
  readonly #socket: Deno.DatagramConn;
  /** By id; undefined while the work is under way. */
  readonly #answers: Map<string, ControlAnswer | undefined> = new Map();
  #closed = false;

  /** Listens at once. @throws When the port is taken. */
  constructor(parts: ControlParts, { hostname, port }: { hostname: string; port: number }) {
    this.#parts = parts;
    this.#socket = Deno.listenDatagram({ transport: "udp", hostname, port });
    void this.#serve();
  }

  /** Stops listening. */
  [Symbol.dispose](): void {
    this.#closed = true;
    this.#socket.close();
  }

  async #serve(): Promise<void> {
    const buffer = new Uint8Array(65536);
    while (!this.#closed) {
      try {
        const [bytes, from] = await this.#socket.receive(buffer);
        const question = decodeQuestion(bytes);
        if (question) void this.#answer(question, from);
      } catch (error) {
        if (this.#closed) return;
        log.warn("Cannot receive a datagram", { error });
      }
    }
  }

  async #answer(question: ControlQuestion, from: Deno.Addr): Promise<void> {
    try {
      const { id } = question;
      const answer = this.#answers.has(id)
        ? this.#answers.get(id) ?? { id, status: UNDER_WAY, body: "" }
        : await this.#work(question);
      await this.#socket.send(encodeAnswer(answer), from);
    } catch (error) {
      if (!this.#closed) log.warn("Cannot answer a datagram", { error });
    }
  }

  async #work({ id, token, path, body }: ControlQuestion): Promise<ControlAnswer> {
    this.#answers.set(id, undefined);
    const answer = await this.#outcome(id, path, body, token === "" ? null : token);
    this.#answers.set(id, answer);
    for (const old of this.#answers.keys()) {
      if (this.#answers.size <= KEPT) break;
      this.#answers.delete(old);
    }
    return answer;
  }

  async #outcome(
    id: string,
    path: string,
    body: string,
    token: string | null,
  ): Promise<ControlAnswer> {
    try {
      if (path !== "/init") requireToken(this.#parts.state, token);
      const answer = await control(this.#parts, path, body, token);
      if (answer === undefined) return { id, status: 204, body: "" };
      return { id, status: 200, body: JSON.stringify(answer) };
    } catch (error) {
      const { status, code, message } = WrennError.from(error);
      if (status >= 500) log.error("Request failed", { path, error });
      return { id, status, body: JSON.stringify({ code, message }) };
    }
  }
}
