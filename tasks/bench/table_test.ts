import { assert, assertEquals } from "@std/assert";
import type { Breakdown } from "./breakdown.ts";
import { Recorder } from "./recorder.ts";
import { ALL_ROWS } from "./rows.ts";
import { formatComparison, formatDensity, formatModes, formatPaths, formatRows } from "./table.ts";
import { judge, type JudgedRow } from "./verdict.ts";
import { sequential } from "./modes.ts";

/** Judged rows of these samples, those without any left out. */
function rows(samples: Record<string, number[]>, load: number = 0): JudgedRow[] {
  const record = new Recorder();
  for (const [row, values] of Object.entries(samples)) {
    for (const value of values) record.add(row, value);
  }
  return judge(record.rows(ALL_ROWS), ALL_ROWS, load).filter(({ n }) => n > 0);
}

Deno.test("formatRows() lines up figures, targets and verdicts", () => {
  const table = formatRows(rows({
    create_warm: [20, 21, 22],
    create_to_python: [90],
    pause: [50],
    peer_runsc_python: [100],
    peer_bwrap_python: [20],
    file_up_100mb: [2000],
  }));
  assertEquals(
    table,
    [
      "                   n     p50     p95     p99     min     max  trim       target",
      "create_warm        3    21.0    22.0    22.0    20.0    22.0     -  ms  25 / 60     met",
      "create_to_python   1    90.0    90.0    90.0    90.0    90.0     -  ms       85  MISSED  0.90 x runsc; 4.50 x bwrap",
      "pause              1    50.0    50.0    50.0    50.0    50.0     -  ms       40  MISSED",
      "file_up_100mb      1  2000.0  2000.0  2000.0  2000.0  2000.0     -  ms                   50 MB/s",
      "peer_runsc_python  1   100.0   100.0   100.0   100.0   100.0     -  ms",
      "peer_bwrap_python  1    20.0    20.0    20.0    20.0    20.0     -  ms",
    ].join("\n"),
  );
});

Deno.test("formatRows() says of a busy machine's figures that they prove nothing", () => {
  const table = formatRows(rows({ pause: [1] }, 2));
  assert(table.includes("unproven  Load before the start was 2.00"), table);
});

Deno.test("formatRows() shows what was not measured as absent", () => {
  const record = new Recorder();
  record.note("wake", "Left out");
  const wake = judge(record.rows(ALL_ROWS), ALL_ROWS, 0).filter(({ name }) => name === "wake");
  const line = formatRows(wake).split("\n")[1] ?? "";
  assert(/^wake\s+0(\s+-){6}\s+ms\s+350\s+Not measured; Left out$/.test(line), line);
});

Deno.test("formatPaths() names absent steps and the largest one", () => {
  const path: Breakdown = {
    call: "create",
    n: 9,
    total_p50: 20,
    steps: [{ name: "sql", p50: null, n: 0 }, { name: "init", p50: 12, n: 9 }],
    largest: { name: "init", p50: 12, share: 0.6 },
  };
  assertEquals(
    formatPaths([path, { ...path, call: "exec", steps: [], largest: null }]),
    "create (n 9): 20.0 ms = sql absent, init 12.0; most: init 12.0 ms, 60 %\n" +
      "exec (n 9): 20.0 ms = ; the answers name no step",
  );
});

Deno.test("formatModes() gives each mode a line, and the rate without waiting", () => {
  const text = formatModes([sequential(4, [10, 20], 3)], [{
    n: 9,
    p50: 30,
    p95: 40,
    p99: 40,
    min: 20,
    max: 40,
    trimmed_mean: null,
    pool: 4,
    failed: 1,
    per_second: 2.5,
    hits: 6,
    note: "Broke",
  }]);
  assert(/^create_to_echo, sequential\s+3\s.*\s67 %\s+-\s+4$/m.test(text), text);
  assert(
    text.endsWith("2.5 sandboxes/s, p50 30.0 ms, 6 of 10 were warm, 1 failed (Broke)"),
    text,
  );
});

Deno.test("formatComparison() shows ratio and spread", () => {
  const text = formatComparison({
    commit: "aaaa",
    other_commit: "bbbb",
    rounds: 3,
    rows: [{
      name: "wake",
      unit: "ms",
      n: 6,
      other_n: 5,
      p50: 80,
      other_p50: 100,
      ratio: 0.8,
      ratio_min: 0.75,
      ratio_max: 0.9,
      differs: true,
      note: "other: 1 failed: Broke",
    }],
  });
  const line = text.split("\n")[1] ?? "";
  const figures = /^wake\s+6\/5\s+80\.0\s+100\.0\s+ms\s+0\.800\s+0\.750\s+0\.900\s+/;
  assert(figures.test(line) && line.endsWith("differs; other: 1 failed: Broke"), line);
});

Deno.test("formatDensity() says what lived, what it took and whether all answered", () => {
  const density = {
    sandboxes: 100,
    running: 10,
    paused: 45,
    hibernated: 45,
    vmms: 55,
    vmm_pss_mb: 6000,
    agent_pss_mb: 100,
    pss_mb: 6100,
    limit_mb: 8192,
    answered: 99,
    met: false,
    note: "One did not",
  };
  assert(formatDensity(density).endsWith("99 answered afterwards: missed (One did not)"));
});
