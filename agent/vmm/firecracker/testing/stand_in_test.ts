import { assert, assertEquals, assertRejects } from "@std/assert";
import { putAction } from "../../../core/firecracker_calls.ts";
import { openFresh } from "../open_machine.ts";
import { leastCalls, TAP } from "./contract_calls.ts";
import { makeContractFiles } from "./contract_files.ts";
import { FirecrackerProcess, standInLine } from "./firecracker_process.ts";
import { rawRequest } from "./raw_request.ts";
import { installStandIn } from "./stand_in_executable.ts";

async function run(...args: string[]): Promise<{ code: number; out: string; error: string }> {
  const [program, ...first] = standInLine().argv;
  const { code, stdout, stderr } = await new Deno.Command(program, { args: [...first, ...args] })
    .output();
  const [out = "", error = ""] = [stdout, stderr].map((bytes) => new TextDecoder().decode(bytes));
  return { code, out, error };
}

Deno.test("The stand-in says its version and refuses what it does not know", async () => {
  const { code, out } = await run("--version");
  assertEquals([code, out.split("\n")[0]], [0, "Firecracker v1.15.1"]);
  const unknown = await run("--config-file", "/vm.json", "--api-sock", "/tmp/unused.sock");
  assertEquals(unknown.code, 153);
  assert(unknown.error.includes("--config-file"), unknown.error);
});

Deno.test("The stand-in serves until it is told, and a taken socket ends it", async () => {
  await using files = await makeContractFiles();
  const socket = files.path("api.sock");
  const args = ["--id", "vm-1", "--log-path", files.log, "--level", "Info"];
  const more = ["--metrics-path", files.metrics];
  await using process = await FirecrackerProcess.start(standInLine([TAP]), socket, [
    ...args,
    ...more,
  ]);
  assertEquals((await run("--api-sock", socket)).code, 1);
  assert((await Deno.readTextFile(files.log)).includes("[vm-1:main] Running Firecracker v1.15.1"));

  const fresh = await openFresh(socket);
  assertEquals((await fresh.info()).id, "vm-1");
  using machine = await (await fresh.configure(leastCalls(files))).start();
  await machine.flushMetrics();
  assert((await Deno.readTextFile(files.metrics)).includes("utc_timestamp_ms"));
  const metrics = { method: "PUT", path: "/metrics", body: { metrics_path: files.metrics } };
  assert((await raw(socket, metrics)).startsWith("HTTP/1.1 400"), "they are set already");
  await machine.sendCtrlAltDel();
  const { code, signal } = await process.status;
  assertEquals([code, signal], [0, null]);
});

Deno.test("installStandIn() makes a file that needs no environment", async () => {
  await using files = await makeContractFiles();
  const path = await installStandIn(files.folder);
  const line = { argv: ["/usr/bin/env", "-i", path] } as const;
  await using process = await FirecrackerProcess.start(line, files.path("api.sock"));
  using fresh = await openFresh(process.socket);
  assertEquals((await fresh.info()).vmm_version, "1.15.1");
});

Deno.test("The stand-in ends with code 1 when a snapshot does not load", async () => {
  await using files = await makeContractFiles();
  await using process = await FirecrackerProcess.start(standInLine(), files.path("api.sock"));
  const fresh = await openFresh(process.socket);
  const mem_backend = { backend_type: "File", backend_path: files.missing } as const;
  await assertRejects(() => fresh.load({ snapshot_path: files.missing, mem_backend }));
  assertEquals((await process.status).code, 1);
});

Deno.test("The stand-in ends at a signal, started or not", async () => {
  await using files = await makeContractFiles();
  for (const signal of ["SIGTERM", "SIGKILL"] as const) {
    const socket = files.path(`${signal}.sock`);
    await using process = await FirecrackerProcess.start(standInLine([TAP]), socket);
    if (signal === "SIGKILL") {
      for (const call of [...leastCalls(files), putAction("InstanceStart")]) {
        assert((await raw(socket, call)).startsWith("HTTP/1.1 204"));
      }
    }
    process.kill(signal);
    assertEquals((await process.status).signal, signal);
  }
});

Deno.test("The stand-in has no TAP but those of the host and those it is lent", async () => {
  await using files = await makeContractFiles();
  await using process = await FirecrackerProcess.start(standInLine(), files.path("api.sock"));
  const net = leastCalls(files).find(({ path }) => path.startsWith("/network"));
  assert(net);
  assert((await raw(process.socket, net)).includes("Open tap device failed"));
  const lo = { ...net, body: { ...net.body, host_dev_name: "lo" } };
  assert((await raw(process.socket, lo)).includes("Open tap device failed"));
});

function raw(
  socket: string,
  { method, path, body }: { method: string; path: string; body: object },
): Promise<string> {
  const text = JSON.stringify(body);
  const head = `${method} ${path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: ${text.length}`;
  return rawRequest(socket, `${head}\r\n\r\n${text}`);
}
