/** `POST /exec` with real processes. Needs root: commands run as other users. */
import { assert, assertEquals } from "@std/assert";
import { delay } from "@wrenn/common";
import { TestEnvd } from "../testing/server.ts";

interface Answer {
  readonly status: number;
  readonly head: Record<string, unknown>;
  readonly stdout: string;
  readonly stderr: string;
}

async function run(
  envd: TestEnvd,
  body: Record<string, unknown>,
  signal?: AbortSignal,
): Promise<Answer> {
  const init = { method: "POST", body: JSON.stringify(body), ...(signal ? { signal } : {}) };
  const response = await envd.fetch("/exec", init);
  const bytes = new Uint8Array(await response.arrayBuffer());
  const text = new TextDecoder();
  if (!response.ok) {
    const code = response.headers.get("wrenn-code");
    return { status: response.status, head: { code }, stdout: "", stderr: text.decode(bytes) };
  }
  const length = new DataView(bytes.buffer).getUint32(0, true);
  const head = JSON.parse(text.decode(bytes.subarray(4, 4 + length)));
  const at = 4 + length + head.stdout_bytes;
  return {
    status: response.status,
    head,
    stdout: text.decode(bytes.subarray(4 + length, at)),
    stderr: text.decode(bytes.subarray(at)),
  };
}

async function statusOf(answer: Promise<Response>): Promise<number> {
  const response = await answer;
  await response.body?.cancel();
  return response.status;
}

const sh = (script: string, more: Record<string, unknown> = {}) => ({
  cmd: "sh",
  args: ["-c", script],
  cwd: "/",
  ...more,
});

Deno.test("exec answers with output, exit code and signal", async () => {
  await using envd = new TestEnvd();
  const both = await run(envd, sh("echo out; echo err >&2; exit 3"));
  assertEquals([both.stdout, both.stderr, both.head["exit_code"]], ["out\n", "err\n", 3]);
  assertEquals((await run(envd, sh("kill -9 $$"))).head["signal"], 9);
  const env = await run(envd, sh("echo $A$B; pwd", { env: { A: "1" }, cwd: "/tmp" }));
  assertEquals(env.stdout, "1\n/tmp\n");
  assertEquals((await run(envd, sh("cat; echo done"))).stdout, "done\n");
  // A shell that was told to ignore nothing has its pipes broken for it.
  assertEquals((await run(envd, sh("yes | head -n 1"))).stdout, "y\n");
});

Deno.test("exec says what is wrong with a command", async () => {
  await using envd = new TestEnvd();
  const code = async (body: Record<string, unknown>) => (await run(envd, body)).head["code"];
  assertEquals(await code({ cmd: "no-such-program" }), "command_not_found");
  assertEquals(await code({ cmd: "" }), "invalid_request");
  assertEquals(await code({ cmd: "true", cwd: "/no/where" }), "invalid_path");
  assertEquals(await code({ cmd: "true", user: "nobody-here" }), "invalid_user");
  assertEquals(await code({ cmd: "true", args: ["a\0b"] }), "invalid_request");
  assertEquals(await code({ cmd: "true", args: [1] }), "invalid_request");
  assertEquals(await code({ cmd: "true", timeout_ms: -1 }), "invalid_request");
  assertEquals(await statusOf(envd.fetch("/exec", { method: "POST", body: "{" })), 400);
  envd.state.frozen = true;
  assertEquals(await code({ cmd: "true" }), "sandbox_paused");
});

Deno.test("S-24: another user's command has nothing of root left, and envd has everything again", async () => {
  await using envd = new TestEnvd();
  const status =
    "grep -E '^(Uid|Gid|Groups|Cap(Eff|Prm|Amb|Inh)|SigIgn|SigBlk):' /proc/self/status";
  const { stdout } = await run(envd, sh(status, { user: "nobody" }));
  const fields = Object.fromEntries(
    stdout.trim().split("\n").map((line) => {
      const [name = "", value = ""] = line.split(":");
      return [name, value.trim().replace(/\s+/g, " ")];
    }),
  );
  const none = "0000000000000000";
  assertEquals(fields, {
    Uid: "65534 65534 65534 65534",
    Gid: "65534 65534 65534 65534",
    Groups: "65534",
    CapInh: none,
    CapPrm: none,
    CapEff: none,
    CapAmb: none,
    SigBlk: none,
    SigIgn: none,
  });
  for await (const { name } of Deno.readDir("/proc/self/task")) {
    const text = await Deno.readTextFile(`/proc/self/task/${name}/status`);
    assert(/^Uid:\t0\t0\t0\t0$/m.test(text), text);
    assert(/^Gid:\t0\t0\t0\t0$/m.test(text), text);
  }
  const denied = await run(envd, {
    cmd: "/bin/cat",
    args: ["/etc/shadow"],
    user: "nobody",
    cwd: "/",
  });
  assertEquals(denied.head["exit_code"], 1);
  const session = await run(envd, sh("ps -o pid=,sid=,pgid= -p $$ || cat /proc/self/stat"));
  const [pid, sid, pgid] = session.stdout.trim().split(/\s+/);
  assertEquals([sid, pgid], [pid, pid]);
});

Deno.test("exec cuts output at its limit and reads the rest", async () => {
  await using envd = new TestEnvd();
  const cut = await run(envd, sh("head -c 300000 /dev/zero; echo end >&2", { output_bytes: 1000 }));
  assertEquals([cut.stdout.length, cut.head["truncated"], cut.head["exit_code"]], [1000, true, 0]);
  const whole = await run(envd, sh("head -c 5000000 /dev/zero"));
  assertEquals([whole.stdout.length, whole.head["truncated"]], [5_000_000, false]);
});

Deno.test("exec kills the whole group at the deadline and when the caller leaves", async () => {
  await using envd = new TestEnvd();
  const mark = `/tmp/exec-test-${crypto.randomUUID()}`;
  const script = `sleep 30 & echo $! > ${mark}; wait`;
  const late = await run(envd, sh(script, { timeout_ms: 200 }));
  assertEquals([late.head["timed_out"], late.head["signal"]], [true, 9]);
  const gone = async (): Promise<boolean> => {
    const pid = (await Deno.readTextFile(mark)).trim();
    const stat = await Deno.readTextFile(`/proc/${pid}/stat`).catch(() => "");
    return stat === "" || / Z /.test(stat);
  };
  while (!(await gone())) await delay(10);
  await Deno.remove(mark);
  const leave = new AbortController();
  const call = run(envd, sh(script), leave.signal).catch(() => "left");
  while (!(await Deno.stat(mark).catch(() => undefined))?.size) await delay(10);
  leave.abort();
  assertEquals(await call, "left");
  while (!(await gone())) await delay(10);
  await Deno.remove(mark);
});

Deno.test("exec ends with its command although a descendant holds the pipes", async () => {
  await using envd = new TestEnvd();
  const began = performance.now();
  const { stdout } = await run(envd, sh("sleep 5 & echo done"));
  assertEquals(stdout, "done\n");
  assert(performance.now() - began < 4000);
});

Deno.test("seal() leaves nothing of whose the guest was", async () => {
  await using envd = new TestEnvd();
  const init = (body: unknown, token = "") =>
    statusOf(envd.fetch("/init", {
      method: "POST",
      body: JSON.stringify(body),
      headers: { "x-access-token": token },
    }));
  assertEquals(await init({ accessToken: "warm", envVars: { A: "1" } }), 204);
  const authorized = { "x-access-token": "warm" };
  const post = (path: string, body: string) =>
    envd.fetch(path, { method: "POST", body, headers: authorized });
  assertEquals(await (await post("/quiesce", '{"sync":true}')).json(), { frozen: 3, synced: true });
  assertEquals(envd.state.frozen, true);
  assertEquals(await statusOf(post("/seal", "{}")), 204);
  assertEquals([envd.state.sealed, envd.state.accessToken, envd.state.envVars], [
    true,
    undefined,
    {},
  ]);
  assertEquals(envd.machine.calls, ["freeze", "count connections", "sync", "clear"]);
  assertEquals(await statusOf(post("/exec", '{"cmd":"true"}')), 401);
  assertEquals(await init({ accessToken: "tenant" }), 204);
  assertEquals(envd.state.accessToken, "tenant");
});
