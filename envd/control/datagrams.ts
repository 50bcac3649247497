/** The host agent's calls by UDP, on the port of the HTTP server (`common/control_datagram.ts`). */
import {
  type ControlAnswer,
  type ControlQuestion,
  decodeQuestion,
  ELSEWHERE,
  encodeAnswer,
  MAX_CONTROL_BYTES,
  UNDER_WAY,
} from "@wrenn/common/control_datagram";
import { WrennError } from "@wrenn/common/errors";
import { logger } from "@wrenn/common/log";
import { requireToken } from "../init/auth.ts";
import { control, type ControlParts } from "./control.ts";
import type { StoredAnswers } from "./stored_answers.ts";

/** Answered questions that are remembered, should they come again. */
const KEPT = 16;
/** A caller repeats his question while he waits: one who does not for so long has gone. */
const SILENCE_MS = 30_000;
const NOTHING = new Uint8Array();
const utf8 = new TextEncoder();
const log = logger("envd", "control");

/** What is known of a question. */
interface Asked {
  /** When it last came, milliseconds. */
  seenAt: number;
  canceled: boolean;
  answer: ControlAnswer | undefined;
}

/** What answers, and where large answers wait. */
export interface DatagramParts extends ControlParts {
  readonly answers: StoredAnswers;
}

/** Answers datagrams until it is disposed. */
export class ControlDatagrams implements Disposable {
  readonly #parts: DatagramParts;
  readonly #socket: Deno.DatagramConn;
  readonly #asked: Map<string, Asked> = new Map();
  #closed = false;

  /** Listens at once. @throws When the port is taken. */
  constructor(parts: DatagramParts, { hostname, port }: { hostname: string; port: number }) {
    this.#parts = parts;
    this.#socket = Deno.listenDatagram({ transport: "udp", hostname, port });
    void this.#serve();
  }

  /** Where it listens. */
  get port(): number {
    return (this.#socket.addr as Deno.NetAddr).port;
  }

  /** Stops listening. */
  [Symbol.dispose](): void {
    this.#closed = true;
    this.#socket.close();
    this.#parts.answers.clear();
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
      const asked = this.#asked.get(id);
      let answer: ControlAnswer;
      if (asked) {
        asked.seenAt = performance.now();
        answer = asked.answer ?? { id, status: UNDER_WAY, body: NOTHING };
      } else {
        answer = await this.#work(question);
      }
      await this.#socket.send(encodeAnswer(answer), from);
    } catch (error) {
      if (!this.#closed) log.warn("Cannot answer a datagram", { error });
    }
  }

  async #work(question: ControlQuestion): Promise<ControlAnswer> {
    const asked: Asked = { seenAt: performance.now(), canceled: false, answer: undefined };
    this.#asked.set(question.id, asked);
    const answer = await this.#outcome(question, asked);
    asked.answer = answer;
    let surplus = this.#asked.size - KEPT;
    for (const [old, { answer }] of this.#asked) {
      if (surplus-- <= 0) break;
      if (answer) this.#asked.delete(old);
    }
    return answer;
  }

  async #outcome({ id, token, path, body }: ControlQuestion, asked: Asked): Promise<ControlAnswer> {
    const parts = this.#parts;
    const shown = token === "" ? null : token;
    try {
      if (path !== "/init") requireToken(parts.state, shown);
      if (path === "/cancel") return this.#cancel(id, body);
      const wanted = () => !asked.canceled && performance.now() - asked.seenAt < SILENCE_MS;
      const answer = await control(parts, { path, text: body, token: shown, wanted });
      if (answer === undefined) return { id, status: 204, body: NOTHING };
      const bytes = answer instanceof Uint8Array ? answer : utf8.encode(JSON.stringify(answer));
      if (id.length + bytes.length < MAX_CONTROL_BYTES) return { id, status: 200, body: bytes };
      parts.answers.keep(id, bytes);
      return { id, status: ELSEWHERE, body: NOTHING };
    } catch (error) {
      const { status, code, message } = WrennError.from(error);
      if (status >= 500) log.error("Request failed", { path, error });
      return { id, status, body: utf8.encode(JSON.stringify({ code, message })) };
    }
  }

  #cancel(id: string, body: string): ControlAnswer {
    const asked = this.#asked.get(body.replaceAll('"', ""));
    if (asked) asked.canceled = true;
    return { id, status: 204, body: NOTHING };
  }
}
