import { assertEquals } from "@std/assert";
import { exitReport } from "./exit_status.ts";

Deno.test("exitReport() of a success has no error", () => {
  assertEquals(exitReport({ code: 0 }), { exitCode: 0, exited: true, status: "exit status 0" });
});

Deno.test("exitReport() words failures and signals as Go does", () => {
  assertEquals(exitReport({ code: 7 }).error, "exit status 7");
  const words: [number, string][] = [
    [1, "signal: hangup"],
    [2, "signal: interrupt"],
    [9, "signal: killed"],
    [11, "signal: segmentation fault"],
    [15, "signal: terminated"],
    [19, "signal: stopped (signal)"],
    [31, "signal: bad system call"],
    [40, "signal: signal 40"],
  ];
  for (const [signal, status] of words) {
    assertEquals(exitReport({ signal }), { exitCode: -1, exited: false, status, error: status });
  }
});
