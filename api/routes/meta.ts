/** Health, readiness and the API's own description. */
import type { OpenAPIHono } from "@hono/zod-openapi";
import { stringify } from "yaml";
import { type AppEnv, createRoute, type RouteDeps, subApp, z } from "../http/context.ts";
import { DOCS_HEADERS, DOCS_PAGE, DOCS_SCRIPT, docsAsset } from "./docs_page.ts";
import { inputSchema, startSchema } from "./command_shape.ts";
import { watchMessage } from "./file_shape.ts";

const tags = ["meta"];
const asJson = <S extends z.ZodType>(schema: S, description: string) => ({
  description,
  content: { "application/json": { schema } },
});
const readySchema = z.strictObject({
  ready: z.boolean(),
  checks: z.record(z.string(), z.string()).openapi({
    description: "`ok`, or what is wrong",
    example: { database: "ok", agent: "ok" },
  }),
}).openapi("Readiness");

const health = createRoute({
  method: "get",
  path: "/health",
  tags,
  summary: "Is the process alive",
  security: [],
  responses: { 200: asJson(z.strictObject({ status: z.literal("ok") }), "It is") },
});
const ready = createRoute({
  method: "get",
  path: "/ready",
  tags,
  summary: "Can the platform serve",
  security: [],
  responses: { 200: asJson(readySchema, "It can"), 503: asJson(readySchema, "Not now") },
});

const document = (path: string, type: string, summary: string) =>
  createRoute({
    method: "get",
    path,
    tags,
    summary,
    security: [],
    responses: {
      200: { description: "The document", content: { [type]: { schema: { type: "string" } } } },
    },
  });

/** Routes without a key. `root` is the app whose routes the document describes. */
export function metaRoutes(
  { readiness }: RouteDeps,
  root: OpenAPIHono<AppEnv>,
  version: string,
): OpenAPIHono<AppEnv> {
  const app = subApp();
  let json: string | undefined;
  let yaml: string | undefined;
  const asText = (): string => json ??= JSON.stringify(openApiDocument(root, version), null, 2);

  app.openapi(health, (c) => c.json({ status: "ok" as const }, 200));
  app.openapi(ready, async (c) => {
    const state = await readiness.check();
    return c.json({ ready: state.ready, checks: { ...state.checks } }, state.ready ? 200 : 503);
  });
  app.openapi(
    document("/openapi.json", "application/json", "This API in OpenAPI 3.1"),
    (c) => c.body(asText(), 200, { "content-type": "application/json" }),
  );
  app.openapi(
    document("/openapi.yaml", "application/yaml", "This API in OpenAPI 3.1"),
    (c) => {
      yaml ??= stringify(JSON.parse(asText()), { aliasDuplicateObjects: false });
      return c.body(yaml, 200, { "content-type": "application/yaml" });
    },
  );
  app.openapi(
    document("/docs", "text/html", "This API in Swagger UI"),
    (c) => c.body(DOCS_PAGE, 200, { ...DOCS_HEADERS, "content-type": "text/html; charset=utf-8" }),
  );
  app.openapi({ ...document("/docs/init.js", "text/javascript", "Start"), hide: true }, (c) => {
    return c.body(DOCS_SCRIPT, 200, { "content-type": "text/javascript; charset=utf-8" });
  });
  for (const name of ["swagger-ui.css", "swagger-ui-bundle.js"] as const) {
    const type = name.endsWith(".css") ? "text/css" : "text/javascript";
    const route = document(`/docs/${name}`, type, "Part of Swagger UI");
    app.openapi({ ...route, hide: true }, async (c) => {
      return c.body(await docsAsset(name), 200, {
        "content-type": `${type}; charset=utf-8`,
        "cache-control": "public, max-age=86400",
      });
    });
  }
  return app;
}

/** The OpenAPI 3.1 document of all routes of `root`. */
export function openApiDocument(
  root: OpenAPIHono<AppEnv>,
  version: string,
): ReturnType<OpenAPIHono["getOpenAPI31Document"]> {
  return root.getOpenAPI31Document({
    openapi: "3.1.0",
    info: {
      title: "Wrenn Sandbox",
      version,
      description:
        'Linux microVMs that run code nobody trusts. Every error is `{"error":{"code","message"}}` with a stable ' +
        "code. Times are RFC 3339 UTC; durations and sizes carry their unit in the name.",
      license: { name: "Apache-2.0", url: "https://www.apache.org/licenses/LICENSE-2.0" },
    },
    servers: [{ url: "/" }],
    security: [{ apiKey: [] }, { bearer: [] }],
    tags: [
      { name: "sandboxes", description: "Life cycle" },
      { name: "exec", description: "Commands" },
      { name: "files", description: "The guest's file system" },
      { name: "meta", description: "The service itself" },
    ],
  });
}

/** Adds to the document what no single route carries: the ways to authenticate, WebSocket messages. */
export function registerShared(root: OpenAPIHono<AppEnv>): void {
  const registry = root.openAPIRegistry;
  registry.registerComponent("securitySchemes", "apiKey", {
    type: "apiKey",
    in: "header",
    name: "X-API-Key",
  });
  registry.registerComponent("securitySchemes", "bearer", { type: "http", scheme: "bearer" });
  registry.register("ExecStart", startSchema);
  registry.register("ExecInput", inputSchema);
  registry.register("WatchFiles", watchMessage);
}
