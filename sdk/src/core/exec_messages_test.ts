import { assert, assertEquals, assertThrows } from "@std/assert";
import fc from "fast-check";
import { NotFoundError, WrennError } from "../errors.ts";
import { readData, readExecMessage, stdinMessages } from "./exec_messages.ts";

Deno.test("readExecMessage() reads every message and leaves unknown ones", () => {
  assertEquals(readExecMessage({ type: "start", pid: 7 }), { type: "start", pid: 7 });
  assertEquals(readExecMessage({ type: "stderr", data: "é" }), {
    type: "output",
    stream: "stderr",
    data: new Uint8Array([0xc3, 0xa9]),
  });
  assertEquals(readExecMessage({ type: "exit", exit_code: 3, timed_out: true, duration_ms: 9 }), {
    type: "exit",
    exitCode: 3,
    timedOut: true,
    durationMs: 9,
  });
  assertEquals(readExecMessage({ type: "weather" }), undefined);
});

Deno.test("readExecMessage() throws what an error message says, and refuses broken ones", () => {
  const error = { code: "process_not_found", message: "No such process" };
  assertThrows(() => readExecMessage({ type: "error", error }), NotFoundError, "No such process");
  assertThrows(() => readExecMessage({ type: "stdout" }), WrennError, "'data'");
  assertThrows(() => readExecMessage({ type: "exit" }), WrennError, "'exit_code'");
});

Deno.test("stdinMessages() carry any bytes in order, in small messages", () => {
  fc.assert(fc.property(fc.uint8Array({ maxLength: 200_000 }), (bytes) => {
    const pieces: number[] = [];
    for (const message of stdinMessages(bytes)) {
      const data = readData(message);
      assert(data.length <= 64 * 1024);
      pieces.push(...data);
    }
    assertEquals(new Uint8Array(pieces), new Uint8Array(bytes));
  }));
});

Deno.test("stdinMessages() send text of any length whole", () => {
  for (const text of ["", "ls\n", "é".repeat(100_000)]) {
    const pieces = [...stdinMessages(text)].map((message) => readData(message));
    const all = pieces.flatMap((piece) => [...piece]);
    assertEquals(new TextDecoder().decode(new Uint8Array(all)), text);
  }
});
