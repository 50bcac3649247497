import { assertEquals, assertMatch } from "@std/assert";
import type { PtyHandle } from "@wrenn/sdk";
import { sharedSandbox } from "./lib/sandbox.ts";
import { test } from "./lib/test.ts";

const sandbox = sharedSandbox();

/** A terminal whose text can be waited for. */
class Screen {
  text: string = "";
  #wake: (() => void) | undefined;
  readonly #decoder = new TextDecoder();

  readonly onData = (data: Uint8Array): void => {
    this.text += this.#decoder.decode(data, { stream: true });
    this.#wake?.();
  };

  /** Waits until the text after the last match has this in it. */
  async shows(pattern: RegExp): Promise<void> {
    let late = false;
    const timer = setTimeout(() => {
      late = true;
      this.#wake?.();
    }, 30_000);
    while (!pattern.test(this.text) && !late) {
      await new Promise<void>((resolve) => this.#wake = resolve);
    }
    clearTimeout(timer);
    if (late) throw new Error(`Terminal never showed ${pattern}: ${this.text}`);
    this.text = this.text.replace(pattern, "");
  }
}

test("A terminal has its size, is resized, and is a terminal", async () => {
  const screen = new Screen();
  const pty = await sandbox().pty.create({ cols: 100, rows: 30, onData: screen.onData });
  await pty.write("stty size; tty; echo TERM=$TERM\n");
  await screen.shows(/^30 100\r$/m);
  await screen.shows(/^\/dev\/pts\/\d+\r$/m);
  await screen.shows(/^TERM=xterm-256color\r$/m);
  await pty.resize({ cols: 77, rows: 22 });
  await pty.write("stty size\n");
  await screen.shows(/^22 77\r$/m);
  await pty.write("exit 5\n");
  assertEquals((await pty.wait()).exitCode, 5);
});

test("Ctrl-C at a terminal interrupts the program in front, not the shell", async () => {
  const screen = new Screen();
  const pty = await sandbox().pty.create({ onData: screen.onData });
  await pty.write("echo be''gun; sleep 600\n");
  await screen.shows(/begun/);
  await pty.write("\x03");
  await pty.write("echo code $?\n");
  await screen.shows(/^code 130\r$/m);
  await pty.write("\x04");
  assertEquals((await pty.wait()).exitCode, 0);
});

test("A program learns of a resize by SIGWINCH", async () => {
  const screen = new Screen();
  const script = "trap 'stty size; exit 9' WINCH; echo ready; while :; do sleep 0.05; done";
  const pty = await sandbox().pty.create({
    command: ["bash", "-c", script],
    onData: screen.onData,
  });
  await screen.shows(/ready/);
  await pty.resize({ cols: 61, rows: 17 });
  assertEquals((await pty.wait()).exitCode, 9);
  assertMatch(screen.text, /17 61/);
});

test("A terminal that is closed kills what runs on it", async () => {
  {
    await using pty: PtyHandle = await sandbox().pty.create({ command: ["sleep", "780"] });
    assertEquals(pty.pid > 1, true);
  }
  for (let attempt = 0;; attempt++) {
    const { stdout } = await sandbox().commands.run(["ps", "-eo", "args"], { user: "root" });
    if (!stdout.includes("sleep 780")) break;
    assertEquals(attempt < 50, true, stdout);
  }
});
