/** `/v1/sandboxes/{id}/...`: rest and wake, copies, earlier moments. */
import type { OpenAPIHono } from "@hono/zod-openapi";
import { type AppEnv, createRoute, type RouteDeps, subApp, z } from "../http/context.ts";
import { jsonBody } from "../http/json_body.ts";
import { BODY_ERRORS, errors, json, sandboxId, sandboxParams } from "./schemas.ts";
import { sandboxSchema, toSandbox } from "./sandbox_shape.ts";
import {
  forkedSchema,
  generationsSchema,
  restedSchema,
  toForked,
  toGeneration,
  toRested,
  toWoken,
  wokenSchema,
} from "./snapshot_shape.ts";

const tags = ["sandboxes"];
const CHANGE_ERRORS = [
  "sandbox_not_found",
  "sandbox_not_running",
  "sandbox_paused",
  "conflict",
  "host_unavailable",
  "guest_unavailable",
  "timeout",
  "no_space",
] as const;
const RESTORE_ERRORS = [
  "snapshot_not_found",
  "snapshot_corrupt",
  "snapshot_incompatible",
  "capacity_exhausted",
] as const;

const change = <N extends string, S extends z.ZodType>(
  name: N,
  schema: S,
  summary: string,
  description: string,
) =>
  createRoute({
    method: "post",
    path: `/v1/sandboxes/{id}/${name}`,
    tags,
    summary,
    description,
    request: { params: sandboxParams },
    responses: { 200: json(schema, "The sandbox"), ...errors(...CHANGE_ERRORS, ...RESTORE_ERRORS) },
  });

const forkBody: z.ZodType<{ count: number }> = z.strictObject({
  count: z.int().min(1).max(100).default(1),
}).openapi("ForkSandbox");

const rollbackBody: z.ZodType<{ generation: number }> = z.strictObject({
  generation: z.int().min(1).max(Number.MAX_SAFE_INTEGER),
}).openapi("RollbackSandbox");

const routes = {
  pause: change(
    "pause",
    restedSchema,
    "Pause a sandbox",
    "Its vCPUs stand still; its memory stays, so that it goes on in milliseconds.",
  ),
  hibernate: change(
    "hibernate",
    restedSchema,
    "Hibernate a sandbox",
    "Its memory and disk go to files and its VM ends: it costs no memory.",
  ),
  resume: change(
    "resume",
    wokenSchema,
    "Resume a sandbox",
    "It goes on where it was. When its memory cannot be restored, its disk is booted and `restored` says why.",
  ),
  ping: change(
    "ping",
    sandboxSchema,
    "Keep a sandbox alive",
    "Moves the idle deadline as a command would.",
  ),
  fork: createRoute({
    method: "post",
    path: "/v1/sandboxes/{id}/fork",
    tags,
    summary: "Fork a sandbox",
    description: "Copies a running or paused sandbox with its processes: all copies, or an error.",
    request: {
      params: sandboxParams,
      body: { required: true, content: { "application/json": { schema: forkBody } } },
    },
    responses: {
      201: json(forkedSchema, "They run"),
      ...errors(...BODY_ERRORS, ...CHANGE_ERRORS, ...RESTORE_ERRORS),
    },
  }),
  generations: createRoute({
    method: "get",
    path: "/v1/sandboxes/{id}/generations",
    tags,
    summary: "List the generations of a sandbox",
    description: "Moments that it can be rolled back to, newest first.",
    request: { params: sandboxParams },
    responses: { 200: json(generationsSchema, "All of them"), ...errors(...CHANGE_ERRORS) },
  }),
  rollback: createRoute({
    method: "post",
    path: "/v1/sandboxes/{id}/rollback",
    tags,
    summary: "Roll a sandbox back",
    description: "Puts its memory and disk back to a generation, in place. It runs afterwards.",
    request: {
      params: sandboxParams,
      body: { required: true, content: { "application/json": { schema: rollbackBody } } },
    },
    responses: {
      200: json(wokenSchema, "The sandbox"),
      ...errors(...BODY_ERRORS, ...CHANGE_ERRORS, ...RESTORE_ERRORS),
    },
  }),
};

/** Routes that change one sandbox. */
export function sandboxChangeRoutes({ sandboxes, limits }: RouteDeps): OpenAPIHono<AppEnv> {
  const app = subApp();
  app.openapi(routes.pause, async (c) => {
    const rested = await sandboxes.pause(c.var.who, sandboxId(c.req.valid("param")));
    return c.json(toRested(rested), 200);
  });
  app.openapi(routes.hibernate, async (c) => {
    const rested = await sandboxes.hibernate(c.var.who, sandboxId(c.req.valid("param")));
    return c.json(toRested(rested), 200);
  });
  app.openapi(routes.resume, async (c) => {
    const woken = await sandboxes.resume(c.var.who, sandboxId(c.req.valid("param")));
    return c.json(toWoken(woken), 200);
  });
  app.openapi(routes.ping, async (c) => {
    const sandbox = await sandboxes.ping(c.var.who, sandboxId(c.req.valid("param")));
    return c.json(toSandbox(sandbox), 200);
  });
  app.openapi({ ...routes.fork, middleware: jsonBody(limits) }, async (c) => {
    const { count } = c.req.valid("json");
    const copies = await sandboxes.fork(c.var.who, sandboxId(c.req.valid("param")), count);
    return c.json({ sandboxes: copies.map(toForked) }, 201);
  });
  app.openapi(routes.generations, async (c) => {
    const all = await sandboxes.generations(c.var.who, sandboxId(c.req.valid("param")));
    return c.json({ generations: all.map(toGeneration) }, 200);
  });
  app.openapi({ ...routes.rollback, middleware: jsonBody(limits) }, async (c) => {
    const { generation } = c.req.valid("json");
    const woken = await sandboxes.rollback(
      c.var.who,
      sandboxId(c.req.valid("param")),
      generation,
    );
    return c.json(toWoken(woken), 200);
  });
  return app;
}
