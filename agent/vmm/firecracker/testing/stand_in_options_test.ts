import { assertEquals, assertThrows } from "@std/assert";
import { parseStandInArgs, StandInUsageError } from "./stand_in_options.ts";

Deno.test("parseStandInArgs() reads the part of Firecracker's command line that Wrenn uses", () => {
  assertEquals(parseStandInArgs(["--version"]), { kind: "version" });
  const times = "--start-time-us 1 --start-time-cpu-us 2 --parent-cpu-time-us 3".split(" ");
  const all = [...times, "--log-path", "/l", "--level", "Info", "--metrics-path", "/m"];
  assertEquals(parseStandInArgs(["--id", "a-1", "--api-sock", "/s", ...all]), {
    kind: "serve",
    socket: "/s",
    id: "a-1",
    logPath: "/l",
    metricsPath: "/m",
  });
});

Deno.test("parseStandInArgs() refuses all else", () => {
  const socket = ["--api-sock", "/s"];
  const wrong: string[][] = [
    [],
    ["--config-file", "/c", ...socket],
    ["--no-api", ...socket],
    ["--api-sock"],
    ["--api-sock", "--id"],
    [...socket, ...socket],
    [...socket, "--id", "a_b"],
    [...socket, "--id", "a".repeat(65)],
    [...socket, "--level", "Loud"],
    [...socket, "more"],
    [...socket, "--start-time-us", "now"],
    ["--version", "more"],
  ];
  for (const args of wrong) {
    assertThrows(() => parseStandInArgs(args), StandInUsageError);
  }
});
