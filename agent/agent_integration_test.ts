/** The whole agent with real machines. Needs root; slots 61000 to 61099. */
import { assert, assertEquals } from "@std/assert";
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import {
  type ExecStreamRequest,
  ExecStreamRequestSchema,
  type Sandbox,
  SandboxStatus,
  type WriteFileRequest,
  WriteFileRequestSchema,
} from "@wrenn/proto/agent";
import { delay } from "@wrenn/common";
import { codeOf } from "./testing/agent_fixture.ts";
import { AgentHome, type AgentProcess } from "./testing/agent_process.ts";

const PIECE = 64 * 1024;
/** Lists the guest's processes called `sleep`: minimal has no pgrep. */
const SLEEPERS = "grep -lx sleep /proc/[0-9]*/comm; true";
const idOf = (n: number): string => `sb-${n.toString(16).padStart(8, "0")}`;
const text = (bytes: Uint8Array): string => new TextDecoder().decode(bytes);

type Order = { env?: Record<string, string>; timeoutSec?: number };

async function createBox({ client }: AgentProcess, n: number, order: Order = {}): Promise<Sandbox> {
  const spec = { template: "minimal", vcpus: 1, memoryMb: 256, ...order };
  const { sandbox } = await client.createSandbox({ id: idOf(n), executionId: `e${n}`, spec });
  if (!sandbox) throw new Error("Create answered without a sandbox");
  return sandbox;
}

type CommandInit = { user?: string; cwd?: string; env?: Record<string, string> };

async function shell(
  { client }: AgentProcess,
  n: number,
  script: string,
  command: CommandInit & { timeoutSec?: number } = {},
): Promise<string> {
  const result = await client.exec({
    id: idOf(n),
    command: { cmd: "sh", args: ["-c", script], ...command },
  });
  return `${text(result.stdout)}${text(result.stderr)}${result.exitCode}`;
}

/** Waits until the agent says that a sandbox is in a state. */
async function untilStatus(
  { client }: AgentProcess,
  id: string,
  status: SandboxStatus,
): Promise<Sandbox> {
  while (true) {
    const { sandbox } = await client.getSandbox({ id });
    if (sandbox?.status === status) return sandbox;
    await delay(20);
  }
}

async function sha256(data: Uint8Array<ArrayBuffer>): Promise<string> {
  return new Uint8Array(await crypto.subtle.digest("SHA-256", data)).toHex();
}

async function* upload(n: number, path: string, size: number): AsyncGenerator<WriteFileRequest> {
  yield create(WriteFileRequestSchema, {
    event: { case: "start", value: { id: idOf(n), path } },
  });
  for (let at = 0; at < size; at += PIECE) {
    const value = piece(at, Math.min(PIECE, size - at));
    yield create(WriteFileRequestSchema, { event: { case: "data", value } });
  }
}

/** Bytes that differ from piece to piece. */
function piece(at: number, length: number): Uint8Array<ArrayBuffer> {
  const data = new Uint8Array(length);
  const words = new Uint32Array(data.buffer, 0, length >> 2);
  for (let i = 0; i < words.length; i++) words[i] = Math.imul(at + i, 2654435761);
  return data;
}

Deno.test("Sandboxes run commands, move files, pause, and end without a trace", async () => {
  await using home = await AgentHome.make(["minimal"]);
  {
    await using agent = await home.start();
    const { client } = agent;
    const boxes = await Promise.all([1, 2, 3].map((n) => createBox(agent, n, { env: { A: "a" } })));
    assertEquals(boxes.map((box) => box.status), Array(3).fill(SandboxStatus.RUNNING));
    assertEquals(new Set(boxes.map((box) => box.hostIp)).size, 3);

    assertEquals(
      await shell(agent, 1, "id -un; pwd; echo $A; hostname"),
      [
        "user",
        "/home/user",
        "a",
        idOf(1),
        "0",
      ].join("\n"),
    );
    assertEquals(
      await shell(agent, 1, "id -un; pwd; echo $A$B; exit 3", {
        user: "root",
        cwd: "/tmp",
        env: { B: "b" },
      }),
      "root\n/tmp\nab\n3",
    );
    assertEquals(await shell(agent, 1, "kill -9 $$"), "137");
    assertEquals(await shell(agent, 1, "echo out; echo err >&2"), "out\nerr\n0");
    const limited = await client.exec({
      id: idOf(1),
      command: { cmd: "sleep", args: ["100"], timeoutSec: 1 },
    });
    assertEquals([limited.exitCode, limited.timedOut], [137, true]);
    assertEquals(await shell(agent, 1, SLEEPERS), "0");
    const command = (change: Record<string, unknown>): Promise<string> =>
      codeOf(client.exec({ id: idOf(1), command: { cmd: "true", ...change } }));
    assertEquals(await command({ cmd: "no-such-program" }), "command_not_found");
    assertEquals(await command({ user: "nobody-here" }), "invalid_user");
    assertEquals(await command({ cwd: "/no/where" }), "invalid_path");

    // The sandboxes are apart: another one has another disk.
    assertEquals(await shell(agent, 1, "echo mine > f; cat f"), "mine\n0");
    assertEquals(await shell(agent, 2, "ls"), "0");

    await client.pauseSandbox({ id: idOf(2) });
    assertEquals(await command({ cmd: "true" }).catch(() => "it ran"), "it ran");
    assertEquals(
      await codeOf(client.exec({ id: idOf(2), command: { cmd: "true" } })),
      "sandbox_paused",
    );
    await delay(1500);
    await client.resumeSandbox({ id: idOf(2) });
    const seconds = Number((await shell(agent, 2, "date +%s")).split("\n")[0]);
    assert(Math.abs(seconds - Date.now() / 1000) < 1.5, "The clock of a resumed guest is behind");

    const stats = await client.getStats({});
    assertEquals([stats.running, stats.slotsInUse, stats.perSandbox.length], [3, 3, 3]);
    for (const n of [1, 2, 3]) await client.destroySandbox({ id: idOf(n) });
    assertEquals((await client.getStats({})).slotsInUse, 0);
    const left = await home.left();
    assertEquals(left.filter((thing) => !thing.startsWith("table ")), []);
  }
  assertEquals(await home.left(), []);
});

Deno.test("Files go in and out unchanged", async () => {
  await using home = await AgentHome.make(["minimal"]);
  await using agent = await home.start();
  const { client } = agent;
  await createBox(agent, 1);
  const size = 64 * 1024 * 1024 + 7;
  const written = await client.writeFile(upload(1, "big/a.bin", size));
  assertEquals([written.path, written.size], ["/home/user/big/a.bin", BigInt(size)]);
  const all = new Uint8Array(size);
  for (let at = 0; at < size; at += PIECE) all.set(piece(at, Math.min(PIECE, size - at)), at);
  const expected = await sha256(all);
  assertEquals(await shell(agent, 1, "sha256sum < big/a.bin"), `${expected}  -\n0`);
  const back = new Uint8Array(size);
  let at = 0;
  for await (const m of client.readFile({ file: { id: idOf(1), path: "big/a.bin" } })) {
    assert(m.data.length <= PIECE);
    back.set(m.data, at);
    at += m.data.length;
  }
  assertEquals([at, await sha256(back)], [size, expected]);

  const file = (path: string, user: string = "") => ({ file: { id: idOf(1), path, user } });
  const entry = (await client.stat(file("big/a.bin"))).entry;
  assertEquals([entry?.size, entry?.owner, entry?.mode], [BigInt(size), "user", 0o644]);
  assertEquals((await client.makeDir(file("d/e"))).entry?.path, "/home/user/d/e");
  assertEquals((await client.move({ ...file("big/a.bin"), destination: "d/b" })).entry?.name, "b");
  const names = (await client.listDir({ ...file("."), depth: 2 })).entries.map((e) => e.name);
  assertEquals(names.sort(), ["b", "big", "d", "e"]);
  await client.remove(file("d"));
  assertEquals(await codeOf(client.stat(file("d"))), "file_not_found");
  assertEquals(await codeOf(client.readFile(file("/tmp"))), "is_directory");
  assertEquals(await codeOf(client.listDir(file("/etc/passwd"))), "not_directory");
  assertEquals(await codeOf(client.makeDir(file("/tmp"))), "already_exists");
  assertEquals(await codeOf(client.stat(file("x", "who"))), "invalid_user");
  const version = client.readFile(file("/proc/version"))[Symbol.asyncIterator]();
  const first = await version.next();
  assert(!first.done && first.value.size > 10n, "Files of /proc have no size but content");
  for (let m = await version.next(); !m.done; m = await version.next()) assert(m.value.data);

  const stop = new AbortController();
  const watch = client.watchDir(file("/home/user"), { signal: stop.signal });
  const seen: string[] = [];
  for await (const { name } of watch) {
    if (name === "") await client.writeFile(upload(1, "seen", 10));
    else seen.push(name);
    if (seen.includes("seen")) break;
  }
  stop.abort();
});

Deno.test("A terminal takes input, a size and signals", async () => {
  await using home = await AgentHome.make(["minimal"]);
  await using agent = await home.start();
  await createBox(agent, 1);
  const queue: ExecStreamRequest[] = [];
  let wake = (): void => {};
  let over = false;
  const push = (event: MessageInitShape<typeof ExecStreamRequestSchema>["event"]): void => {
    queue.push(create(ExecStreamRequestSchema, event ? { event } : {}));
    wake();
  };
  async function* requests(): AsyncGenerator<ExecStreamRequest> {
    while (true) {
      yield* queue.splice(0);
      if (over) return;
      await new Promise<void>((resolve) => wake = resolve);
    }
  }
  const type = (line: string): void =>
    push({ case: "stdin", value: new TextEncoder().encode(line) });
  push({
    case: "start",
    value: {
      id: idOf(1),
      command: { cmd: "sh", args: ["-i"], env: { PS1: "> " } },
      pty: { cols: 80, rows: 24 },
    },
  });
  // What to do when the terminal shows a text, in order.
  const script: [string, () => void][] = [
    ["> ", () => type("stty size\n")],
    ["24 80", () => push({ case: "resize", value: { cols: 111, rows: 33 } })],
    ["", () => type("stty size\n")],
    // Said by the program itself: the terminal is its own by then.
    ["33 111", () => type("sh -c 'echo up-$((40+2)); exec sleep 1000'; echo after-$((40+2))\n")],
    ["up-42", () => type("\x03")],
    ["", () => type("echo still-$((40+2))\n")],
    ["still-42", () => type("exit 5\n")],
  ];
  let screen = "";
  let exitCode = -1;
  for await (const { event } of agent.client.execStream(requests())) {
    if (event.case === "pty") screen += text(event.value);
    if (event.case === "exit") exitCode = event.value.exitCode;
    while (script[0] && event.case === "pty" && screen.includes(script[0][0])) {
      screen = script[0][0] === "" ? screen : "";
      script.shift()?.[1]();
    }
  }
  over = true;
  wake();
  assertEquals([script.length, exitCode], [0, 5]);
});

Deno.test("A client that leaves takes its command with it", async () => {
  await using home = await AgentHome.make(["minimal"]);
  await using agent = await home.start();
  await createBox(agent, 1);
  const stop = new AbortController();
  const start = create(ExecStreamRequestSchema, {
    event: {
      case: "start",
      value: { id: idOf(1), command: { cmd: "sh", args: ["-c", "sleep 1000 & sleep 1000"] } },
    },
  });
  async function* one(): AsyncGenerator<ExecStreamRequest> {
    yield start;
    await new Promise<void>((resolve) => stop.signal.addEventListener("abort", () => resolve()));
  }
  const left = codeOf((async () => {
    for await (const _ of agent.client.execStream(one(), { signal: stop.signal })) stop.abort();
  })());
  assertEquals(await left, "canceled");
  while (await shell(agent, 1, SLEEPERS) !== "0") await delay(50);
});

Deno.test("kill -9 of the agent leaves nothing that the next start does not take over or clear", async () => {
  await using home = await AgentHome.make(["minimal"]);
  let hostId: string;
  {
    await using agent = await home.start();
    await Promise.all([1, 2, 3].map((n) => createBox(agent, n)));
    hostId = (await agent.client.getHostInfo({})).hostId;
    await agent.stop("SIGKILL");
  }
  // Without a record nobody wants a machine back.
  for (const n of [2, 3]) await Deno.remove(`${home.dataDir}/records/${idOf(n)}.json`);
  const orphans = await home.left();
  for (const kind of ["process", "namespace", "link", "table", "file"]) {
    assert(orphans.some((thing) => thing.startsWith(kind)), `No ${kind} to clear`);
  }
  {
    await using agent = await home.start();
    const { client } = agent;
    const left = await home.left();
    for (const kind of ["process", "namespace", "link"]) {
      assertEquals(left.filter((thing) => thing.startsWith(`${kind} `)).length, 1, kind);
    }
    assertEquals((await client.getHostInfo({})).hostId, hostId);
    const { sandboxes } = await client.listSandboxes({});
    assertEquals(sandboxes.map(({ id, status }) => [id, status]), [[
      idOf(1),
      SandboxStatus.RUNNING,
    ]]);
    // Slots, disks and folders of the others are free again.
    await createBox(agent, 2);
    assertEquals(await shell(agent, 2, "echo again"), "again\n0");

    const refused = new Deno.Command(Deno.execPath(), {
      args: ["run", "-A", "--quiet", new URL("./main.ts", import.meta.url).pathname],
      env: {
        WRENN_DATA_DIR: home.dataDir,
        WRENN_RUN_DIR: home.runDir,
        WRENN_AGENT_SECRET: "0123456789abcdef",
        WRENN_AGENT_LISTEN: `unix:${home.socket}2`,
      },
    });
    const second = await refused.output();
    assertEquals(second.code, 78);
    assert(text(second.stderr).includes("another agent uses"), text(second.stderr));
    assertEquals(await shell(agent, 1, "echo alive"), "alive\n0");
  }
  assertEquals(await home.left(), []);
});

Deno.test("A machine killed from outside is an error, and its place is free", async () => {
  await using home = await AgentHome.make(["minimal"]);
  await using agent = await home.start();
  const { client } = agent;
  const stop = new AbortController();
  const reasons: string[] = [];
  const watching = (async () => {
    for await (const { sandbox } of client.watchSandboxes({}, { signal: stop.signal })) {
      if (sandbox?.status === SandboxStatus.ERROR) reasons.push(sandbox.reasonCode);
    }
  })();
  await createBox(agent, 1);
  const running = codeOf(client.exec({ id: idOf(1), command: { cmd: "sleep", args: ["1000"] } }));
  for (const thing of await home.left()) {
    const pid = /^process (\d+)$/.exec(thing)?.[1];
    if (pid !== undefined && Number(pid) !== agent.pid) Deno.kill(Number(pid), "SIGKILL");
  }
  await untilStatus(agent, idOf(1), SandboxStatus.ERROR);
  assert(["guest_unavailable", "sandbox_not_running"].includes(await running));
  const left = await home.left();
  assertEquals(left.filter((thing) => !thing.startsWith("table ")), []);
  stop.abort();
  await watching.catch(() => {});
  assertEquals(reasons, ["guest_unavailable"]);

  // A guest that turns itself off is an end from outside too; a destroy while it boots leaves nothing.
  await createBox(agent, 2);
  await shell(agent, 2, "echo b > /proc/sysrq-trigger", { user: "root" }).catch(() => {});
  await untilStatus(agent, idOf(2), SandboxStatus.ERROR);
  const starting = codeOf(createBox(agent, 3));
  while ((await home.left()).every((thing) => !thing.startsWith("process"))) await delay(5);
  await client.destroySandbox({ id: idOf(3) });
  assertEquals(await starting, "canceled");
  const after = await home.left();
  assertEquals(after.filter((thing) => !thing.startsWith("table ")), []);
});
