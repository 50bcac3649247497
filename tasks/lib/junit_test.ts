import { assertEquals } from "@std/assert";
import { countJunit, failedFiles } from "./junit.ts";

Deno.test("countJunit() adds up suites", () => {
  const xml = `<?xml version="1.0"?><testsuites name="deno test" tests="6" failures="1">
    <testsuite name="a" tests="4" disabled="1" errors="0" failures="1"><testcase name="x"/></testsuite>
    <testsuite name="b" tests="2" disabled="0" errors="0" failures="0"></testsuite></testsuites>`;
  assertEquals(countJunit(xml), { passed: 4, failed: 1, ignored: 1 });
});

Deno.test("failedFiles() names the files with a failure or an error", () => {
  const xml = `<testsuites>
    <testsuite name="./a_test.ts" tests="2" failures="1" errors="0"></testsuite>
    <testsuite name="./b/b_test.ts" tests="2" failures="0" errors="0"></testsuite>
    <testsuite name="c_test.ts" tests="1" failures="0" errors="2"></testsuite>
  </testsuites>`;
  assertEquals(failedFiles(xml), ["a_test.ts", "c_test.ts"]);
  assertEquals(failedFiles(""), []);
});
