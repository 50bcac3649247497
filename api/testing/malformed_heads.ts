/** Malformed methods, paths, keys, headers and queries. */
import type { MalformedCase } from "./malformed.ts";

const S = "/v1/sandboxes";
const get = (name: string, path: string, ...codes: MalformedCase["codes"]): MalformedCase => ({
  name,
  method: "GET",
  path,
  codes,
});
const query = (name: string, text: string): MalformedCase =>
  get(`list: ${name}`, `${S}?${text}`, "invalid_request");

const ROUTES_WITH_ID: readonly [string, string][] = [
  ["GET", ""],
  ["DELETE", ""],
  ["POST", "/pause"],
  ["POST", "/resume"],
  ["POST", "/ping"],
];
const MALFORMED_IDS = [
  "sb-ABCDEF01",
  "sb-0",
  "sb-000000000",
  "..%2f..%2fetc%2fpasswd",
  "%00",
  "%ff%fe",
  "sb-1' OR '1'='1",
  "-1",
  "a".repeat(5000),
];

/** The cases. */
export const MALFORMED_HEADS: readonly MalformedCase[] = [
  get("no such route", "/v1/nothing", "not_found"),
  get("no such route at the root", "/wp-login.php", "not_found"),
  get("trailing slash", `${S}/`, "not_found"),
  get("double slash", `/v1//sandboxes`, "not_found"),
  get("traversal out of the API", `/v1/../../etc/passwd`, "not_found"),
  get("encoded traversal", `/v1/%2e%2e/%2e%2e/etc/passwd`, "not_found", "unauthorized"),
  get("asset traversal", `/docs/%2e%2e%2fdeno.json`, "not_found"),
  get("long URL", `${S}?cursor=${"a".repeat(17_000)}`, "headers_too_large"),
  ...["PUT", "PATCH"].map((method): MalformedCase => ({
    name: `${method} on the collection`,
    method,
    path: S,
    json: {},
    codes: ["method_not_allowed"],
  })),
  ...["DELETE", "OPTIONS"].map((method): MalformedCase => ({
    name: `${method} on the collection`,
    method,
    path: S,
    codes: ["method_not_allowed"],
  })),
  {
    name: "POST on a sandbox",
    method: "POST",
    path: `${S}/{id}`,
    json: {},
    codes: ["method_not_allowed"],
  },
  get("GET on exec", `${S}/{id}/exec`, "method_not_allowed"),
  get("GET on pause", `${S}/{id}/pause`, "method_not_allowed"),
  get("GET on files/write", `${S}/{id}/files/write`, "method_not_allowed"),
  { name: "POST on health", method: "POST", path: "/health", codes: ["method_not_allowed"] },
  {
    name: "POST on the document",
    method: "POST",
    path: "/openapi.json",
    codes: ["method_not_allowed"],
  },
  {
    name: "no key",
    method: "GET",
    path: S,
    headers: { "x-api-key": "" },
    codes: ["unauthorized"],
  },
  ...["x", "wrn_short", `wrn_${"z".repeat(32)}`, "a".repeat(1000), "null", "' OR 1=1--"].map((
    key,
    i,
  ): MalformedCase => ({
    name: `wrong key ${i}`,
    method: "GET",
    path: S,
    headers: { "x-api-key": key },
    codes: ["unauthorized"],
  })),
  {
    name: "key in another scheme",
    method: "GET",
    path: S,
    headers: { "x-api-key": "", "authorization": "Basic d3JuOng=" },
    codes: ["unauthorized"],
  },
  {
    name: "empty bearer",
    method: "GET",
    path: S,
    headers: { "x-api-key": "", "authorization": "Bearer " },
    codes: ["unauthorized"],
  },
  {
    name: "no key on a WebSocket",
    method: "GET",
    path: `${S}/{id}/exec/stream`,
    headers: { "x-api-key": "" },
    codes: ["unauthorized"],
  },
  {
    name: "large header",
    method: "GET",
    path: S,
    headers: { "x-large": "a".repeat(40_000) },
    codes: ["headers_too_large"],
  },
  ...ROUTES_WITH_ID.map(([method, path]): MalformedCase => ({
    name: `unknown sandbox: ${method} ${path}`,
    method,
    path: `${S}/{missing}${path}`,
    codes: ["sandbox_not_found"],
  })),
  ...MALFORMED_IDS.map((id): MalformedCase => ({
    name: `malformed id ${id.slice(0, 30)}`,
    method: "GET",
    path: `${S}/${id}`,
    codes: ["sandbox_not_found"],
  })),
  query("limit of zero", "limit=0"),
  query("limit too large", "limit=101"),
  query("limit negative", "limit=-1"),
  query("limit no number", "limit=ten"),
  query("limit a fraction", "limit=1.5"),
  query("limit huge", "limit=99999999999999999999"),
  query("limit twice", "limit=1&limit=2"),
  query("limit empty", "limit="),
  query("unknown state", "status=sleeping"),
  query("empty state", "status="),
  query("state in capitals", "status=RUNNING"),
  query("template no name", "template=../base"),
  query("metadata no pair", "metadata=novalue"),
  query("metadata without key", "metadata=%3Dv"),
  query("metadata with NUL", "metadata=a%3D%00"),
  query("metadata key empty", "metadata.=v"),
  query("metadata key with NUL", "metadata.%00=v"),
  query("cursor of nobody", "cursor=!!!"),
  query("cursor that is no cursor", "cursor=abc"),
  query("cursor too long", `cursor=${"a".repeat(600)}`),
  query("cursor with SQL", "cursor=%27%3B%20DROP%20TABLE%20sandboxes"),
  query("unknown parameter", "page=2"),
  get("exec/stream without upgrade", `${S}/{id}/exec/stream`, "upgrade_required"),
  get("watch without upgrade", `${S}/{id}/files/watch`, "upgrade_required"),
];
