import { assert, assertEquals } from "@std/assert";
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { type ExecStreamRequest, ExecStreamRequestSchema } from "@wrenn/proto/agent";
import { delay } from "@wrenn/common";
import { codeOf, startFixture } from "../testing/agent_fixture.ts";

const ID = "sb-00000001";
const text = (bytes: Uint8Array | undefined): string => new TextDecoder().decode(bytes);
const bytes = (value: string): Uint8Array<ArrayBuffer> => new TextEncoder().encode(value);

type Event = MessageInitShape<typeof ExecStreamRequestSchema>["event"];

/** Requests that are sent when they are pushed. */
class Requests implements AsyncIterable<ExecStreamRequest> {
  readonly #queue: ExecStreamRequest[] = [];
  #wake: (() => void) | undefined;
  #ended = false;

  push(event: Event): this {
    this.#queue.push(create(ExecStreamRequestSchema, event ? { event } : {}));
    this.#wake?.();
    return this;
  }

  end(): void {
    this.#ended = true;
    this.#wake?.();
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<ExecStreamRequest> {
    while (true) {
      yield* this.#queue.splice(0);
      if (this.#ended) return;
      await new Promise<void>((resolve) => this.#wake = resolve);
    }
  }
}

function start(
  cmd: string,
  options: { args?: string[]; stdin?: boolean; pty?: boolean; timeoutSec?: number } = {},
): Requests {
  return new Requests().push({
    case: "start",
    value: {
      id: ID,
      command: { cmd, args: options.args ?? [], timeoutSec: options.timeoutSec ?? 0 },
      stdin: options.stdin ?? false,
      ...(options.pty ? { pty: { cols: 80, rows: 24 } } : {}),
    },
  });
}

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await delay(2);
}

Deno.test("exec() runs a command as asked and collects its output", async () => {
  await using fixture = await startFixture();
  const { vm } = await fixture.create(1);
  const result = await fixture.client.exec({
    id: ID,
    command: { cmd: "echo", args: ["a b", "c"], cwd: "/tmp", env: { X: "1" }, user: "root" },
  });
  assertEquals(text(result.stdout), "a b c\n");
  assertEquals([result.exitCode, result.truncated, result.timedOut], [0, false, false]);
  const [process] = vm.envd.processes.started;
  assertEquals(process?.config, { cmd: "echo", args: ["a b", "c"], cwd: "/tmp", envs: { X: "1" } });
  assertEquals(process?.stdin, false);
  assertEquals(vm.envd.users, ["root"]);
  const failed = await fixture.client.exec({ id: ID, command: { cmd: "exit", args: ["7"] } });
  assertEquals([failed.exitCode, text(failed.stderr)], [7, "bad\n"]);
  assertEquals(
    await codeOf(fixture.client.exec({ id: ID, command: { cmd: "missing" } })),
    "command_not_found",
  );
});

Deno.test("exec() keeps 16 MiB of output and says that it was cut", async () => {
  await using fixture = await startFixture();
  await fixture.create(1);
  const size = 16 * 1024 * 1024;
  const exact = { cmd: "flood", args: [String(size)] };
  const result = await fixture.client.exec({ id: ID, command: exact });
  assertEquals([result.stdout.length, result.truncated], [size, false]);
  const over = { cmd: "flood", args: [String(size + 100_000)] };
  const cut = await fixture.client.exec({ id: ID, command: over });
  assertEquals([cut.stdout.length, cut.truncated, cut.exitCode], [size, true, 0]);
});

Deno.test("exec() tells a time limit from another kill", async () => {
  await using fixture = await startFixture();
  const { vm } = await fixture.create(1);
  const limited = await fixture.client.exec({ id: ID, command: { cmd: "sleep", timeoutSec: 1 } });
  assertEquals([limited.exitCode, limited.timedOut], [137, true]);
  assert(limited.durationMs >= 900n);
  const command = { cmd: "sleep", timeoutSec: 1000 };
  const killed = fixture.client.exec({ id: ID, command });
  await until(() => vm.envd.processes.running.size === 1);
  for (const process of vm.envd.processes.running.values()) process.signal(9);
  assertEquals([(await killed).exitCode, (await killed).timedOut], [137, false]);
});

Deno.test("exec() kills the process when its caller leaves", async () => {
  await using fixture = await startFixture();
  const { vm } = await fixture.create(1);
  const stop = new AbortController();
  const call = codeOf(
    fixture.client.exec({ id: ID, command: { cmd: "sleep" } }, { signal: stop.signal }),
  );
  await until(() => vm.envd.processes.running.size === 1);
  stop.abort();
  assertEquals(await call, "canceled");
  await until(() => vm.envd.processes.running.size === 0);
  assertEquals(vm.envd.processes.started[0]?.signals, [9]);
});

Deno.test("exec() ends with its sandbox", async () => {
  await using fixture = await startFixture();
  const { vm } = await fixture.create(1);
  const call = codeOf(fixture.client.exec({ id: ID, command: { cmd: "sleep" } }));
  await until(() => vm.envd.processes.running.size === 1);
  await fixture.client.destroySandbox({ id: ID });
  assertEquals(await call, "sandbox_not_running");
});

Deno.test("execStream() carries stdin in order and its end", async () => {
  await using fixture = await startFixture();
  await fixture.create(1);
  const requests = start("cat", { stdin: true });
  const seen: string[] = [];
  for await (const { event } of fixture.client.execStream(requests)) {
    if (event.case === "start") {
      for (const part of ["one ", "two ", "three"]) {
        requests.push({ case: "stdin", value: bytes(part) });
      }
      requests.push(undefined).push({ case: "stdinClose", value: true });
    }
    if (event.case === "stdout") seen.push(text(event.value));
    if (event.case === "exit") {
      seen.push(`exit ${event.value.exitCode}`);
      requests.end();
    }
  }
  assertEquals(seen.join(""), "one two threeexit 0");
});

Deno.test("execStream() closes stdin at the end of the requests", async () => {
  await using fixture = await startFixture();
  await fixture.create(1);
  const requests = start("cat", { stdin: true });
  requests.push({ case: "stdin", value: bytes("x") });
  requests.end();
  const seen: string[] = [];
  for await (const { event } of fixture.client.execStream(requests)) seen.push(event.case ?? "");
  assertEquals(seen, ["start", "stdout", "exit"]);
});

Deno.test("execStream() resizes a terminal and sends signals past waiting input", async () => {
  await using fixture = await startFixture();
  const { vm } = await fixture.create(1);
  const requests = start("sleep", { pty: true });
  const seen: string[] = [];
  for await (const { event } of fixture.client.execStream(requests)) {
    if (event.case === "start") {
      requests.push({ case: "stdin", value: new Uint8Array(500_000) });
      requests.push({ case: "resize", value: { cols: 100, rows: 30 } });
      await until(() => vm.envd.processes.started[0]?.sizes.length === 1);
      requests.push({ case: "signal", value: 2 });
    }
    if (event.case === "exit") {
      seen.push(`exit ${event.value.exitCode}`);
      requests.end();
    }
  }
  const [process] = vm.envd.processes.started;
  assertEquals(process?.pty, { cols: 80, rows: 24 });
  assertEquals(process?.sizes, ["100x30"]);
  assertEquals(seen, ["exit 130"]);
});

Deno.test("execStream() kills the process when its client leaves, however it leaves", async () => {
  await using fixture = await startFixture();
  const { vm } = await fixture.create(1);
  const processes = vm.envd.processes;
  // Leaves while nothing is said.
  const stop = new AbortController();
  const silent = codeOf(fixture.client.execStream(start("sleep"), { signal: stop.signal }));
  await until(() => processes.running.size === 1);
  stop.abort();
  assertEquals(await silent, "canceled");
  await until(() => processes.running.size === 0);
  // Leaves while it is flooded and does not read.
  const flood = start("flood", { args: ["1000000000"] });
  const gone = new AbortController();
  const reading = fixture.client.execStream(flood, { signal: gone.signal })[Symbol.asyncIterator]();
  await reading.next();
  await reading.next();
  await until(() => processes.running.size === 1);
  gone.abort();
  await reading.next().catch(() => {});
  await until(() => (processes.started[1]?.signals.length ?? 0) > 0);
  assertEquals(processes.started.map((p) => p.signals), [[9], [9]]);
});

Deno.test("execStream() refuses what makes no sense and kills the process", async () => {
  await using fixture = await startFixture();
  const { vm } = await fixture.create(1);
  const code = async (requests: Requests): Promise<string> => {
    const answer = await codeOf(fixture.client.execStream(requests));
    requests.end();
    return answer;
  };
  const wrong: Event[] = [
    { case: "stdin", value: bytes("x") },
    { case: "resize", value: { cols: 1, rows: 1 } },
    { case: "signal", value: 0 },
    { case: "signal", value: 64 },
    { case: "start", value: { id: ID, command: { cmd: "echo" } } },
  ];
  for (const event of wrong) {
    assertEquals(await code(start("sleep").push(event)), "invalid_request", event?.case);
  }
  await until(() => vm.envd.processes.running.size === 0);
  const first = new Requests().push({ case: "stdin", value: bytes("x") });
  assertEquals(await code(first), "invalid_request");
  const none = new Requests();
  none.end();
  assertEquals(await code(none), "invalid_request");
});

Deno.test("execStream() tells a time limit", async () => {
  await using fixture = await startFixture();
  await fixture.create(1);
  const requests = start("sleep", { timeoutSec: 1 });
  for await (const { event } of fixture.client.execStream(requests)) {
    if (event.case !== "exit") continue;
    assertEquals([event.value.exitCode, event.value.timedOut], [137, true]);
    requests.end();
  }
});
