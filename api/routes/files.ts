/** `/v1/sandboxes/{id}/files/*`: the calls of a file system, JSON in and out. */
import type { OpenAPIHono } from "@hono/zod-openapi";
import { type AppEnv, createRoute, type RouteDeps, subApp, z } from "../http/context.ts";
import { jsonBody } from "../http/json_body.ts";
import { fileBody, fileInfoSchema, listBody, moveBody, toFile, toInfoJson } from "./file_shape.ts";

import { FILE_ERRORS } from "./files_transfer.ts";
import { BODY_ERRORS, errors, sandboxId, sandboxParams } from "./schemas.ts";

const base = "/v1/sandboxes/{id}/files";
const tags = ["files"];
const json = <S extends z.ZodType>(schema: S, description: string) => ({
  description,
  content: { "application/json": { schema } },
});
const request = <S extends z.ZodType>(schema: S) => ({
  params: sandboxParams,
  body: { required: true, content: { "application/json": { schema } } },
});
const failures = errors(...BODY_ERRORS, ...FILE_ERRORS);

const list = createRoute({
  method: "post",
  path: `${base}/list`,
  tags,
  summary: "List a folder",
  request: request(listBody),
  responses: {
    200: json(z.strictObject({ entries: z.array(fileInfoSchema) }), "Its entries"),
    ...failures,
  },
});

const stat = createRoute({
  method: "post",
  path: `${base}/stat`,
  tags,
  summary: "Describe a path",
  request: request(fileBody),
  responses: { 200: json(fileInfoSchema, "What it is"), ...failures },
});

const mkdir = createRoute({
  method: "post",
  path: `${base}/mkdir`,
  tags,
  summary: "Make a folder",
  description: "Makes the folders above it too; `already_exists` when it is there.",
  request: request(fileBody),
  responses: { 200: json(fileInfoSchema, "The folder"), ...failures },
});

const move = createRoute({
  method: "post",
  path: `${base}/move`,
  tags,
  summary: "Move or rename",
  request: request(moveBody),
  responses: { 200: json(fileInfoSchema, "At its new place"), ...failures },
});

const remove = createRoute({
  method: "post",
  path: `${base}/remove`,
  tags,
  summary: "Remove a file or a folder",
  description: "A folder goes with all below it. What is not there is gone already: no error.",
  request: request(fileBody),
  responses: { 204: { description: "It is gone" }, ...failures },
});

/** The routes. */
export function fileRoutes({ files, limits }: RouteDeps): OpenAPIHono<AppEnv> {
  const app = subApp();
  const middleware = jsonBody(limits);
  app.openapi({ ...list, middleware }, async (c) => {
    const body = c.req.valid("json");
    const ref = toFile(sandboxId(c.req.valid("param")), body);
    const entries = await files.list(c.var.who, ref, body.depth);
    return c.json({ entries: entries.map(toInfoJson) }, 200);
  });
  app.openapi({ ...stat, middleware }, async (c) => {
    const ref = toFile(sandboxId(c.req.valid("param")), c.req.valid("json"));
    return c.json(toInfoJson(await files.stat(c.var.who, ref)), 200);
  });
  app.openapi({ ...mkdir, middleware }, async (c) => {
    const ref = toFile(sandboxId(c.req.valid("param")), c.req.valid("json"));
    return c.json(toInfoJson(await files.mkdir(c.var.who, ref)), 200);
  });
  app.openapi({ ...move, middleware }, async (c) => {
    const body = c.req.valid("json");
    const ref = toFile(sandboxId(c.req.valid("param")), body);
    return c.json(toInfoJson(await files.move(c.var.who, ref, body.destination)), 200);
  });
  app.openapi({ ...remove, middleware }, async (c) => {
    const ref = toFile(sandboxId(c.req.valid("param")), c.req.valid("json"));
    await files.remove(c.var.who, ref);
    return c.body(null, 204);
  });
  return app;
}
