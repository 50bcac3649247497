import { assertEquals, assertRejects } from "@std/assert";
import { QmpClient, QmpError, type QmpEvent, type QmpOptions } from "./qmp.ts";

/** Bytes that the fake writes at once: every message arrives in several reads. */
const PIECE = 7;
const GREETING = '{"QMP": {"version": {"qemu": {"major": 7}}, "capabilities": ["oob"]}}\r\n';

type Reply = (command: { execute: string; arguments: unknown; id: number }) => string | undefined;

/** A QMP server for one connection; `reply` gives raw text for each command after the negotiation. */
class FakeQemu implements AsyncDisposable {
  readonly path = `${Deno.makeTempDirSync()}/qmp.sock`;
  readonly #listener = Deno.listen({ transport: "unix", path: this.path });
  readonly #served: Promise<void>;
  #conn: Deno.UnixConn | undefined;

  constructor(reply: Reply, greeting: string = GREETING) {
    this.#served = this.#serve(reply, greeting);
  }

  async #serve(reply: Reply, greeting: string): Promise<void> {
    try {
      const conn = await this.#listener.accept();
      this.#conn = conn;
      await this.send(greeting);
      let text = "";
      const decoder = new TextDecoder();
      for await (const chunk of conn.readable) {
        text += decoder.decode(chunk, { stream: true });
        const lines = text.split("\n");
        text = lines.pop() ?? "";
        for (const line of lines) {
          const command = JSON.parse(line);
          const answer = command.execute === "qmp_capabilities"
            ? `{"return": {}, "id": ${command.id}}\r\n`
            : reply(command);
          if (answer) await this.send(answer);
        }
      }
    } catch {
      // The client or the test has closed the socket.
    }
  }

  /** Sends text in small pieces. */
  async send(text: string): Promise<void> {
    const bytes = new TextEncoder().encode(text);
    for (let at = 0; at < bytes.length; at += PIECE) {
      await this.#conn?.write(bytes.subarray(at, at + PIECE));
    }
  }

  hangUp(): void {
    try {
      this.#conn?.close();
    } catch {
      // The stream has closed it.
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.hangUp();
    this.#listener.close();
    await this.#served;
    await Deno.remove(this.path.slice(0, -"/qmp.sock".length), { recursive: true });
  }
}

async function failure(promise: Promise<unknown>): Promise<string> {
  return (await assertRejects(() => promise, QmpError)).failure;
}

Deno.test("QmpClient pairs answers with commands by id, whatever their order", async () => {
  const held: string[] = [];
  await using qemu = new FakeQemu(({ execute, id }) => {
    held.push(`{"return": {"did": "${execute}"}, "id": ${id}}\r\n`);
    return held.length === 2 ? held.reverse().join("") : undefined;
  });
  await using client = await QmpClient.connect(qemu.path);
  const both = await Promise.all([client.execute("stop"), client.execute("cont")]);
  assertEquals(both, [{ did: "stop" }, { did: "cont" }]);
});

Deno.test("QmpClient sends arguments and hands QEMU's refusal on", async () => {
  await using qemu = new FakeQemu((command) =>
    `{"error": {"class": "GenericError", "desc": ${
      JSON.stringify(`no ${JSON.stringify(command.arguments)}`)
    }}, "id": ${command.id}}\r\n`
  );
  await using client = await QmpClient.connect(qemu.path);
  const error = await assertRejects(() => client.execute("eject", { id: "a" }), QmpError);
  assertEquals(error.failure, "command");
  assertEquals(error.message, 'GenericError: no {"id":"a"}');
});

Deno.test("QmpClient delivers events in order, between answers", async () => {
  const events: QmpEvent[] = [];
  await using qemu = new FakeQemu(({ id }) =>
    `{"event": "STOP"}\r\n{"return": {}, "id": ${id}}\r\n{"event": "SHUTDOWN", "data": {"guest": true}}\r\n`
  );
  await using client = await QmpClient.connect(qemu.path, {
    onEvent: (event) => events.push(event),
  });
  await client.execute("stop");
  await client.execute("query-status");
  assertEquals(events.slice(0, 3), [
    { event: "STOP", data: {} },
    { event: "SHUTDOWN", data: { guest: true } },
    { event: "STOP", data: {} },
  ]);
});

Deno.test("QmpClient fails every command under way when the socket is lost", async () => {
  await using qemu = new FakeQemu(({ execute }) => {
    if (execute === "quit") qemu.hangUp();
    return undefined;
  });
  await using client = await QmpClient.connect(qemu.path);
  const both = await Promise.all([
    failure(client.execute("query-status")),
    failure(client.execute("quit")),
  ]);
  assertEquals(both, ["closed", "closed"]);
  assertEquals((await client.closed).failure, "closed");
  assertEquals(await failure(client.execute("stop")), "closed");
});

Deno.test("QmpClient.execute() gives up after its time and ignores the late answer", async () => {
  await using qemu = new FakeQemu(({ execute, id }) =>
    execute === "stop"
      ? undefined
      : `{"return": {}, "id": ${id - 1}}\r\n{"return": 1, "id": ${id}}\r\n`
  );
  await using client = await QmpClient.connect(qemu.path);
  assertEquals(await failure(client.execute("stop", {}, { timeoutMs: 5 })), "timeout");
  assertEquals(await client.execute("cont"), 1);
});

Deno.test("QmpClient.execute() stops waiting when aborted", async () => {
  await using qemu = new FakeQemu(() => undefined);
  await using client = await QmpClient.connect(qemu.path);
  const control = new AbortController();
  const waiting = client.execute("stop", {}, { signal: control.signal });
  control.abort(new RangeError("Enough"));
  await assertRejects(() => waiting, RangeError, "Enough");
});

Deno.test("QmpClient ends the connection on lines that are no QMP, nameless or too long", async () => {
  const bad: [string, QmpOptions][] = [
    ["hello\r\n", {}],
    ["[1]\r\n", {}],
    ['{"error": {"class": "GenericError", "desc": "JSON parse error"}}\r\n', {}],
    [`{"return": "${"x".repeat(2000)}"}`, { maxLineBytes: 1000 }],
  ];
  for (const [text, options] of bad) {
    await using qemu = new FakeQemu(() => text);
    await using client = await QmpClient.connect(qemu.path, options);
    assertEquals(await failure(client.execute("stop")), "protocol", text.slice(0, 50));
  }
});

Deno.test("QmpClient.connect() leaves nothing open without a greeting", async () => {
  await using silent = new FakeQemu(() => undefined, "");
  assertEquals(await failure(QmpClient.connect(silent.path, { timeoutMs: 5 })), "timeout");
  await using wrong = new FakeQemu(() => undefined, "SSH-2.0\n");
  assertEquals(await failure(QmpClient.connect(wrong.path)), "protocol");
});

Deno.test("QmpClient.close() is idempotent and fails what is under way", async () => {
  await using qemu = new FakeQemu(() => undefined);
  const client = await QmpClient.connect(qemu.path);
  const waiting = failure(client.execute("stop"));
  client.close();
  client.close();
  assertEquals(await waiting, "closed");
});
