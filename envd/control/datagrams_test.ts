import { assertEquals } from "@std/assert";
import {
  type ControlAnswer,
  decodeAnswer,
  ELSEWHERE,
  encodeQuestion,
  UNDER_WAY,
} from "@wrenn/common/control_datagram";
import { eventually, TestEnvd } from "../testing/server.ts";

/** Asks once, and answers what comes back. */
class Asker implements Disposable {
  readonly #socket = Deno.listenDatagram({ transport: "udp", hostname: "127.0.0.1", port: 0 });
  readonly #to: Deno.NetAddr;

  constructor(envd: TestEnvd) {
    this.#to = { transport: "udp", hostname: "127.0.0.1", port: Number(new URL(envd.url).port) };
  }

  async ask(id: string, path: string, body: unknown, token = ""): Promise<ControlAnswer> {
    const question = { id, token, path, body: JSON.stringify(body) };
    await this.send(encodeQuestion(question));
    const [bytes] = await this.#socket.receive();
    const answer = decodeAnswer(bytes);
    if (!answer) throw new Error("Not an answer");
    return answer;
  }

  send(bytes: Uint8Array): Promise<number> {
    return this.#socket.send(bytes, this.#to);
  }

  [Symbol.dispose](): void {
    this.#socket.close();
  }
}

const jsonOf = ({ body }: ControlAnswer) => JSON.parse(new TextDecoder().decode(body));
const codeOf = (answer: ControlAnswer): unknown => jsonOf(answer).code;

Deno.test("a guest takes its identity by datagram, and a repeated question gets the same answer", async () => {
  await using envd = new TestEnvd(true);
  using asker = new Asker(envd);
  const init = { accessToken: "one", hostname: "sb-1", report: true };
  const first = await asker.ask("q1", "/init", init);
  assertEquals([first.status, jsonOf(first).hostname], [200, "sb-1"]);
  assertEquals(await asker.ask("q1", "/init", init), first);
  assertEquals(envd.machine.calls, ["hostname sb-1"]);
  // Another question with the same body must show the token now.
  assertEquals(codeOf(await asker.ask("q2", "/init", init)), "unauthorized");
  assertEquals((await asker.ask("q3", "/init", { accessToken: "two" }, "one")).status, 204);
  assertEquals(envd.state.accessToken, "two");
});

Deno.test("calls by datagram ask for the token, and a sealed guest takes none but its identity", async () => {
  await using envd = new TestEnvd(true);
  using asker = new Asker(envd);
  const calls: [string, unknown][] = [["/clock", {}], ["/quiesce", {}], ["/seal", {}]];
  for (const [path, body] of calls) {
    assertEquals((await asker.ask(`s${path}`, path, body)).status, 401, path);
  }
  await asker.ask("q1", "/init", { accessToken: "one" });
  for (const [path, body] of calls) {
    assertEquals((await asker.ask(`w${path}`, path, body, "wrong")).status, 401, path);
  }
  assertEquals(envd.machine.calls, []);
  const quiesced = await asker.ask("q2", "/quiesce", { sync: false }, "one");
  assertEquals(jsonOf(quiesced), { frozen: 3, synced: false });
  assertEquals(codeOf(await asker.ask("q3", "/no", {}, "one")), "not_found");
  assertEquals((await asker.ask("q4", "/seal", {}, "one")).status, 204);
  assertEquals(envd.state.sealed, true);
});

Deno.test("the clock is set when it is off, and by no replay", async () => {
  await using envd = new TestEnvd();
  using asker = new Asker(envd);
  const own = Number(envd.machine.now() / 1_000_000n);
  const tell = async (id: string, ms: number) =>
    (await asker.ask(id, "/clock", { timestamp: new Date(ms).toISOString() })).status;
  assertEquals(await tell("a", own + 40), 204);
  assertEquals(envd.machine.calls, []);
  assertEquals(await tell("b", own + 500), 204);
  assertEquals(envd.machine.calls, [`clock ${BigInt(own + 500) * 1_000_000n}`]);
  assertEquals(await tell("c", own - 60_000), 204);
  assertEquals(envd.machine.calls.length, 1);
  assertEquals(codeOf(await asker.ask("e", "/clock", { timestamp: "soon" })), "invalid_request");
});

Deno.test("what is no question is dropped", async () => {
  await using envd = new TestEnvd();
  using asker = new Asker(envd);
  for (const text of ["", "a b c", "\n\n", "x".repeat(60_000)]) {
    await asker.send(new TextEncoder().encode(text));
  }
  assertEquals((await asker.ask("q", "/clock", {})).status, 204);
});

/** Answers of a command until it is over. */
async function exec(asker: Asker, id: string, script: string): Promise<ControlAnswer> {
  const body = { cmd: "sh", args: ["-c", script], cwd: "/" };
  let answer = await asker.ask(id, "/exec", body);
  while (answer.status === UNDER_WAY) answer = await asker.ask(id, "/exec", body);
  return answer;
}

Deno.test("a command runs by datagram, and what is too large to answer is fetched", async () => {
  await using envd = new TestEnvd();
  using asker = new Asker(envd);
  const small = await exec(asker, "small", "echo hello; exit 3");
  assertEquals(small.status, 200);
  assertEquals(new TextDecoder().decode(small.body).endsWith("hello\n"), true);
  assertEquals(codeOf(await asker.ask("none", "/exec", { cmd: "no-such" })), "command_not_found");
  const large = await exec(asker, "large", "head -c 100000 /dev/zero");
  assertEquals([large.status, large.body.length], [ELSEWHERE, 0]);
  const response = await envd.fetch("/answers/large");
  assertEquals((await response.bytes()).length > 100_000, true);
  const absent = await envd.fetch("/answers/other");
  assertEquals(absent.status, 404);
  await absent.body?.cancel();
});

Deno.test("a command that is canceled is killed", async () => {
  await using envd = new TestEnvd();
  using asker = new Asker(envd);
  const file = `${envd.dir}/pid`;
  const body = { cmd: "sh", args: ["-c", `echo $$ > ${file}; sleep 100`], cwd: "/" };
  await asker.send(
    encodeQuestion({ id: "q", token: "", path: "/exec", body: JSON.stringify(body) }),
  );
  await eventually(() => Deno.readTextFile(file).catch(() => ""), "the process");
  assertEquals((await asker.ask("c", "/cancel", "q")).status, 204);
  const last = await exec(asker, "q", "");
  assertEquals(new TextDecoder().decode(last.body).includes('"signal":9'), true);
});
