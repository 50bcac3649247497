/** `/v1/sandboxes`: the life cycle. */
import type { OpenAPIHono } from "@hono/zod-openapi";
import { WrennError } from "@wrenn/common";
import { type AppEnv, createRoute, type RouteDeps, subApp, z } from "../http/context.ts";
import { jsonBody } from "../http/json_body.ts";
import type { ListSandboxes, SandboxStatus } from "../services/types.ts";
import {
  BODY_ERRORS,
  cursor,
  errors,
  json,
  limit,
  sandboxId,
  sandboxParams,
  text,
} from "./schemas.ts";
import {
  createBody,
  pageSchema,
  sandboxSchema,
  statusSchema,
  templateName,
  toCreate,
  toSandbox,
} from "./sandbox_shape.ts";

const METADATA_PREFIX = "metadata.";
const tags = ["sandboxes"];

/** A parameter that may come once or several times. */
const repeated = (item: z.ZodType<string>) =>
  z.union([item.transform((one) => [one]), z.array(item).max(64)]);

const listQuery = z.object({
  status: repeated(text).optional().openapi({
    type: "array",
    items: { type: "string", enum: statusSchema.options },
    description: "States, repeated or separated by commas. Default: all but `stopped` and `error`.",
  }),
  template: templateName.optional(),
  metadata: repeated(text).optional().openapi({
    type: "array",
    items: { type: "string", example: "purpose=demo" },
    description:
      "`key=value`, repeated: every pair must match. `metadata.<key>=<value>` also works.",
  }),
  limit,
  cursor,
}).catchall(text);

const routes = {
  create: createRoute({
    method: "post",
    path: "/v1/sandboxes",
    tags,
    summary: "Create a sandbox",
    description:
      "Answers when the sandbox runs. The header `Server-Timing` says where the time went.",
    request: { body: { required: true, content: { "application/json": { schema: createBody } } } },
    responses: {
      201: json(sandboxSchema, "It runs"),
      ...errors(
        ...BODY_ERRORS,
        "template_not_found",
        "snapshot_not_found",
        "snapshot_corrupt",
        "snapshot_incompatible",
        "conflict",
        "already_exists",
        "capacity_exhausted",
        "host_unavailable",
        "guest_unavailable",
        "timeout",
        "no_space",
      ),
    },
  }),
  list: createRoute({
    method: "get",
    path: "/v1/sandboxes",
    tags,
    summary: "List sandboxes",
    description: "Newest first, in pages.",
    request: { query: listQuery },
    responses: { 200: json(pageSchema, "A page"), ...errors("invalid_request") },
  }),
  get: createRoute({
    method: "get",
    path: "/v1/sandboxes/{id}",
    tags,
    summary: "Read a sandbox",
    request: { params: sandboxParams },
    responses: { 200: json(sandboxSchema, "The sandbox"), ...errors("sandbox_not_found") },
  }),
  destroy: createRoute({
    method: "delete",
    path: "/v1/sandboxes/{id}",
    tags,
    summary: "Destroy a sandbox",
    description: "Answers the same when it has stopped already.",
    request: { params: sandboxParams },
    responses: {
      204: { description: "It is gone" },
      ...errors("sandbox_not_found", "conflict", "host_unavailable", "timeout"),
    },
  }),
};

/** Routes of the life cycle. */
export function sandboxRoutes({ sandboxes, limits }: RouteDeps): OpenAPIHono<AppEnv> {
  const app = subApp();
  app.openapi({ ...routes.create, middleware: jsonBody(limits) }, async (c) => {
    const timing = new Map<string, number>();
    const made = await sandboxes.create(c.var.who, toCreate(c.req.valid("json")), { timing });
    c.header("server-timing", [...timing].map(([name, ms]) => `${name};dur=${ms}`).join(", "));
    return c.json(toSandbox(made), 201);
  });
  app.openapi(routes.list, async (c) => {
    const page = await sandboxes.list(c.var.who, toList(c.req.valid("query")));
    const body = { sandboxes: page.sandboxes.map(toSandbox), next_cursor: page.nextCursor ?? null };
    return c.json(body, 200);
  });
  app.openapi(routes.get, async (c) => {
    return c.json(toSandbox(await sandboxes.get(c.var.who, sandboxId(c.req.valid("param")))), 200);
  });
  app.openapi(routes.destroy, async (c) => {
    await sandboxes.destroy(c.var.who, sandboxId(c.req.valid("param")));
    return c.body(null, 204);
  });
  return app;
}

function toList(query: z.output<typeof listQuery>): ListSandboxes {
  const { status, template, metadata, limit, cursor, ...others } = query;
  const pairs: [string, string][] = (metadata ?? []).map((pair) => {
    const at = pair.indexOf("=");
    if (at < 1) throw wrong("metadata", "must be 'key=value'");
    return [pair.slice(0, at), pair.slice(at + 1)];
  });
  for (const [name, value] of Object.entries(others)) {
    if (!name.startsWith(METADATA_PREFIX) || name.length === METADATA_PREFIX.length) {
      throw new WrennError(
        "invalid_request",
        `Unknown query parameter '${name.slice(0, 100)}'`,
      );
    }
    pairs.push([name.slice(METADATA_PREFIX.length), value]);
  }
  for (const [key, value] of pairs) {
    if (key.length > 128 || value.length > 1024 || key.includes("\0") || !key.isWellFormed()) {
      throw wrong("metadata", "must be a key and a value that metadata can have");
    }
  }
  return {
    limit,
    ...(status ? { status: status.flatMap((s) => s.split(",")).map(toStatus) } : {}),
    ...(template === undefined ? {} : { template }),
    ...(pairs.length > 0 ? { metadata: Object.fromEntries(pairs) } : {}),
    ...(cursor === undefined ? {} : { cursor }),
  };
}

function toStatus(name: string): SandboxStatus {
  const status = statusSchema.safeParse(name);
  if (!status.success) throw wrong("status", `must be one of ${statusSchema.options.join(", ")}`);
  return status.data;
}

function wrong(name: string, what: string): WrennError {
  return new WrennError("invalid_request", `Invalid query parameter '${name}': ${what}`);
}
