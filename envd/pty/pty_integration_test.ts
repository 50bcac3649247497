import { ConnectError } from "@connectrpc/connect";
import { assert, assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import type { StartResponse } from "@wrenn/proto/process";
import { asUser, eventually, TestEnvd } from "../testing/server.ts";

const encoder = new TextEncoder();

/** A terminal whose output is gathered while the test goes on. */
class Terminal {
  text = "";
  exitCode: number | undefined;
  readonly ended: Promise<void>;
  readonly #started: PromiseWithResolvers<number> = Promise.withResolvers();

  constructor(stream: AsyncIterable<StartResponse>) {
    this.ended = this.#read(stream);
  }

  pid(): Promise<number> {
    return this.#started.promise;
  }

  async selector() {
    return { selector: { case: "pid" as const, value: await this.pid() } };
  }

  async shows(text: string): Promise<void> {
    await eventually(() => this.text.includes(text), `'${text}' in '${this.text.slice(-200)}'`);
  }

  async #read(stream: AsyncIterable<StartResponse>): Promise<void> {
    const decoder = new TextDecoder();
    for await (const { event } of stream) {
      const inner = event?.event;
      if (inner?.case === "start") this.#started.resolve(inner.value.pid);
      if (inner?.case === "end") this.exitCode = inner.value.exitCode;
      if (inner?.case === "data" && inner.value.output.case === "pty") {
        this.text += decoder.decode(inner.value.output.value, { stream: true });
      }
    }
  }
}

function open(envd: TestEnvd, script: string, user = "root"): Terminal {
  return new Terminal(
    envd.processes().start({
      process: { cmd: "/bin/bash", args: ["-c", script], cwd: "/", envs: { TERM: "xterm" } },
      pty: { size: { cols: 101, rows: 31 } },
    }, asUser(user)),
  );
}

Deno.test("a PTY process has a controlling terminal of the asked size and owner", async () => {
  await using envd = new TestEnvd();
  const terminal = open(
    envd,
    "tty; stty size; id -u; stat -c %u $(tty); echo here > /dev/tty; ls /proc/$$/fd | tr '\\n' ' '",
    "daemon",
  );
  await terminal.ended;
  const lines = terminal.text.trim().split("\r\n");
  assertStringIncludes(lines[0] ?? "", "/dev/pts/");
  assertEquals(lines.slice(1, 5), ["31 101", "1", "1", "here"]);
  assertEquals(terminal.exitCode, 0);
});

Deno.test("update() resizes and the process hears SIGWINCH", async () => {
  await using envd = new TestEnvd();
  const terminal = open(
    envd,
    "trap 'stty size; exit 4' WINCH; echo ready; while :; do sleep 0.05; done",
  );
  await terminal.shows("ready");
  const process = await terminal.selector();
  await envd.processes().update({ process, pty: { size: { cols: 132, rows: 50 } } });
  await terminal.ended;
  assertStringIncludes(terminal.text, "50 132");
  assertEquals(terminal.exitCode, 4);
});

Deno.test("a paste of 2 MB arrives whole and ^C interrupts", async () => {
  await using envd = new TestEnvd();
  const terminal = open(
    envd,
    "stty raw -echo; echo ready; head -c 2000000 | md5sum; stty sane; trap 'exit 7' INT; echo sleeping; sleep 100",
  );
  await terminal.shows("ready");
  const process = await terminal.selector();
  const paste = new Uint8Array(2_000_000).map((_, i) => 33 + i % 90);
  const type = (value: Uint8Array<ArrayBuffer>) =>
    envd.processes().sendInput({ process, input: { input: { case: "pty", value } } });
  for (let at = 0; at < paste.length; at += 500_000) await type(paste.slice(at, at + 500_000));
  const { createHash } = await import("node:crypto");
  await terminal.shows(createHash("md5").update(paste).digest("hex"));
  await terminal.shows("sleeping");
  await type(encoder.encode("\x03"));
  await terminal.ended;
  assertEquals(terminal.exitCode, 7);
});

Deno.test("a terminal whose process does not read does not block others", async () => {
  await using envd = new TestEnvd();
  const terminal = open(envd, "stty raw -echo; echo ready; sleep 100");
  await terminal.shows("ready");
  const process = await terminal.selector();
  const stuck = envd.processes().sendInput({
    process,
    input: { input: { case: "pty", value: new Uint8Array(100_000).fill(97) } },
  });
  const other = open(envd, "echo other");
  await other.ended;
  assertStringIncludes(other.text, "other");
  await envd.processes().sendSignal({ process, signal: 9 });
  await assertRejects(() => stuck, ConnectError, "closed its pty");
  await terminal.ended;
});

Deno.test("a PTY process refuses closeStdin and stdin input; a piped one refuses a size", async () => {
  await using envd = new TestEnvd();
  const terminal = open(envd, "echo ready; sleep 100");
  const process = await terminal.selector();
  await assertRejects(() => envd.processes().closeStdin({ process }), ConnectError, "no stdin");
  const input = { input: { case: "stdin" as const, value: encoder.encode("x") } };
  await assertRejects(() => envd.processes().sendInput({ process, input }), ConnectError);
  const huge = { size: { cols: 100_000, rows: 1 } };
  await assertRejects(() => envd.processes().update({ process, pty: huge }), ConnectError, "65535");
  await envd.processes().sendSignal({ process, signal: 9 });
  await terminal.ended;
  const piped = new Terminal(envd.processes().start({ process: { cmd: "cat", cwd: "/" } }));
  const size = { size: { cols: 10, rows: 10 } };
  const cat = await piped.selector();
  await assertRejects(
    () => envd.processes().update({ process: cat, pty: size }),
    ConnectError,
    "no terminal",
  );
  await envd.processes().closeStdin({ process: cat });
  await piped.ended;
});

/** Descriptors of this process beside sockets, which connections keep, by what they lead to. */
async function descriptors(): Promise<string[]> {
  const links: string[] = [];
  for await (const { name } of Deno.readDir("/proc/self/fd")) {
    const link = await Deno.readLink(`/proc/self/fd/${name}`).catch(() => "");
    if (link !== "" && !link.startsWith("socket:")) links.push(link);
  }
  return links.sort();
}

Deno.test("all output comes before the end", async () => {
  await using envd = new TestEnvd();
  const terminal = open(envd, "seq 1 20000; echo the-end");
  await terminal.ended;
  assertEquals(terminal.text.trim().split("\r\n").length, 20001);
  assert(terminal.text.trim().endsWith("the-end"), terminal.text.slice(-100));
});

Deno.test("30 terminals leave no descriptor", async () => {
  await using envd = new TestEnvd();
  await open(envd, "true").ended;
  const before = await descriptors();
  for (let i = 0; i < 30; i++) {
    const terminal = open(envd, i % 2 ? "yes" : "echo hi; setsid sleep 0.2 & disown");
    const process = await terminal.selector();
    if (i % 2) {
      await terminal.shows("y");
      await envd.processes().sendSignal({ process, signal: 9 });
    }
    await terminal.ended;
  }
  await eventually(async () => `${await descriptors()}` === `${before}`, "closed descriptors");
});
