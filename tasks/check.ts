/** The gate: format, lint, types, documentation of public entry points, generated code up to date. */
import { fail, repoRoot, run, say } from "./lib/shell.ts";

const deno = Deno.execPath();
const entryPoints = ["sdk/mod.ts"]; // what other people import
const steps: [string, string[]][] = [
  ["format", [deno, "fmt", "--check", "--quiet"]],
  ["lint", [deno, "lint", "--quiet"]],
  ["types", [deno, "check", "--quiet", "."]],
  ["documentation", [deno, "doc", "--lint", "--quiet", ...entryPoints]],
  ["generated code", [deno, "run", "-A", "tasks/proto.ts", "--check"]],
];

const failed: string[] = [];
for (const [name, argv] of steps) {
  const result = await run(argv, { cwd: repoRoot(), allowFailure: true });
  say(`${result.code === 0 ? "ok  " : "FAIL"} ${name}`);
  if (result.code !== 0) {
    failed.push(name);
    say(result.stdout + result.stderr);
  }
}
if (failed.length > 0) fail(`Failed: ${failed.join(", ")}`);
