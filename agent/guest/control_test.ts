import { assertEquals, assertRejects } from "@std/assert";
import { decodeQuestion, encodeAnswer, MAX_CONTROL_BYTES, UNDER_WAY } from "@wrenn/common";
import { asDatagram, ask, type Datagram } from "./control.ts";

/** A guest that answers as the test says. */
class Answerer implements Disposable {
  readonly socket = Deno.listenDatagram({ transport: "udp", hostname: "127.0.0.1", port: 0 });
  readonly seen: string[] = [];

  constructor(answers: (id: string, n: number) => Uint8Array[]) {
    void this.#serve(answers);
  }

  get address(): { hostname: string; port: number } {
    return { hostname: "127.0.0.1", port: (this.socket.addr as Deno.NetAddr).port };
  }

  async #serve(answers: (id: string, n: number) => Uint8Array[]): Promise<void> {
    for await (const [bytes, from] of this.socket) {
      const { id = "" } = decodeQuestion(bytes) ?? {};
      this.seen.push(id);
      for (const answer of answers(id, this.seen.length)) await this.socket.send(answer, from);
    }
  }

  [Symbol.dispose](): void {
    this.socket.close();
  }
}

const NOTHING = new Uint8Array();
const question = { token: "t", path: "/init", body: "{}" };
const never = new AbortController().signal;

function datagram(): Datagram {
  const made = asDatagram(question);
  if (!made) throw new Error("Too large");
  return made;
}

Deno.test("ask() repeats its question until the answer with its id comes", async () => {
  const text = new TextEncoder();
  using guest = new Answerer((id, n) => {
    if (n === 1) return [];
    if (n === 2) return [encodeAnswer({ id, status: UNDER_WAY, body: NOTHING })];
    return [
      text.encode("nonsense"),
      encodeAnswer({ id: "another", status: 200, body: NOTHING }),
      encodeAnswer({ id, status: 200, body: text.encode("yes") }),
    ];
  });
  const { id, bytes } = datagram();
  assertEquals(await ask(guest.address, { id, bytes }, never), {
    id,
    status: 200,
    body: text.encode("yes"),
  });
  assertEquals(guest.seen, [id, id, id]);
});

Deno.test("ask() ends with its signal", async () => {
  using guest = new Answerer(() => []);
  const stop = new AbortController();
  const asked = ask(guest.address, datagram(), stop.signal);
  stop.abort(new Error("Enough"));
  await assertRejects(() => asked, Error, "Enough");
  await assertRejects(() => ask(guest.address, datagram(), stop.signal), Error, "Enough");
});

Deno.test("a question that is too large is no datagram", () => {
  assertEquals(asDatagram({ ...question, body: "x".repeat(MAX_CONTROL_BYTES) }), undefined);
});
