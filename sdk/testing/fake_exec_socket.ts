/** One `exec/stream` WebSocket of the fake platform. */
import {
  encodeOutput,
  FAKE_PROGRAMS,
  type FakeCommand,
  type FakeInput,
  type FakeIo,
  wordsOf,
} from "./fake_exec.ts";

/** What the fake platform wants to know about a command. */
export interface ExecObserver {
  /** The client left before the end. */
  onLeft(): void;
  /** So many characters went out. */
  onSent(count: number): void;
}

/** Serves one command. */
export function serveExec(socket: WebSocket, observer: ExecObserver): void {
  const inputs: (FakeInput | undefined)[] = [];
  let wake: (() => void) | undefined;
  let started = false;
  let over = false;
  const push = (input: FakeInput | undefined): void => {
    inputs.push(input);
    wake?.();
  };
  const send = async (message: Record<string, unknown>): Promise<void> => {
    while (socket.bufferedAmount > 256 * 1024 && socket.readyState === WebSocket.OPEN) {
      await new Promise((resolve) => setTimeout(resolve, 1));
    }
    if (socket.readyState !== WebSocket.OPEN) return;
    const text = JSON.stringify(message);
    observer.onSent(text.length);
    socket.send(text);
  };
  const run = async (command: FakeCommand): Promise<void> => {
    const words = wordsOf(command);
    const name = words[0] ?? "";
    const program = Object.hasOwn(FAKE_PROGRAMS, name) ? FAKE_PROGRAMS[name] : undefined;
    if (!program) {
      const error = { code: "command_not_found", message: `Command '${name}' not found` };
      await send({ type: "error", error });
      return socket.close(1000);
    }
    await send({ type: "start", pid: 42 });
    const io: FakeIo = {
      command,
      words,
      out: (data) => send({ type: command.pty ? "pty" : "stdout", ...encodeOutput(data) }),
      err: (data) => send({ type: "stderr", ...encodeOutput(data) }),
      next: async () => {
        while (inputs.length === 0) await new Promise<void>((resolve) => wake = resolve);
        return inputs.shift();
      },
    };
    const exitCode = await program(io);
    over = true;
    await send({ type: "exit", exit_code: exitCode, timed_out: false, duration_ms: 5 });
    socket.close(1000);
  };
  socket.onmessage = ({ data }) => {
    const message = JSON.parse(String(data));
    if (!started) {
      started = true;
      void run(message);
    } else if (message.type === "stdin") {
      const bytes = message.encoding === "base64"
        ? Uint8Array.fromBase64(message.data)
        : new TextEncoder().encode(message.data);
      push({ type: "stdin", data: bytes });
    } else if (message.type === "stdin_close") push(undefined);
    else push(message);
  };
  socket.onclose = () => {
    if (!over) observer.onLeft();
    push(undefined);
  };
}
