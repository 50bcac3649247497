/** Malformed file calls: paths, ranges, multipart. */
import type { ErrorCode } from "@wrenn/common";
import type { MalformedCase } from "./malformed.ts";

const F = "/v1/sandboxes/{id}/files";
const GONE = "/v1/sandboxes/{missing}/files";
const LONG = `/${"a".repeat(4096)}`;
const BOUNDARY = "wrenn-test-boundary";
const FORM = { "content-type": `multipart/form-data; boundary=${BOUNDARY}` };

const call = (
  name: string,
  path: string,
  json: unknown,
  ...codes: ErrorCode[]
): MalformedCase => ({
  name: `${path}: ${name}`,
  method: "POST",
  path: `${F}/${path}`,
  json,
  codes,
});
const read = (name: string, query: string, ...codes: ErrorCode[]): MalformedCase => ({
  name: `stream/read: ${name}`,
  method: "GET",
  path: `${F}/stream/read${query}`,
  codes,
});
const write = (
  name: string,
  query: string,
  codes: ErrorCode[],
  headers: Record<string, string> = {},
): MalformedCase => ({
  name: `stream/write: ${name}`,
  method: "POST",
  path: `${F}/stream/write${query}`,
  headers: { "content-type": "application/octet-stream", ...headers },
  body: "content",
  codes,
});
const form = (
  name: string,
  body: string,
  codes: ErrorCode[],
  headers: Record<string, string> = FORM,
): MalformedCase => ({
  name: `write: ${name}`,
  method: "POST",
  path: `${F}/write`,
  headers,
  body,
  codes,
});
const field = (name: string, value: string): string =>
  `--${BOUNDARY}\r\nContent-Disposition: form-data; name="${name}"\r\n\r\n${value}\r\n`;
const END = `--${BOUNDARY}--\r\n`;
const BROKEN: ErrorCode[] = ["invalid_request"];

const PATHS = ["list", "stat", "mkdir", "remove", "read"];

/** The cases. */
export const MALFORMED_FILES: readonly MalformedCase[] = [
  ...PATHS.flatMap((path) => [
    call("path missing", path, {}, "invalid_request"),
    call("path a number", path, { path: 1 }, "invalid_request"),
    call("path empty", path, { path: "" }, "invalid_path"),
    call("path with NUL", path, { path: "/tmp/a\0b" }, "invalid_path"),
    call("path too long", path, { path: LONG }, "invalid_path"),
    call("path half a pair", path, { path: "/tmp/\ud800" }, "invalid_path"),
    call("user unknown", path, { path: "x", user: "nobodyhere" }, "invalid_user"),
    call("user with a slash", path, { path: "x", user: "a/b" }, "invalid_user"),
    call("unknown field", path, { path: "/tmp", force: true }, "invalid_request"),
  ]),
  ...["list", "stat", "read"].map((path) =>
    call("nothing there", path, { path: "/tmp/nothing/here" }, "file_not_found")
  ),
  call("traversal to nothing", "read", { path: "/tmp/../../../no/such/file" }, "file_not_found"),
  call("a folder", "read", { path: "/tmp" }, "is_directory"),
  call("the root is there", "mkdir", { path: "/" }, "already_exists"),
  call("depth zero", "list", { path: "/tmp", depth: 0 }, "invalid_request"),
  call("depth huge", "list", { path: "/tmp", depth: 1e9 }, "invalid_request"),
  call("depth a string", "list", { path: "/tmp", depth: "2" }, "invalid_request"),
  call("destination missing", "move", { path: "/tmp/a" }, "invalid_request"),
  call("destination empty", "move", { path: "/tmp/a", destination: "" }, "invalid_path"),
  call("destination with NUL", "move", { path: "/tmp/a", destination: "\0" }, "invalid_path"),
  call("nothing to move", "move", { path: "/tmp/none", destination: "/tmp/b" }, "file_not_found"),
  call("offset negative", "read", { path: "/tmp/a", offset: -1 }, "invalid_request"),
  call("length a fraction", "read", { path: "/tmp/a", length: 0.5 }, "invalid_request"),
  call("length beyond 2^53", "read", { path: "/tmp/a", length: 1e17 }, "invalid_request"),
  ...["list", "stat", "mkdir", "remove", "read"].map((path): MalformedCase => ({
    ...call("unknown sandbox", path, { path: "/tmp" }, "sandbox_not_found"),
    path: `${GONE}/${path}`,
  })),

  read("path missing", "", "invalid_request"),
  read("path empty", "?path=", "invalid_path"),
  read("path with NUL", "?path=%2Ftmp%2Fa%00", "invalid_path"),
  read("path twice", "?path=a&path=b", "invalid_request"),
  read("path too long", `?path=${LONG}`, "invalid_path"),
  read("nothing there", "?path=/tmp/none", "file_not_found"),
  read("encoded traversal", "?path=%2e%2e%2f%2e%2e%2f%2e%2e%2fno-such", "file_not_found"),
  read("a folder", "?path=/tmp", "is_directory"),
  read("user unknown", "?path=x&user=nobodyhere", "invalid_user"),
  read("offset negative", "?path=a&offset=-1", "invalid_request"),
  read("offset a word", "?path=a&offset=start", "invalid_request"),
  read("offset huge", "?path=a&offset=99999999999999999999", "invalid_request"),
  read("length hexadecimal", "?path=a&length=0x10", "invalid_request"),
  read("unknown parameter", "?path=a&raw=1", "invalid_request"),
  { ...read("unknown sandbox", "", "sandbox_not_found"), path: `${GONE}/stream/read?path=/a` },

  write("path missing", "", ["invalid_request"]),
  write("path empty", "?path=", ["invalid_path"]),
  write("path with NUL", "?path=a%00b", ["invalid_path"]),
  write("path too long", `?path=${LONG}`, ["invalid_path"]),
  write("a folder", "?path=/tmp", ["is_directory"]),
  write("below a file", "?path=/etc/passwd/x", ["not_directory", "permission_denied"]),
  write("user unknown", "?path=x&user=nobodyhere", ["invalid_user"]),
  write("unknown parameter", "?path=x&mode=777", ["invalid_request"]),
  write("multipart", "?path=x", ["unsupported_media_type"], FORM),
  write("compressed", "?path=x", ["unsupported_media_type"], { "content-encoding": "gzip" }),
  { ...write("unknown sandbox", "", ["sandbox_not_found"]), path: `${GONE}/stream/write?path=/a` },

  form("JSON", "{}", ["unsupported_media_type"], { "content-type": "application/json" }),
  form("no boundary", END, BROKEN, { "content-type": "multipart/form-data" }),
  form("empty boundary", END, BROKEN, { "content-type": "multipart/form-data; boundary=" }),
  form("boundary too long", END, BROKEN, {
    "content-type": `multipart/form-data; boundary=${"b".repeat(71)}`,
  }),
  form("compressed", END, ["unsupported_media_type"], { ...FORM, "content-encoding": "deflate" }),
  form("empty body", "", BROKEN),
  form("no parts", END, BROKEN),
  form("another boundary", "--other\r\n\r\nx\r\n--other--\r\n", BROKEN),
  form("no file", field("path", "/tmp/a") + END, BROKEN),
  form("no path", field("file", "x") + END, BROKEN),
  form("path empty", field("path", "") + field("file", "x") + END, ["invalid_path"]),
  form("path with NUL", field("path", "a\0") + field("file", "x") + END, ["invalid_path"]),
  form("path after the file", field("file", "x") + field("path", "/tmp/a") + END, BROKEN),
  form("path twice", field("path", "a") + field("path", "b") + field("file", "x") + END, BROKEN),
  form("unknown field", field("mode", "7") + field("file", "x") + END, BROKEN),
  form(
    "two files",
    field("path", "/tmp/two") + field("file", "x") + field("file", "y") + END,
    BROKEN,
  ),
  form("cut in the file", field("path", "/tmp/cut") + field("file", "x").slice(0, -2), BROKEN),
  form("cut in a header", field("path", "/tmp/cut") + field("file", "x").slice(0, 40), BROKEN),
  form(
    "no closing dashes",
    field("path", "/tmp/cut") + field("file", "x") + `--${BOUNDARY}`,
    BROKEN,
  ),
  form("field too long", field("path", "a".repeat(10_000)) + field("file", "x") + END, BROKEN),
  form("header too long", field("a".repeat(10_000), "x") + END, BROKEN),
  form(
    "user unknown",
    field("path", "x") + field("user", "nobodyhere") + field("file", "x") + END,
    [
      "invalid_user",
    ],
  ),
  form("a folder", field("path", "/tmp") + field("file", "x") + END, ["is_directory"]),
  {
    ...form("unknown sandbox", field("path", "x") + field("file", "x") + END, [
      "sandbox_not_found",
    ]),
    path: `${GONE}/write`,
  },
];
