import { assertEquals } from "@std/assert";
import { fullRuns, perRound } from "./runs.ts";

Deno.test("perRound() spreads the runs, at least one to each round, and leaves what is no number of runs", () => {
  const share = perRound(fullRuns(100), 5);
  assertEquals([share.creates, share.pauses, share.hibernations], [20, 10, 4]);
  assertEquals([share.bursts, share.forks, share.idleSec, share.density], [1, 1, 20, 100]);
  assertEquals(perRound(fullRuns(1), 3).creates, 1);
});
