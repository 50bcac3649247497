/** `POST /v1/sandboxes/{id}/exec`: a command, run to its end. */
import type { OpenAPIHono } from "@hono/zod-openapi";
import { toTextPiece } from "../core/utf8_splitter.ts";
import { type AppEnv, createRoute, type RouteDeps, subApp, z } from "../http/context.ts";
import { jsonBody } from "../http/json_body.ts";
import type { ExecResult } from "../services/exec.ts";
import { commandSchema } from "./command_shape.ts";

import { BODY_ERRORS, errors, GUEST_ERRORS, sandboxId, sandboxParams } from "./schemas.ts";

const resultSchema = z.strictObject({
  sandbox_id: z.string(),
  stdout: z.string(),
  stderr: z.string(),
  exit_code: z.int().openapi({ description: "128 + signal number when a signal ended it." }),
  duration_ms: z.int(),
  encoding: z.enum(["utf-8", "base64"]).openapi({
    description: "Of `stdout` and `stderr`: base64 when either is not UTF-8.",
  }),
  truncated: z.boolean().openapi({ description: "The output was cut at 16 MiB." }),
  timed_out: z.boolean(),
}).openapi("ExecResult");

const route = createRoute({
  method: "post",
  path: "/v1/sandboxes/{id}/exec",
  tags: ["exec"],
  summary: "Run a command to its end",
  description: "The process is killed when the client leaves.",
  request: {
    params: sandboxParams,
    body: { required: true, content: { "application/json": { schema: commandSchema } } },
  },
  responses: {
    200: {
      description: "It ended, with whatever exit code",
      content: { "application/json": { schema: resultSchema } },
    },
    ...errors(
      ...BODY_ERRORS,
      ...GUEST_ERRORS,
      "command_not_found",
      "invalid_user",
      "invalid_path",
      "not_directory",
      "file_not_found",
      "permission_denied",
    ),
  },
});

/** The route. */
export function execRoutes({ exec, limits }: RouteDeps): OpenAPIHono<AppEnv> {
  const app = subApp();
  app.openapi({ ...route, middleware: jsonBody(limits) }, async (c) => {
    const id = sandboxId(c.req.valid("param"));
    const result = await exec.exec(c.var.who, id, c.req.valid("json"), c.req.raw.signal);
    return c.json({ sandbox_id: id, ...toJson(result) }, 200);
  });
  return app;
}

function toJson(result: ExecResult): Omit<z.output<typeof resultSchema>, "sandbox_id"> {
  const out = toTextPiece(result.stdout);
  const err = toTextPiece(result.stderr);
  const binary = out.encoding === "base64" || err.encoding === "base64";
  return {
    stdout: binary ? result.stdout.toBase64() : out.data,
    stderr: binary ? result.stderr.toBase64() : err.data,
    exit_code: result.exitCode,
    duration_ms: result.durationMs,
    encoding: binary ? "base64" : "utf-8",
    truncated: result.truncated,
    timed_out: result.timedOut,
  };
}
