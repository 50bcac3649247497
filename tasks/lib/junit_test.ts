import { assertEquals } from "@std/assert";
import { countJunit } from "./junit.ts";

Deno.test("countJunit() adds up suites", () => {
  const xml = `<?xml version="1.0"?><testsuites name="deno test" tests="6" failures="1">
    <testsuite name="a" tests="4" disabled="1" errors="0" failures="1"><testcase name="x"/></testsuite>
    <testsuite name="b" tests="2" disabled="0" errors="0" failures="0"></testsuite></testsuites>`;
  assertEquals(countJunit(xml), { passed: 4, failed: 1, ignored: 1 });
});
