/** Counting tests from the JUnit report that `deno test --junit-path` writes. */

/** Tests of one run. */
export interface Counts {
  /** Tests that passed. */
  passed: number;
  /** Tests that failed. */
  failed: number;
  /** Tests that were left out. */
  ignored: number;
}

/** Adds up a report's suites. */
export function countJunit(xml: string): Counts {
  let total = 0, failed = 0, ignored = 0;
  for (const suite of suites(xml)) {
    total += figure(suite, "tests");
    failed += failures(suite);
    ignored += figure(suite, "skipped") + figure(suite, "disabled");
  }
  return { passed: total - failed - ignored, failed, ignored };
}

/** Test files of a report in which a test failed, as `tests/lab/agent_test.ts`. */
export function failedFiles(xml: string): string[] {
  return suites(xml).filter((suite) => failures(suite) > 0)
    .flatMap((suite) => /\sname="(?:\.\/)?([^"]+)"/.exec(suite)?.[1] ?? []);
}

function suites(xml: string): string[] {
  return [...xml.matchAll(/<testsuite\s[^>]*>/g)].map(([suite]) => suite);
}

function figure(suite: string, name: string): number {
  return Number(new RegExp(`\\s${name}="(\\d+)"`).exec(suite)?.[1] ?? 0);
}

function failures(suite: string): number {
  return figure(suite, "failures") + figure(suite, "errors");
}
