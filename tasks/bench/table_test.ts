import { assertEquals } from "@std/assert";
import { formatTable } from "./table.ts";
import { toRow } from "./stats.ts";

Deno.test("formatTable() lines up figures and adds speeds and ratios", () => {
  const rows = [
    toRow("create_to_python", [500, 1000]),
    toRow("file_up_100mb", [2000]),
    toRow("peer_bwrap_python", [50]),
    toRow("peer_crun_python", [100]),
  ];
  assertEquals(
    formatTable(rows),
    [
      "                   n  p50 ms  p95 ms  p99 ms",
      "create_to_python   2   500.0  1000.0  1000.0  10.0 x bwrap, 5.0 x crun",
      "file_up_100mb      1  2000.0  2000.0  2000.0  50 MB/s",
      "peer_bwrap_python  1    50.0    50.0    50.0",
      "peer_crun_python   1   100.0   100.0   100.0",
    ].join("\n"),
  );
});
