import { assertEquals, assertThrows } from "@std/assert";
import * as fc from "fast-check";
import { WrennError } from "@wrenn/common/errors";
import { multipartBoundary, MultipartParser } from "./multipart.ts";

const encoder = new TextEncoder();

interface Part {
  name: string;
  filename: string | undefined;
  data: Uint8Array;
}

function parse(boundary: string, chunks: Iterable<Uint8Array<ArrayBuffer>>): Part[] {
  const parser = new MultipartParser(boundary);
  const parts: Part[] = [];
  let pieces: number[] = [];
  for (const chunk of chunks) {
    for (const event of parser.feed(chunk)) {
      if (event.kind === "part") parts.push({ ...event, data: new Uint8Array() });
      else if (event.kind === "data") pieces.push(...event.data);
      else {
        const part = parts.at(-1);
        if (part) part.data = new Uint8Array(pieces);
        pieces = [];
      }
    }
  }
  parser.finish();
  return parts.map(({ name, filename, data }) => ({ name, filename, data }));
}

function body(boundary: string, parts: Part[]): Uint8Array<ArrayBuffer> {
  const pieces = parts.flatMap(({ name, filename, data }) => [
    encoder.encode(
      `--${boundary}\r\nContent-Disposition: form-data; name="${name}"` +
        `${filename === undefined ? "" : `; filename="${filename}"`}\r\n\r\n`,
    ),
    data,
    encoder.encode("\r\n"),
  ]);
  const all = [...pieces, encoder.encode(`--${boundary}--\r\n`)].flatMap((piece) => [...piece]);
  return new Uint8Array(all);
}

function* cut(data: Uint8Array<ArrayBuffer>, sizes: number[]): Generator<Uint8Array<ArrayBuffer>> {
  for (let at = 0, i = 0; at < data.length; i++) {
    const size = sizes[i % sizes.length] ?? 1;
    yield data.slice(at, at + size);
    at += size;
  }
}

Deno.test("MultipartParser gives back the parts however the body is cut", () => {
  const boundary = "-xX";
  // Bytes that look like the delimiter are the hard ones.
  const byte = fc.oneof(fc.constantFrom(13, 10, 45, 120, 88), fc.integer({ min: 0, max: 255 }));
  const data = fc.array(byte, { maxLength: 60 }).map((bytes) => new Uint8Array(bytes))
    .filter((bytes) => !new TextDecoder("latin1").decode(bytes).includes("\r\n---xX"));
  const part = fc.record({
    name: fc.constantFrom("file", "other"),
    filename: fc.constantFrom(undefined, "a.txt", "d/b.txt", "ü"),
    data,
  }, { noNullPrototype: true });
  const sizes = fc.array(fc.integer({ min: 1, max: 40 }), { minLength: 1, maxLength: 5 });
  fc.assert(fc.property(fc.array(part, { minLength: 1, maxLength: 4 }), sizes, (parts, lengths) => {
    assertEquals(parse(boundary, cut(body(boundary, parts), lengths)), parts);
  }));
});

Deno.test("MultipartParser skips preamble, epilogue and padding after a boundary", () => {
  const text = "ignored\r\n--b  \r\n\r\nno headers\r\n--b--\r\nignored, too --b";
  const [part] = parse("b", [encoder.encode(text)]);
  assertEquals(part?.name, "");
  assertEquals(new TextDecoder().decode(part?.data), "no headers");
});

Deno.test("MultipartParser reads quoted, bare and extended file names", () => {
  const names = ['filename="a\\"b\\\\c.txt"', "filename=plain.txt", "filename*=UTF-8''%C3%BC.txt"];
  const parsed = names.map((name) => {
    const text = `--b\r\ncontent-disposition: form-data; NAME=file; ${name}\r\n\r\n\r\n--b--`;
    return parse("b", [encoder.encode(text)])[0]?.filename;
  });
  assertEquals(parsed, ['a"b\\c.txt', "plain.txt", "ü.txt"]);
});

Deno.test("MultipartParser refuses malformed bodies", () => {
  const bad = [
    "",
    "no boundary at all",
    "--b\r\nContent-Disposition: form-data; name=file\r\n\r\ncut",
    "--bgarbage\r\n\r\n",
    `--b\r\nX: ${"x".repeat(20_000)}`,
    `--b${" ".repeat(20_000)}`,
    "--b\r\nContent-Disposition: form-data; filename*=utf-8''%ZZ\r\n\r\n\r\n--b--",
  ];
  for (const text of bad) {
    const error = assertThrows(() => parse("b", [encoder.encode(text)]), WrennError, "Malformed");
    assertEquals(error.code, "invalid_request");
  }
});

Deno.test("multipartBoundary() reads the header", () => {
  assertEquals(multipartBoundary("multipart/form-data; boundary=abc"), "abc");
  assertEquals(multipartBoundary('multipart/form-data; charset=x; Boundary="a b;c"'), "a b;c");
  assertThrows(() => multipartBoundary("multipart/form-data"), WrennError, "boundary is missing");
});
