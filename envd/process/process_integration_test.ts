import { Code, ConnectError } from "@connectrpc/connect";
import { assert, assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import type { Signal } from "@wrenn/proto/process";
import { collect, pidOf, sh } from "../testing/process.ts";
import { asUser, eventually, TestEnvd } from "../testing/server.ts";

const decoder = new TextDecoder();
const encoder = new TextEncoder();

for (const json of [false, true]) {
  Deno.test(`start() streams output and the end, ${json ? "JSON" : "binary"}`, async () => {
    await using envd = new TestEnvd();
    const done = await collect(
      envd.processes(json).start({ process: sh("echo out; echo err >&2; exit 3") }),
    );
    assertEquals([done.stdout, done.stderr], ["out\n", "err\n"]);
    assert(done.pid > 0);
    const { exitCode, exited, status, error } = done.end;
    assertEquals({ exitCode, exited, status, error }, {
      exitCode: 3,
      exited: true,
      status: "exit status 3",
      error: "exit status 3",
    });
  });
}

for (const [signal, status] of [["KILL", "signal: killed"], ["34", "signal: signal 34"]]) {
  Deno.test({
    name: `start() reports the end by signal ${signal} as Go does`,
    // Deno throws at real-time signals and keeps the child in its table.
    sanitizeResources: signal === "KILL",
    async fn() {
      await using envd = new TestEnvd();
      const { end } = await collect(envd.processes().start({ process: sh(`kill -${signal} $$`) }));
      assertEquals([end.exitCode, end.exited, end.status], [-1, false, status]);
    },
  });
}

Deno.test("start() runs as the user with its environment, groups and directory", async () => {
  await using envd = new TestEnvd();
  envd.state.envVars = { FROM_INIT: "a", BOTH: "init" };
  const { stdout } = await collect(
    envd.processes().start({
      process: {
        ...sh('id -u; id -G; echo "$HOME $USER $LOGNAME $FROM_INIT $BOTH $PWD"', envd.dir),
        envs: { BOTH: "request" },
      },
    }, asUser("daemon")),
  );
  const lines = stdout.trim().split("\n");
  assertEquals(lines, ["1", "1", `/usr/sbin daemon daemon a request ${envd.dir}`]);
});

Deno.test("start() gives a user its supplementary groups", async () => {
  await using envd = new TestEnvd();
  const passwd = `${envd.dir}/passwd`;
  const group = `${envd.dir}/group`;
  await Deno.writeTextFile(passwd, "root:x:0:0::/root:/bin/sh\ntester:x:4711:4711::/:/bin/sh\n");
  await Deno.writeTextFile(group, "tester:x:4711:\na:x:4801:tester\nb:x:4802:x,tester\n");
  const { Users } = await import("../linux/users.ts");
  const { GuestState } = await import("../init/state.ts");
  const { ProcessManager } = await import("./manager.ts");
  const { startOnPty } = await import("../pty/pty_backend.ts");
  const users = new Users({ passwd, group });
  const state = new GuestState(users, false);
  await using manager = new ProcessManager({ state, users, startOnPty });
  const { process, output } = await manager.start({
    config: { cmd: "id", args: ["-G"], envs: {}, cwd: "/" },
    user: await users.find("tester"),
    tag: undefined,
    pty: undefined,
    stdin: false,
    deadlineMs: 0,
  });
  const first = await output.next();
  assert(first && typeof first !== "symbol" && first.kind === "stdout");
  assertEquals(decoder.decode(first.data).trim(), "4711 4801 4802");
  await process.ended;
});

Deno.test("start() puts each process in its own session, first for the OOM killer", async () => {
  await using envd = new TestEnvd();
  const own = (await Deno.readTextFile("/proc/self/oom_score_adj")).trim();
  const script = "cat /proc/self/oom_score_adj; cut -d' ' -f5,6 /proc/$$/stat";
  const { stdout, pid } = await collect(envd.processes().start({ process: sh(script) }));
  assertEquals(stdout.trim().split("\n"), ["100", `${pid} ${pid}`]);
  assertEquals((await Deno.readTextFile("/proc/self/oom_score_adj")).trim(), own);
});

Deno.test("a process gets none of envd's descriptors", async () => {
  await using envd = new TestEnvd();
  const watch = await envd.watchers.create({
    path: envd.dir,
    recursive: false,
    includeEntry: false,
    allowNetworkMounts: false,
  });
  const args = ["-c", "ls /proc/$$/fd"];
  // What the test runner itself inherited is passed on by any spawn.
  const control = await new Deno.Command("/bin/sh", { args, stdin: "null", stdout: "piped" })
    .spawn().output();
  const { stdout } = await collect(
    envd.processes().start({ process: { cmd: "/bin/sh", args, cwd: "/" } }),
  );
  assertEquals(stdout, decoder.decode(control.stdout));
  envd.watchers.remove(watch);
});

Deno.test("start() refuses what cannot run with a code and the reason", async () => {
  await using envd = new TestEnvd();
  await Deno.writeTextFile(`${envd.dir}/plain`, "x");
  await Deno.writeTextFile(`${envd.dir}/script`, "#!/no/such/interpreter\n");
  await Deno.chmod(`${envd.dir}/script`, 0o755);
  const { dir } = envd;
  const cases: [Record<string, unknown>, Code, string, string][] = [
    [{ cmd: "no-such-cmd" }, Code.InvalidArgument, "command_not_found", "no-such-cmd"],
    [{ cmd: `${dir}/plain` }, Code.InvalidArgument, "command_not_found", "permission denied"],
    [{ cmd: `${dir}/script` }, Code.InvalidArgument, "command_not_found", "interpreter"],
    [{ cmd: "" }, Code.InvalidArgument, "invalid_request", "empty"],
    [{ cmd: "a\0b" }, Code.InvalidArgument, "invalid_request", "NUL"],
    [{ cmd: "ls", args: ["\0"] }, Code.InvalidArgument, "invalid_request", "NUL"],
    [{ cmd: "ls", envs: { "A=B": "" } }, Code.InvalidArgument, "invalid_request", "A=B"],
    [{ cmd: "ls", envs: { A: "\0" } }, Code.InvalidArgument, "invalid_request", "'A'"],
    [{ cmd: "ls", cwd: "/no/dir" }, Code.InvalidArgument, "invalid_path", "cwd '/no/dir' does not"],
    [{ cmd: "ls", cwd: `${dir}/plain` }, Code.InvalidArgument, "not_directory", "not a directory"],
    [
      { cmd: "ls", args: ["x".repeat(200_000)] },
      Code.InvalidArgument,
      "invalid_request",
      "too long",
    ],
  ];
  for (const [process, code, wrennCode, words] of cases) {
    const error = await assertRejects(
      () => collect(envd.processes().start({ process })),
      ConnectError,
      words,
    );
    assertEquals([error.code, error.metadata.get("wrenn-code")], [code, wrennCode], words);
  }
  const user = await assertRejects(
    () => collect(envd.processes().start({ process: sh("true") }, asUser("nobody-here"))),
    ConnectError,
    "invalid username: 'nobody-here'",
  );
  assertEquals(user.code, Code.Unauthenticated);
});

Deno.test("sendInput() and closeStdin() feed a process in order", async () => {
  await using envd = new TestEnvd();
  const client = envd.processes();
  const stream = client.start({ process: sh("cat; echo done") })[Symbol.asyncIterator]();
  const process = { selector: { case: "pid" as const, value: await pidOf(stream) } };
  const send = (text: string) =>
    client.sendInput({ process, input: { input: { case: "stdin", value: encoder.encode(text) } } });
  await send("one ");
  await Promise.all([send("two "), send("three\n")]);
  await client.closeStdin({ process });
  const { stdout } = await collect({ [Symbol.asyncIterator]: () => stream });
  assertEquals(stdout, "one two three\ndone\n");
  await assertRejects(() => send("late"), ConnectError, "not found");
});

Deno.test("stdin false reads end of file at once, and input is refused", async () => {
  await using envd = new TestEnvd();
  const client = envd.processes();
  const { stdout } = await collect(client.start({ process: sh("cat; echo end"), stdin: false }));
  assertEquals(stdout, "end\n");
  const gone = new AbortController();
  const stream = client.start({ process: sh("sleep 60"), stdin: false }, { signal: gone.signal });
  const value = await pidOf(stream[Symbol.asyncIterator]());
  const process = { selector: { case: "pid" as const, value } };
  const input = { input: { case: "stdin" as const, value: encoder.encode("x") } };
  await assertRejects(() => client.sendInput({ process, input }), ConnectError, "has no stdin");
  await assertRejects(() => client.closeStdin({ process }), ConnectError, "has no stdin");
  gone.abort();
});

Deno.test("streamInput() writes a stream of any size", async () => {
  await using envd = new TestEnvd();
  const client = envd.processes();
  const stream = client.start({ process: sh("wc -c") })[Symbol.asyncIterator]();
  const process = { selector: { case: "pid" as const, value: await pidOf(stream) } };
  const piece = new Uint8Array(64 * 1024);
  await client.streamInput((async function* () {
    yield { event: { case: "start" as const, value: { process } } };
    for (let i = 0; i < 80; i++) {
      const input = { input: { case: "stdin" as const, value: piece } };
      yield { event: { case: "data" as const, value: { input } } };
    }
  })());
  await client.closeStdin({ process });
  const { stdout } = await collect({ [Symbol.asyncIterator]: () => stream });
  assertEquals(stdout.trim(), String(80 * 64 * 1024));
});

Deno.test("sendSignal() reaches the whole process group", async () => {
  await using envd = new TestEnvd();
  const client = envd.processes();
  const script =
    "trap 'echo parent; wait; exit 9' INT; (trap 'echo child; exit' INT; echo ready; " +
    "while :; do sleep 0.05; done) & while :; do wait; done";
  const stream = client.start({ process: { ...sh(script), cmd: "/bin/bash" } });
  const iterator = stream[Symbol.asyncIterator]();
  const process = { selector: { case: "pid" as const, value: await pidOf(iterator) } };
  await iterator.next(); // "ready"
  await client.sendSignal({ process, signal: 2 as Signal });
  const { stdout, end } = await collect({ [Symbol.asyncIterator]: () => iterator });
  assertEquals(stdout.trim().split("\n").sort(), ["child", "parent"]);
  assertEquals(end.exitCode, 9);
  for (const signal of [0, 32, 64, -1]) {
    await assertRejects(() => client.sendSignal({ process, signal }), ConnectError, "1 to 31");
  }
});

Deno.test("the kill deadline belongs to the process, not to its client", async () => {
  await using envd = new TestEnvd();
  const client = envd.processes();
  const options = { headers: { "connect-timeout-ms": "700" } };
  const gone = new AbortController();
  const stream = client.start({ process: sh("sleep 60") }, { ...options, signal: gone.signal });
  const pid = await pidOf(stream[Symbol.asyncIterator]());
  gone.abort();
  assertEquals((await client.list({})).processes.map((p) => p.pid), [pid]);
  const late = await collect(
    client.connect({ process: { selector: { case: "pid", value: pid } } }),
  );
  assertEquals(late.end.status, "signal: killed");
  const error = await assertRejects(
    () => collect(client.start({ process: sh("sleep 60") }, { timeoutMs: 300 })),
    ConnectError,
  );
  assertEquals(error.code, Code.DeadlineExceeded);
});

Deno.test("a timeout of 0 or of years is none", async () => {
  await using envd = new TestEnvd();
  for (const timeout of ["0", "9999999999"]) {
    const { stdout } = await collect(
      envd.processes().start({ process: sh("sleep 0.2; echo ok") }, {
        headers: { "connect-timeout-ms": timeout },
      }),
    );
    assertEquals(stdout, "ok\n");
  }
});

Deno.test("connect() by tag and after the end, list() and unknown processes", async () => {
  await using envd = new TestEnvd();
  const client = envd.processes();
  const stream = client.start({ process: sh("read x; echo got $x; exit 4"), tag: "job" });
  const iterator = stream[Symbol.asyncIterator]();
  const pid = await pidOf(iterator);
  const listed = (await client.list({})).processes;
  assertEquals(listed.map((p) => [p.pid, p.tag, p.config?.cmd]), [[pid, "job", "/bin/sh"]]);
  const process = { selector: { case: "tag" as const, value: "job" } };
  const second = collect(client.connect({ process }));
  await eventually(() => envd.manager.list()[0], "process");
  await client.sendInput({
    process,
    input: { input: { case: "stdin", value: encoder.encode("it\n") } },
  });
  assertStringIncludes((await collect({ [Symbol.asyncIterator]: () => iterator })).stdout, "it");
  assertEquals((await second).end.exitCode, 4);
  const late = await collect(
    client.connect({ process: { selector: { case: "pid", value: pid } } }),
  );
  assertEquals([late.pid, late.stdout, late.end.exitCode], [pid, "", 4]);
  assertEquals((await client.list({})).processes, []);
  const unknown = await assertRejects(
    () =>
      client.sendSignal({ process: { selector: { case: "pid", value: 4_000_000 } }, signal: 9 }),
    ConnectError,
    "process with pid 4000000 not found",
  );
  assertEquals(unknown.code, Code.NotFound);
  await assertRejects(() => client.sendInput({}), ConnectError, "selector is missing");
});
