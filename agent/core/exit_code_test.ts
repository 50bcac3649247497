import { assertEquals } from "@std/assert";
import { exitCodeOf, signalOf } from "./exit_code.ts";

Deno.test("exitCodeOf() is the code of a process that exited", () => {
  assertEquals(exitCodeOf({ exitCode: 0, exited: true, status: "exit status 0" }), 0);
  assertEquals(exitCodeOf({ exitCode: 137, exited: true, status: "exit status 137" }), 137);
});

Deno.test("exitCodeOf() is 128 + signal number after a signal", () => {
  const ended = (status: string): number => exitCodeOf({ exitCode: -1, exited: false, status });
  assertEquals(ended("signal: killed"), 137);
  assertEquals(ended("signal: interrupt"), 130);
  assertEquals(ended("signal: terminated"), 143);
  assertEquals(ended("signal: segmentation fault (core dumped)"), 139);
  assertEquals(ended("signal: hangup"), 129);
  assertEquals(ended("signal: bad system call"), 159);
  assertEquals(ended("signal: stopped (signal)"), 147);
});

Deno.test("exitCodeOf() is 255 for an end that nobody can read", () => {
  assertEquals(exitCodeOf({ exitCode: -1, exited: false, status: "" }), 255);
  assertEquals(exitCodeOf({ exitCode: -1, exited: false, status: "signal: \0" }), 255);
});

Deno.test("signalOf() reads numbers too", () => {
  assertEquals(signalOf("signal: 34"), 34);
  assertEquals(signalOf("signal: signal 35"), 35);
  assertEquals(signalOf("exit status 1"), undefined);
});
