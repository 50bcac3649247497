import { assertEquals } from "@std/assert";
import { TestApp } from "../testing/test_app.ts";

async function exec(
  t: TestApp,
  command: Record<string, unknown>,
): Promise<Record<string, unknown>> {
  const response = await t.request("POST", `/v1/sandboxes/${await t.create()}/exec`, command);
  return { status: response.status, ...await response.json() };
}

Deno.test("exec answers output, exit code and time", async () => {
  await using t = new TestApp();
  const { sandbox_id, ...rest } = await exec(t, { cmd: "echo", args: ["h\u00e9", "b"] });
  assertEquals(typeof sandbox_id, "string");
  assertEquals(rest, {
    status: 200,
    stdout: "h\u00e9 b\n",
    stderr: "",
    exit_code: 0,
    duration_ms: 1,
    encoding: "utf-8",
    truncated: false,
    timed_out: false,
  });
});

Deno.test("exec passes environment, folder and user", async () => {
  await using t = new TestApp();
  assertEquals((await exec(t, { cmd: "env", env: { A: "x y" } })).stdout, "A=x y\n");
  assertEquals((await exec(t, { cmd: "pwd", cwd: "/tmp" })).stdout, "/tmp\n");
  assertEquals((await exec(t, { cmd: "id", user: "root" })).stdout, "root\n");
});

Deno.test("exec answers both streams in base64 when one is not UTF-8", async () => {
  await using t = new TestApp();
  t.agent.programs.set("both", async ({ stdout, stderr }) => {
    await stdout(new Uint8Array([0xff, 0x00]));
    await stderr(new TextEncoder().encode("text"));
    return 3;
  });
  const { stdout, stderr, encoding, exit_code } = await exec(t, { cmd: "both" });
  assertEquals([stdout, stderr, encoding, exit_code], ["/wA=", "dGV4dA==", "base64", 3]);
});

Deno.test("exec says when the time was over", async () => {
  await using t = new TestApp();
  const { timed_out, exit_code } = await exec(t, { cmd: "sleep", timeout_sec: 1 });
  assertEquals([timed_out, exit_code], [true, 137]);
});

Deno.test("exec is killed when the client leaves", async () => {
  await using t = new TestApp();
  const started = Promise.withResolvers<void>();
  const killed = Promise.withResolvers<void>();
  t.agent.programs.set("wait", async ({ killed: signal }) => {
    started.resolve();
    await new Promise<void>((resolve) => signal.addEventListener("abort", () => resolve()));
    killed.resolve();
    return 137;
  });
  const id = await t.create();
  const leave = new AbortController();
  const response = t.app.fetch(
    new Request(`http://api.test/v1/sandboxes/${id}/exec`, {
      method: "POST",
      headers: {
        "x-api-key": [...t.keys.owners.keys()][0] ?? "",
        "content-type": "application/json",
      },
      body: JSON.stringify({ cmd: "wait" }),
      signal: leave.signal,
    }),
  );
  await started.promise;
  leave.abort();
  await killed.promise;
  assertEquals((await (await response).json()).error.code, "canceled");
});

Deno.test("exec on a paused sandbox is refused", async () => {
  await using t = new TestApp();
  const id = await t.create();
  await t.request("POST", `/v1/sandboxes/${id}/pause`);
  const response = await t.request("POST", `/v1/sandboxes/${id}/exec`, { cmd: "true" });
  assertEquals([response.status, (await response.json()).error.code], [409, "sandbox_paused"]);
});
