import { assertEquals } from "@std/assert";
import { exists } from "@wrenn/common";
import { systemMachine } from "./linux/machine.ts";

/** Bundles envd and starts it as in a guest: one file, no configuration. */
async function start(
  ...flags: string[]
): Promise<{ url: string; child: Deno.ChildProcess; dir: string; log: ReadableStream }> {
  const dir = await Deno.makeTempDir({ prefix: "envd-test-" });
  const main = new URL("./main.ts", import.meta.url).pathname;
  const bundle = await new Deno.Command(Deno.execPath(), {
    args: ["bundle", "--quiet", "--platform", "deno", "-o", `${dir}/envd.js`, main],
  }).output();
  if (!bundle.success) throw new Error(new TextDecoder().decode(bundle.stderr));
  const child = new Deno.Command(Deno.execPath(), {
    args: [
      "run",
      "-A",
      "--no-config",
      "--no-lock",
      "--no-prompt",
      "--cached-only",
      "--unstable-no-legacy-abort",
      "--unstable-net",
      `${dir}/envd.js`,
      "--port=0",
      "--host=127.0.0.1",
      ...flags,
    ],
    cwd: dir,
    stdin: "null",
    stdout: "null",
    stderr: "piped",
  }).spawn();
  const reader = child.stderr.getReader();
  let text = "";
  let port: number | undefined;
  // What this host does not offer may be told before.
  while (port === undefined) {
    const { value, done } = await reader.read();
    if (done) throw new Error(`Envd ended: ${text}`);
    text += new TextDecoder().decode(value);
    const lines = text.split("\n").slice(0, -1);
    port = lines.map((line) => JSON.parse(line).properties.port).find((port) => port !== undefined);
  }
  reader.releaseLock();
  return { url: `http://127.0.0.1:${port}`, child, dir, log: child.stderr };
}

/** Groups that envd makes for itself and what it starts, where this host has cgroup v2. */
const GROUPS = ["/sys/fs/cgroup/wrenn", "/sys/fs/cgroup/user"];

Deno.test("the bundle runs alone, waits for init, and ends with its processes", async () => {
  const there = await Promise.all(GROUPS.map((group) => exists(group)));
  const { url, child, dir, log } = await start("--await-init");
  using client = Deno.createHttpClient({});
  const call = async (path: string, init: RequestInit = {}): Promise<[number, string]> => {
    const response = await fetch(url + path, { ...init, client });
    return [response.status, await response.text()];
  };
  try {
    assertEquals((await call("/health"))[0], 204);
    assertEquals((await call("/envs"))[0], 401);
    const body = JSON.stringify({ accessToken: "t", envVars: { A: "1" } });
    assertEquals((await call("/init", { method: "POST", body }))[0], 204);
    assertEquals((await call("/envs"))[0], 401);
    const headers = { "x-access-token": "t", "content-type": "application/json" };
    assertEquals(await call("/envs", { headers }), [200, '{"A":"1"}']);
    const list = await call("/process.Process/List", { method: "POST", headers, body: "{}" });
    assertEquals(list, [200, "{}"]);
  } finally {
    child.kill("SIGTERM");
    await log.cancel();
    assertEquals((await child.status).code, 0);
    await Deno.remove(dir, { recursive: true });
    for (const [i, group] of GROUPS.entries()) {
      if (!there[i] && await exists(group)) await Deno.remove(group);
    }
  }
});

Deno.test("the kernel takes entropy", () => {
  systemMachine.addEntropy(crypto.getRandomValues(new Uint8Array(32)));
});
