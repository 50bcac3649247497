/** `GET /files`: a file with ranges, conditions and compression. */
import { WrennError } from "@wrenn/common/errors";
import { contentType, inlineDisposition } from "../core/content_type.ts";
import { chooseEncoding } from "../core/encoding.ts";
import { baseName } from "../core/paths.ts";
import { isNotModified, parseRange, rangeApplies } from "../core/ranges.ts";
import { fileBody, type OpenFile, openFile } from "../files/read.ts";

/** Answers with the file at an absolute path. @throws {WrennError} As `openFile`, and 406, 416. */
export async function download(request: Request, path: string): Promise<Response> {
  const asked = request.headers;
  const plain = asked.has("range") || asked.has("if-modified-since") || asked.has("if-range");
  const encoding = chooseEncoding(asked.get("accept-encoding"), !plain);
  if (!encoding) return notAcceptable();
  const opened = await openFile(path);
  const headers = new Headers({
    "Content-Type": contentType(path),
    "Content-Disposition": inlineDisposition(baseName(path)),
    "Last-Modified": new Date(opened.modifiedMs).toUTCString(),
    "Vary": "Accept-Encoding",
    "X-Content-Type-Options": "nosniff",
  });
  if (opened.size === 0) {
    opened.file.close();
    headers.set("Content-Length", "0");
    return new Response(null, { headers });
  }
  if (encoding === "gzip") {
    headers.set("Content-Encoding", "gzip");
    const body = fileBody(opened, 0, opened.size).pipeThrough(new CompressionStream("gzip"));
    return new Response(body, { headers });
  }
  return opened.size === undefined
    ? new Response(fileBody(opened, 0, undefined), { headers })
    : sized(asked, headers, opened, opened.size);
}

/** A file whose size is known: 200, 206, 304 or 416. */
function sized(asked: Headers, headers: Headers, opened: OpenFile, size: number): Response {
  headers.set("Accept-Ranges", "bytes");
  if (isNotModified(asked.get("if-modified-since"), opened.modifiedMs)) {
    opened.file.close();
    return new Response(null, { status: 304, headers });
  }
  const range = rangeApplies(asked.get("if-range"), opened.modifiedMs)
    ? parseRange(asked.get("range"), size)
    : undefined;
  if (range === "unsatisfiable") {
    opened.file.close();
    headers.set("Content-Range", `bytes */${size}`);
    headers.set("wrenn-code", "range_not_satisfiable");
    headers.set("Content-Type", "application/json");
    const body = { code: 416, message: "The range is outside the file" };
    return new Response(JSON.stringify(body), { status: 416, headers });
  }
  const { start, end } = range ?? { start: 0, end: size };
  headers.set("Content-Length", String(end - start));
  if (range) headers.set("Content-Range", `bytes ${start}-${end - 1}/${size}`);
  return new Response(fileBody(opened, start, end - start), { status: range ? 206 : 200, headers });
}

function notAcceptable(): Response {
  const message = "no acceptable encoding found, supported: identity, gzip";
  return Response.json({ code: 406, message }, {
    status: 406,
    headers: { "wrenn-code": new WrennError("invalid_request", message).code },
  });
}
