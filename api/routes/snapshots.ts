/** `/v1/snapshots`, and making one of a sandbox. */
import type { OpenAPIHono } from "@hono/zod-openapi";
import { isSnapshotId, type SnapshotId, WrennError } from "@wrenn/common";
import { type AppEnv, createRoute, type RouteDeps, subApp, z } from "../http/context.ts";
import { jsonBody } from "../http/json_body.ts";
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
import { snapshotPageSchema, snapshotSchema, toSnapshot } from "./snapshot_shape.ts";

const tags = ["snapshots"];

const name = text.min(1).max(128).openapi({
  description: "For people; need not be unique.",
  example: "before the upgrade",
});

const params = z.object({
  id: z.string().regex(/^snap-[0-9a-f]{16}$/).openapi({
    description: "Snapshot id",
    example: "snap-0123456789abcdef",
    param: { name: "id", in: "path" },
  }),
});

const listQuery = z.strictObject({
  sandbox_id: z.string().regex(/^sb-[0-9a-f]{8}$/, "Must be a sandbox id").optional(),
  name: name.optional(),
  limit,
  cursor,
});

const createBody: z.ZodType<{ name?: string | undefined }> = z.strictObject({
  name: name.optional(),
}).openapi("CreateSnapshot");

const routes = {
  create: createRoute({
    method: "post",
    path: "/v1/sandboxes/{id}/snapshots",
    tags,
    summary: "Make a snapshot of a sandbox",
    description:
      "Of a running or paused one, which goes on. New sandboxes can start from it, also when this one is gone.",
    request: {
      params: sandboxParams,
      body: { required: true, content: { "application/json": { schema: createBody } } },
    },
    responses: {
      201: json(snapshotSchema, "It is on disk"),
      ...errors(
        ...BODY_ERRORS,
        "sandbox_not_found",
        "sandbox_not_running",
        "sandbox_paused",
        "conflict",
        "host_unavailable",
        "guest_unavailable",
        "timeout",
        "no_space",
      ),
    },
  }),
  list: createRoute({
    method: "get",
    path: "/v1/snapshots",
    tags,
    summary: "List snapshots",
    description: "Newest first, in pages.",
    request: { query: listQuery },
    responses: { 200: json(snapshotPageSchema, "A page"), ...errors("invalid_request") },
  }),
  get: createRoute({
    method: "get",
    path: "/v1/snapshots/{id}",
    tags,
    summary: "Read a snapshot",
    request: { params },
    responses: { 200: json(snapshotSchema, "The snapshot"), ...errors("snapshot_not_found") },
  }),
  delete: createRoute({
    method: "delete",
    path: "/v1/snapshots/{id}",
    tags,
    summary: "Delete a snapshot",
    description: "Sandboxes that were made of it live on.",
    request: { params },
    responses: { 204: { description: "It is gone" }, ...errors("snapshot_not_found") },
  }),
};

/** Routes of snapshots. */
export function snapshotRoutes({ snapshots, limits }: RouteDeps): OpenAPIHono<AppEnv> {
  const app = subApp();
  app.openapi({ ...routes.create, middleware: jsonBody(limits) }, async (c) => {
    const { name } = c.req.valid("json");
    const made = await snapshots.create(c.var.who, sandboxId(c.req.valid("param")), name);
    return c.json(toSnapshot(made), 201);
  });
  app.openapi(routes.list, async (c) => {
    const { sandbox_id, name, limit, cursor } = c.req.valid("query");
    const page = await snapshots.list(c.var.who, {
      limit,
      ...(sandbox_id === undefined ? {} : { sandboxId: sandbox_id }),
      ...(name === undefined ? {} : { name }),
      ...(cursor === undefined ? {} : { cursor }),
    });
    const body = {
      snapshots: page.snapshots.map(toSnapshot),
      next_cursor: page.nextCursor ?? null,
    };
    return c.json(body, 200);
  });
  app.openapi(routes.get, async (c) => {
    const found = await snapshots.get(c.var.who, snapshotId(c.req.valid("param")));
    return c.json(toSnapshot(found), 200);
  });
  app.openapi(routes.delete, async (c) => {
    await snapshots.delete(c.var.who, snapshotId(c.req.valid("param")));
    return c.body(null, 204);
  });
  return app;
}

function snapshotId({ id }: { id: string }): SnapshotId {
  if (!isSnapshotId(id)) throw new WrennError("snapshot_not_found", "Snapshot not found");
  return id;
}
