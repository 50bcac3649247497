import { assertEquals, assertThrows } from "@std/assert";
import { parseBenchOptions } from "./options.ts";
import { fullRuns, QUICK_RUNS } from "./runs.ts";

Deno.test("parseBenchOptions() measures everything a hundred times unless told otherwise", () => {
  assertEquals(parseBenchOptions([]), {
    template: "base",
    runs: fullRuns(100),
    quick: false,
    peers: false,
    density: false,
    lab: false,
    rounds: 5,
    only: [],
  });
});

Deno.test("parseBenchOptions() takes every flag", () => {
  const given = ["--json", "a.json", "--url", "http://x/", "--key", "k", "--runs", "7", "--peers"];
  const found = parseBenchOptions([...given, "--only", "wake, peer_runsc_true", "--template", "t"]);
  assertEquals(found, {
    json: "a.json",
    url: "http://x",
    key: "k",
    template: "t",
    runs: fullRuns(7),
    quick: false,
    peers: true,
    density: false,
    lab: false,
    rounds: 5,
    only: ["wake", "peer_runsc_true"],
  });
  const compared = parseBenchOptions(["--compare", "HEAD~1", "--rounds", "3", "--quick"]);
  assertEquals([compared.compare, compared.rounds, compared.runs], ["HEAD~1", 3, QUICK_RUNS]);
  assertEquals(parseBenchOptions(["--density"]).density, true);
});

Deno.test.each([
  [["--url", "http://x"], "together"],
  [["--runs", "0"], "--runs"],
  [["--runs", "5", "--quick"], "exclude"],
  [["--density", "--compare", "HEAD"], "exclude"],
  [["--density", "--lab"], "exclude"],
  [["--density", "--url", "http://x", "--key", "k"], "not with '--url'"],
  [["--rounds", "3"], "goes with"],
  [["--compare", "HEAD", "--rounds", "x"], "--rounds"],
  [["--compare", ""], "name a commit"],
  [["--compare=--force"], "name a commit"],
  [["--only", "wake,nothing"], "'nothing'"],
  [["--nonsense"], "nonsense"],
])("parseBenchOptions(%j) says what is wrong", (args: readonly string[], part: string) => {
  assertThrows(() => parseBenchOptions(args), TypeError, part);
});
