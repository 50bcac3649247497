/** File contents in and out, as streams in constant memory. */
import type { OpenAPIHono } from "@hono/zod-openapi";
import { type ErrorCode, linkSignals, type SandboxId, WrennError } from "@wrenn/common";
import type { Context } from "@hono/hono";
import { boundaryOf } from "../core/multipart.ts";
import { bodyPieces } from "../http/body.ts";
import { type AppEnv, createRoute, type RouteDeps, subApp } from "../http/context.ts";
import { invalidInput } from "../http/errors.ts";
import { jsonBody, refuseEncoding } from "../http/json_body.ts";
import { readUpload } from "../http/multipart.ts";
import { byteStream } from "../http/stream.ts";
import {
  type FileJson,
  fileQuery,
  partialFileQuery,
  rangeQuery,
  readBody,
  toFile,
  writtenSchema,
} from "./file_shape.ts";

import { BODY_ERRORS, errors, GUEST_ERRORS, sandboxId, sandboxParams } from "./schemas.ts";

/** Codes of every call that touches a path. */
export const FILE_ERRORS: readonly ErrorCode[] = [
  ...GUEST_ERRORS,
  "invalid_request",
  "invalid_path",
  "invalid_user",
  "file_not_found",
  "is_directory",
  "not_directory",
  "already_exists",
  "permission_denied",
  "no_space",
];

const base = "/v1/sandboxes/{id}/files";
const tags = ["files"];
const binary = { type: "string", format: "binary" } as const;
const content = {
  description: "The bytes, with their number in `content-length`",
  content: { "application/octet-stream": { schema: binary } },
};
const readErrors = errors(...FILE_ERRORS, "range_not_satisfiable");
const writeErrors = errors(...FILE_ERRORS, "unsupported_media_type", "request_timeout");
const written = {
  description: "The file is in place",
  content: { "application/json": { schema: writtenSchema } },
};

const write = createRoute({
  method: "post",
  path: `${base}/write`,
  tags,
  summary: "Write a file (multipart)",
  description:
    "`path` and `user` come as fields before the part `file`, or in the query. `file` is the last part " +
    "and may have any size.",
  request: {
    params: sandboxParams,
    query: partialFileQuery,
    body: {
      required: true,
      content: {
        "multipart/form-data": {
          schema: {
            type: "object",
            required: ["file"],
            properties: { path: { type: "string" }, user: { type: "string" }, file: binary },
          },
        },
      },
    },
  },
  responses: { 200: written, ...writeErrors },
});

const streamWrite = createRoute({
  method: "post",
  path: `${base}/stream/write`,
  tags,
  summary: "Write a file (raw body)",
  description: "The body is the file, of any size. A broken-off transfer leaves no whole file.",
  request: {
    params: sandboxParams,
    query: fileQuery,
    body: { content: { "application/octet-stream": { schema: binary } } },
  },
  responses: { 200: written, ...writeErrors },
});

const read = createRoute({
  method: "get",
  path: `${base}/read`,
  tags,
  summary: "Read a file",
  request: { params: sandboxParams, query: rangeQuery },
  responses: { 200: content, ...readErrors },
});

const postRead = createRoute({
  method: "post",
  path: `${base}/read`,
  tags,
  summary: "Read a file (path in the body)",
  request: {
    params: sandboxParams,
    body: { required: true, content: { "application/json": { schema: readBody } } },
  },
  responses: { 200: content, ...errors(...BODY_ERRORS, ...FILE_ERRORS, "range_not_satisfiable") },
});

const streamRead = createRoute({
  method: "get",
  path: `${base}/stream/read`,
  tags,
  summary: "Read a file or a part of it as a stream",
  request: { params: sandboxParams, query: rangeQuery },
  responses: { 200: content, ...readErrors },
});

/** The routes. */
export function transferRoutes(deps: RouteDeps): OpenAPIHono<AppEnv> {
  const { files, limits } = deps;
  const app = subApp();

  const save = async (
    c: Context<AppEnv>,
    id: SandboxId,
    file: FileJson,
    data: AsyncIterable<Uint8Array>,
  ): Promise<{ path: string; size: number }> =>
    await files.write(c.var.who, toFile(id, file), data, c.req.raw.signal);

  const load = async (
    c: Context<AppEnv>,
    id: SandboxId,
    file: FileJson & { offset?: number | undefined; length?: number | undefined },
  ): Promise<Response> => {
    const { offset = 0, length = 0 } = file;
    const call = linkSignals(c.req.raw.signal);
    const found = await files.read(c.var.who, toFile(id, file), { offset, length }, call.signal);
    return new Response(byteStream(found.data, () => call.abort()), {
      headers: {
        "content-type": "application/octet-stream",
        "content-length": String(found.size),
        "content-disposition": "attachment",
      },
    });
  };

  app.openapi(write, async (c) => {
    const id = sandboxId(c.req.valid("param"));
    refuseEncoding(c.req.raw);
    const type = c.req.header("content-type") ?? "";
    if (!/^multipart\/form-data\b/i.test(type)) {
      throw new WrennError("unsupported_media_type", "Send 'multipart/form-data'");
    }
    const boundary = boundaryOf(type);
    if (boundary === undefined) {
      throw new WrennError("invalid_request", "Invalid multipart body: no valid boundary");
    }
    const pieces = bodyPieces(c.req.raw, limits.bodyIdleMs);
    try {
      const { fields, data } = await readUpload(pieces, boundary, ["path", "user"]);
      const file = fileQuery.safeParse({ ...c.req.valid("query"), ...Object.fromEntries(fields) });
      if (!file.success) throw invalidInput("field", file.error.issues);
      return c.json(await save(c, id, file.data, data), 200);
    } finally {
      await pieces.return(undefined);
    }
  });

  app.openapi(streamWrite, async (c) => {
    const id = sandboxId(c.req.valid("param"));
    refuseEncoding(c.req.raw);
    if (/^multipart\//i.test(c.req.header("content-type") ?? "")) {
      throw new WrennError("unsupported_media_type", "The body is the file itself, not multipart");
    }
    const pieces = bodyPieces(c.req.raw, limits.bodyIdleMs);
    try {
      return c.json(await save(c, id, c.req.valid("query"), pieces), 200);
    } finally {
      await pieces.return(undefined);
    }
  });

  app.openapi(read, (c) => load(c, sandboxId(c.req.valid("param")), c.req.valid("query")));
  app.openapi(streamRead, (c) => load(c, sandboxId(c.req.valid("param")), c.req.valid("query")));
  app.openapi(
    { ...postRead, middleware: jsonBody(limits) },
    (c) => load(c, sandboxId(c.req.valid("param")), c.req.valid("json")),
  );
  return app;
}
