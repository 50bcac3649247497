/** Malformed JSON bodies of create and exec. */
import type { MalformedCase } from "./malformed.ts";

const S = "/v1/sandboxes";
const EXEC = `${S}/{id}/exec`;
const JSON_TYPE = { "content-type": "application/json" };

const create = (name: string, json: unknown): MalformedCase => ({
  name: `create: ${name}`,
  method: "POST",
  path: S,
  json,
  codes: ["invalid_request"],
});
const exec = (
  name: string,
  json: unknown,
  ...codes: MalformedCase["codes"]
): MalformedCase => ({
  name: `exec: ${name}`,
  method: "POST",
  path: EXEC,
  json,
  codes: codes.length === 0 ? ["invalid_request"] : codes,
});
const raw = (
  name: string,
  body: string | Uint8Array<ArrayBuffer> | undefined,
  code: MalformedCase["codes"][number],
  headers: Record<string, string> = JSON_TYPE,
): MalformedCase[] =>
  [S, EXEC].map((path) => ({
    name: `${name} to ${path}`,
    method: "POST",
    path,
    headers,
    ...(body === undefined ? {} : { body }),
    codes: [code],
  }));
const nested = (depth: number): string => `${'{"a":'.repeat(depth)}1${"}".repeat(depth)}`;
const manyKeys = (count: number): Record<string, string> =>
  Object.fromEntries(Array.from({ length: count }, (_, i) => [`k${i}`, "v"]));

const change = (
  path: string,
  name: string,
  json: unknown,
  code: MalformedCase["codes"][number] = "invalid_request",
): MalformedCase => ({
  name: `${path}: ${name}`,
  method: "POST",
  path: `${S}/{id}/${path}`,
  json,
  codes: [code],
});
const snapshot = "snap-0123456789abcdef";

/** The cases. */
export const MALFORMED_BODIES: readonly MalformedCase[] = [
  create("a snapshot that is no id", { snapshot: "snap-1" }),
  create("a snapshot and a template", { snapshot, template: "base" }),
  create("a snapshot and a size", { snapshot, memory_mb: 512 }),
  { ...create("a snapshot that does not exist", { snapshot }), codes: ["snapshot_not_found"] },
  create("an unknown end", { on_timeout: "sleep" }),
  ...[0, 101, -1, 1.5, "2", null].map((count) => change("fork", `count ${count}`, { count })),
  change("fork", "a stranger's field", { count: 1, kind: "disk" }),
  ...[0, -1, 1.5, "1", 2 ** 53].map((n) => change("rollback", `to ${n}`, { generation: n })),
  change("rollback", "to nothing", {}),
  change("rollback", "to what is not there", { generation: 999_999 }, "snapshot_not_found"),
  change("snapshots", "an empty name", { name: "" }),
  change("snapshots", "a long name", { name: "x".repeat(129) }),
  change("snapshots", "NUL in the name", { name: "a\0b" }),
  change("snapshots", "half a surrogate pair", { name: "\ud800" }),
  ...raw("no body", undefined, "invalid_json"),
  ...raw("empty body", "", "invalid_json"),
  ...raw("blank body", "  \n", "invalid_json"),
  ...raw("half an object", '{"template":', "invalid_json"),
  ...raw("single quotes", "{'template':'base'}", "invalid_json"),
  ...raw("two values", "{} {}", "invalid_json"),
  ...raw("NaN", '{"vcpus":NaN}', "invalid_json"),
  ...raw("no UTF-8", new Uint8Array([0x7b, 0xff, 0xfe, 0x7d]), "invalid_json"),
  ...raw("deep nesting", nested(40), "invalid_json"),
  ...raw("very deep nesting", "[".repeat(100_000), "invalid_json"),
  ...raw("a list", "[]", "invalid_request"),
  ...raw("null", "null", "invalid_request"),
  ...raw("a string", '"base"', "invalid_request"),
  ...raw("a number", "1e400", "invalid_request"),
  ...raw("a prototype", '{"__proto__":{"vcpus":1}}', "invalid_request"),
  ...raw("too large", `{"env":{"A":"${"a".repeat(1_100_000)}"}}`, "payload_too_large"),
  ...raw("a form", "template=base", "unsupported_media_type", {
    "content-type": "application/x-www-form-urlencoded",
  }),
  ...raw("text", "{}", "unsupported_media_type", { "content-type": "text/plain" }),
  ...raw("gzip", new Uint8Array([0x1f, 0x8b, 8, 0]), "unsupported_media_type", {
    ...JSON_TYPE,
    "content-encoding": "gzip",
  }),

  create("unknown field", { tempalte: "base" }),
  create("template a number", { template: 7 }),
  create("template empty", { template: "" }),
  create("template a path", { template: "../../etc/passwd" }),
  create("template with NUL", { template: "base\0" }),
  create("template too long", { template: "a".repeat(300) }),
  create("vcpus a string", { vcpus: "2" }),
  create("vcpus zero", { vcpus: 0 }),
  create("vcpus negative", { vcpus: -1 }),
  create("vcpus a fraction", { vcpus: 1.5 }),
  create("vcpus too many", { vcpus: 9 }),
  create("vcpus huge", { vcpus: 1e308 }),
  create("vcpus null", { vcpus: null }),
  create("memory too small", { memory_mb: 1 }),
  create("memory too large", { memory_mb: 1_000_000 }),
  create("memory beyond 2^53", { memory_mb: 9_007_199_254_740_993 }),
  create("disk negative", { disk_mb: -5 }),
  create("disk huge", { disk_mb: 4_294_967_296 }),
  create("timeout negative", { timeout_sec: -1 }),
  create("timeout of years", { timeout_sec: 2_592_001 }),
  create("timeout a boolean", { timeout_sec: true }),
  create("on_timeout unknown", { on_timeout: "explode" }),
  create("env a list", { env: ["A=1"] }),
  create("env value a number", { env: { A: 1 } }),
  create("env name with =", { env: { "A=B": "1" } }),
  create("env name empty", { env: { "": "1" } }),
  create("env name a digit", { env: { "1A": "1" } }),
  create("env value with NUL", { env: { A: "a\0b" } }),
  create("env value half a pair", { env: { A: "\ud800" } }),
  create("env too large", { env: { A: "a".repeat(70_000) } }),
  create("metadata a string", { metadata: "x" }),
  create("metadata nested", { metadata: { a: { b: "c" } } }),
  create("metadata value too long", { metadata: { a: "a".repeat(1025) } }),
  create("metadata key too long", { metadata: { ["k".repeat(129)]: "v" } }),
  create("metadata with NUL", { metadata: { a: "\0" } }),
  create("metadata half a pair", { metadata: { a: "\udc00" } }),
  create("metadata too many", { metadata: manyKeys(65) }),
  create("network a boolean", { network: true }),
  create("network unknown field", { network: { allow: [] } }),
  create("network internet a string", { network: { internet: "no" } }),
  create("network allow_out a string", { network: { allow_out: "10.0.0.0/8" } }),
  create("network no CIDR", { network: { allow_out: ["example.com"] } }),
  create("network IPv6", { network: { deny_out: ["::/0"] } }),
  create("network bits", { network: { deny_out: ["10.0.0.0/33"] } }),
  create("network with shell", { network: { deny_out: ["10.0.0.0/8; flush ruleset"] } }),
  create("network too many", { network: { deny_out: Array(257).fill("10.0.0.0/8") } }),
  {
    ...create("template of nobody", { template: "nobody-built-this" }),
    codes: ["template_not_found"],
  },

  exec("cmd missing", {}),
  exec("cmd empty", { cmd: "" }),
  exec("cmd a list", { cmd: ["ls"] }),
  exec("cmd with NUL", { cmd: "ls\0" }),
  exec("cmd half a pair", { cmd: "\ud800" }),
  exec("cmd too long", { cmd: "a".repeat(5000) }),
  exec("args a string", { cmd: "true", args: "-l" }),
  exec("args of numbers", { cmd: "true", args: [1] }),
  exec("args with NUL", { cmd: "true", args: ["a\0"] }),
  exec("args too long", { cmd: "true", args: ["a".repeat(131_072)] }),
  exec("args too many", { cmd: "true", args: Array(4097).fill("a") }),
  exec("cwd empty", { cmd: "true", cwd: "" }, "invalid_path"),
  exec("cwd with NUL", { cmd: "true", cwd: "/\0" }, "invalid_path"),
  exec("cwd too long", { cmd: "true", cwd: `/${"a".repeat(4096)}` }, "invalid_path"),
  exec("user no name", { cmd: "true", user: "../root" }, "invalid_user"),
  exec("user unknown", { cmd: "true", user: "nobodyhere" }, "invalid_user"),
  exec("env name", { cmd: "true", env: { "A B": "1" } }),
  exec("timeout negative", { cmd: "true", timeout_sec: -1 }),
  exec("timeout a fraction", { cmd: "true", timeout_sec: 0.5 }),
  exec("timeout huge", { cmd: "true", timeout_sec: 1e12 }),
  exec("unknown field", { cmd: "true", shell: true }),
  exec("command not found", { cmd: "/no/such/program" }, "command_not_found"),
  { ...exec("unknown sandbox", { cmd: "true" }, "sandbox_not_found"), path: `${S}/{missing}/exec` },
];
