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
  for (const [suite] of xml.matchAll(/<testsuite\s[^>]*>/g)) {
    const value = (name: string): number =>
      Number(new RegExp(`\\s${name}="(\\d+)"`).exec(suite)?.[1] ?? 0);
    total += value("tests");
    failed += value("failures") + value("errors");
    ignored += value("skipped") + value("disabled");
  }
  return { passed: total - failed - ignored, failed, ignored };
}
