/**
 * `deno task doctor [--json]`: whether an agent could start on this host with this environment, with what and why.
 * Exit code 0 when it could.
 */
import { loadAgentConfig } from "../agent/config.ts";
import { reportText } from "../agent/core/doctor_report.ts";
import { examine } from "../agent/platform/doctor.ts";
import { fail, say } from "./lib/shell.ts";

if (Deno.args.some((argument) => argument !== "--json")) fail("Usage: deno task doctor [--json]");
const env = Deno.env.toObject();
// The secret has no part in it.
env["WRENN_AGENT_SECRET"] ||= "not-looked-at-here";
try {
  const report = await examine(loadAgentConfig(env, navigator.hardwareConcurrency));
  say(Deno.args.includes("--json") ? JSON.stringify(report, undefined, 2) : reportText(report));
  Deno.exit(report.ok ? 0 : 1);
} catch (error) {
  fail(error instanceof Error ? error.message : String(error));
}
