import { assert, assertEquals, assertRejects } from "@std/assert";
import { CommandExitError, InvalidRequestError, TimeoutError } from "@wrenn/sdk";
import { assertError, callJson } from "./lib/http.ts";
import { sharedSandbox } from "./lib/sandbox.ts";
import { until } from "./lib/wait.ts";
import { test } from "./lib/test.ts";

const sandbox = sharedSandbox();
const run: ReturnType<typeof sandbox>["commands"]["run"] =
  ((...args: [string]) => sandbox().commands.run(...args)) as never;

test("exec answers the documented shape", async () => {
  const body = { cmd: "python3", args: ["-c", "print(sum(range(10)))"] };
  const { status, json } = await callJson("POST", `/v1/sandboxes/${sandbox().id}/exec`, body);
  const answer = json as Record<string, unknown>;
  assertEquals(status, 200);
  assertEquals([answer["stdout"], answer["stderr"], answer["exit_code"]], ["45\n", "", 0]);
  assertEquals([answer["sandbox_id"], answer["encoding"]], [sandbox().id, "utf-8"]);
  assert(Number(answer["duration_ms"]) > 0);
});

test("exec gives output that is not UTF-8 as base64", async () => {
  const body = { cmd: "printf", args: ["\\377\\000\\200"] };
  const { json } = await callJson("POST", `/v1/sandboxes/${sandbox().id}/exec`, body);
  const answer = json as Record<string, unknown>;
  assertEquals([answer["encoding"], answer["stdout"]], ["base64", "/wCA"]);
  const result = await run(["printf", "\\377\\000\\200"]);
  assertEquals(result.stdoutBytes, new Uint8Array([255, 0, 128]));
});

test("exec keeps output streams apart and tells the exit code", async () => {
  const result = await run("echo out; echo err >&2; exit 7", { check: false });
  assertEquals([result.stdout, result.stderr, result.exitCode], ["out\n", "err\n", 7]);
  const error = await assertRejects(() => run("kill -9 $$"), CommandExitError);
  assertEquals(error.exitCode, 137);
});

test("exec passes arguments as they are, without a shell", async () => {
  const odd = ["a b", "$HOME", "*", "'\"", "é✓", "", "-n", "x\ny"];
  const { stdout } = await run(["printf", "[%s]", ...odd]);
  assertEquals(stdout, odd.map((arg) => `[${arg}]`).join(""));
});

test("exec obeys cwd, env and user", async () => {
  const { stdout } = await run(["sh", "-c", "pwd; echo $A; id -un; echo $HOME"], {
    cwd: "/var/tmp",
    env: { A: "é 1" },
    user: "root",
  });
  assertEquals(stdout, "/var/tmp\né 1\nroot\n/root\n");
  assertEquals((await run(["sh", "-c", "pwd; id -un"])).stdout, "/home/user\nuser\n");
});

test("exec kills at the time limit, and what the command started with it", async () => {
  const error = await assertRejects(
    () => run("echo begun; sleep 777 & sleep 777", { timeoutMs: 2000 }),
    TimeoutError,
  );
  assertEquals([error.code, error.result?.stdout], ["command_timeout", "begun\n"]);
  await gone("sleep 777");
});

test("exec kills the command of a client that leaves", async () => {
  const abort = new AbortController();
  const call = run(["sleep", "778"], { signal: abort.signal });
  await until("the command", async () => (await running("sleep 778")) ? true : undefined);
  abort.abort(new RangeError("Enough"));
  await assertRejects(() => call, RangeError);
  await gone("sleep 778");
});

test("exec refuses what cannot run with a code", async () => {
  const cases: [string, Record<string, unknown>][] = [
    ["command_not_found", { cmd: "no-such-program" }],
    ["invalid_user", { cmd: "true", user: "nobody-here" }],
    ["invalid_path", { cmd: "true", cwd: "/no/such/folder" }],
    ["not_directory", { cmd: "true", cwd: "/etc/passwd" }],
    ["invalid_request", { cmd: "" }],
  ];
  for (const [code, body] of cases) {
    const answer = await callJson("POST", `/v1/sandboxes/${sandbox().id}/exec`, body);
    assertError(answer, 400, code);
  }
  await assertRejects(() => run(["no-such-program"]), InvalidRequestError, "no-such-program");
});

test("exec carries a megabyte each way, and cuts output at its limit", async () => {
  const line = "x".repeat(100_000);
  const { stdout } = await run(["sh", "-c", 'printf %s "$@"', "sh", ...Array(8).fill(line)]);
  assertEquals(stdout.length, 800_000);
  const much = await run("yes | head -c 17000000");
  assertEquals([much.truncated, much.stdoutBytes.length], [true, 16 * 1024 * 1024]);
});

test("twenty commands run at once", async () => {
  const results = await Promise.all(
    Array.from({ length: 20 }, (_, i) => run(["sh", "-c", `echo ${i}; sleep 0.2; echo ${i}`])),
  );
  assertEquals(results.map((r) => r.stdout), Array.from({ length: 20 }, (_, i) => `${i}\n${i}\n`));
});

async function running(command: string): Promise<boolean> {
  const { stdout } = await run(["ps", "-eo", "args"], { user: "root" });
  return stdout.split("\n").some((line) => line === command || line.endsWith(`/${command}`));
}

async function gone(command: string): Promise<void> {
  await until(`the end of '${command}'`, async () => (await running(command)) ? undefined : true);
}
