/** Command line of `deno task bench`. */
import { parseArgs } from "node:util";
import { ALL_ROWS } from "./rows.ts";
import { fullRuns, QUICK_RUNS, type Runs } from "./runs.ts";

/** What the bench was asked for. */
export interface BenchOptions {
  /** File for the result as JSON. */
  readonly json?: string;
  /** Platform to measure; without it platforms of the bench's own. */
  readonly url?: string;
  readonly key?: string;
  readonly template: string;
  readonly runs: Runs;
  /** Few runs: to see that it works. */
  readonly quick: boolean;
  /** Build the peers that can be built. */
  readonly peers: boolean;
  /** Measure a hundred sandboxes at once instead of the rows. */
  readonly density: boolean;
  /** Measure both accelerators in the lab instead of the rows. */
  readonly lab: boolean;
  /** Commit to compare with, instead of measuring this one alone. */
  readonly compare?: string;
  /** Rounds of a comparison. */
  readonly rounds: number;
  /** Rows to measure; all when empty. */
  readonly only: readonly string[];
}

/** How it is used. */
export const USAGE: string = `Usage: deno task bench [--json FILE] [--runs 100 | --quick]
  [--only ROW,ROW] [--template base] [--peers] [--url URL --key KEY]
  [--density | --lab | --compare COMMIT [--rounds 5]]`;

/** Reads the command line. Throws with a sentence. */
export function parseBenchOptions(args: readonly string[]): BenchOptions {
  const { values } = parseArgs({
    args: [...args],
    options: {
      json: { type: "string" },
      url: { type: "string" },
      key: { type: "string" },
      template: { type: "string", default: "base" },
      runs: { type: "string" },
      quick: { type: "boolean", default: false },
      peers: { type: "boolean", default: false },
      density: { type: "boolean", default: false },
      lab: { type: "boolean", default: false },
      compare: { type: "string" },
      rounds: { type: "string" },
      only: { type: "string" },
    },
  });
  const { json, url, key, template, quick, peers, density, lab, compare } = values;
  if ((url === undefined) !== (key === undefined)) {
    throw new TypeError("'--url' and '--key' go together");
  }
  if (quick && values.runs !== undefined) {
    throw new TypeError("'--quick' and '--runs' exclude each other");
  }
  if ([density, lab, compare !== undefined].filter(Boolean).length > 1) {
    throw new TypeError("'--density', '--lab' and '--compare' exclude each other");
  }
  if (url !== undefined && (density || lab || compare !== undefined)) {
    throw new TypeError(
      "'--density', '--lab' and '--compare' start platforms of their own: not with '--url'",
    );
  }
  if (compare === undefined && values.rounds !== undefined) {
    throw new TypeError("'--rounds' goes with '--compare'");
  }
  if (compare === "" || compare?.startsWith("-")) {
    throw new TypeError(`'--compare' must name a commit: '${compare}'`);
  }
  return {
    ...(json === undefined ? {} : { json }),
    ...(url === undefined || key === undefined ? {} : { url: url.replace(/\/+$/, ""), key }),
    template,
    runs: quick ? QUICK_RUNS : fullRuns(count("runs", values.runs ?? "100")),
    quick,
    peers,
    density,
    lab,
    ...(compare === undefined ? {} : { compare }),
    rounds: count("rounds", values.rounds ?? "5"),
    only: rowNames(values.only),
  };
}

function count(name: string, text: string): number {
  if (!/^[1-9]\d{0,3}$/.test(text)) {
    throw new TypeError(`'--${name}' must be a number from 1 to 9999: '${text}'`);
  }
  return Number(text);
}

function rowNames(text: string | undefined): string[] {
  if (text === undefined) return [];
  const names = text.split(",").map((name) => name.trim());
  const unknown = names.find((name) => !ALL_ROWS.some((row) => row.name === name));
  if (unknown !== undefined) throw new TypeError(`'--only' names no row: '${unknown}'`);
  return names;
}
