import { assertEquals, assertRejects } from "@std/assert";
import fc from "fast-check";
import { WrennError } from "@wrenn/common";
import { readUpload } from "./multipart.ts";

const BOUNDARY = "----x";
const encode = (text: string): Uint8Array => new TextEncoder().encode(text);

/** Chunks that share one buffer, as a request's pieces do. */
async function* chunked(bytes: Uint8Array, sizes: number[]): AsyncGenerator<Uint8Array> {
  const shared = new Uint8Array(Math.max(1, ...sizes));
  for (let at = 0, i = 0; at < bytes.length; i++) {
    const part = bytes.subarray(at, at + (sizes[i % sizes.length] ?? 1));
    shared.fill(0xee);
    shared.set(part);
    at += part.length;
    yield shared.subarray(0, part.length);
  }
}

function body(file: Uint8Array, fields: Record<string, string> = {}): Uint8Array {
  const head = Object.entries(fields).map(([name, value]) =>
    `--${BOUNDARY}\r\ncontent-disposition: form-data; name="${name}"\r\n\r\n${value}\r\n`
  ).join("");
  const start = `${head}--${BOUNDARY}\r\ncontent-disposition: form-data; name="file"\r\n\r\n`;
  return new Uint8Array([...encode(start), ...file, ...encode(`\r\n--${BOUNDARY}--\r\n`)]);
}

async function read(bytes: Uint8Array, sizes: number[] = [7]): Promise<[object, Uint8Array]> {
  const { fields, data } = await readUpload(chunked(bytes, sizes), BOUNDARY, ["path", "user"]);
  const parts: number[] = [];
  for await (const piece of data) parts.push(...piece);
  return [Object.fromEntries(fields), new Uint8Array(parts)];
}

Deno.test("readUpload() gives back fields and file however the body is cut", async () => {
  const tricky = fc.array(
    fc.constantFrom("\r", "\n", "-", "--", "x", `\r\n--${BOUNDARY.slice(0, 4)}`, "\r\n\r\n"),
  ).map((parts) => encode(parts.join("")));
  const file = fc.oneof(tricky, fc.uint8Array({ maxLength: 300 }))
    .filter((bytes) => !new TextDecoder().decode(bytes).includes(`\r\n--${BOUNDARY}`));
  const sizes = fc.array(fc.integer({ min: 1, max: 40 }), { minLength: 1, maxLength: 5 });
  await fc.assert(fc.asyncProperty(file, sizes, async (bytes, cuts) => {
    const given = new Uint8Array(bytes);
    const [fields, got] = await read(body(given, { path: "/a", user: "root" }), cuts);
    assertEquals(fields, { path: "/a", user: "root" });
    assertEquals(got, given);
  }));
});

Deno.test("readUpload() refuses a body cut anywhere", async () => {
  const whole = body(encode("hello"), { path: "/a" });
  const closing = whole.length - 2; // the last line break is not needed
  await fc.assert(fc.asyncProperty(fc.integer({ min: 0, max: closing - 1 }), async (length) => {
    const error = await assertRejects(() => read(whole.slice(0, length)), WrennError);
    assertEquals(error.code, "invalid_request");
  }));
});

Deno.test("readUpload() refuses malformed bodies", async () => {
  const part = (head: string, value: string): string =>
    `--${BOUNDARY}\r\n${head}\r\n\r\n${value}\r\n`;
  const field = (name: string, value: string): string =>
    part(`content-disposition: form-data; name="${name}"`, value);
  const end = `--${BOUNDARY}--`;
  for (
    const text of [
      end,
      field("path", "/a") + end,
      field("nope", "1") + end,
      field("path", "/a") + field("path", "/b") + field("file", "x") + end,
      field("path", "a".repeat(9000)) + field("file", "x") + end,
      field("file", "x") + field("path", "/a") + end,
      part("content-disposition: attachment", "x") + end,
      part(`x: ${"a".repeat(9000)}`, "x") + end,
      `--${BOUNDARY}junk\r\n${end}`,
      "a".repeat(10_000) + end,
    ]
  ) {
    const error = await assertRejects(() => read(encode(text), [64]), WrennError);
    assertEquals(error.code, "invalid_request", text.slice(0, 60));
  }
});
