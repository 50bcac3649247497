/** `WS /v1/sandboxes/{id}/files/watch`: changes below a folder as they happen. */
import type { OpenAPIHono } from "@hono/zod-openapi";
import { type AppEnv, createRoute, type RouteDeps, subApp } from "../http/context.ts";
import { serveSocket } from "../http/session.ts";
import { noMessage, toFile, watchMessage } from "./file_shape.ts";

import { errors, GUEST_ERRORS, sandboxId, sandboxParams } from "./schemas.ts";

const DESCRIPTION = `
A WebSocket of JSON text messages. The client's first message is the folder (schema \`WatchFiles\`) and must come within
10 seconds: \`{"path":"/home/user","recursive":true}\`. The server answers \`{"type":"start"}\` when the watch is in place, then

- \`{"type":"create"|"write"|"remove"|"rename"|"chmod","name":"a/b.txt"}\`, the name relative to the folder
- \`{"type":"error","error":{"code":"...","message":"..."}}\` and closes, with the codes of \`exec/stream\`

The watch ends when the client closes the socket.
`.trim();

const route = createRoute({
  method: "get",
  path: "/v1/sandboxes/{id}/files/watch",
  tags: ["files"],
  summary: "Watch a folder (WebSocket)",
  description: DESCRIPTION,
  request: { params: sandboxParams },
  responses: {
    101: { description: "Switching to WebSocket" },
    ...errors(...GUEST_ERRORS, "upgrade_required"),
  },
});

/** The route. */
export function watchRoutes(deps: RouteDeps): OpenAPIHono<AppEnv> {
  const app = subApp();
  app.openapi(route, (c) => {
    const id = sandboxId(c.req.valid("param"));
    const open = () => deps.files.openWatch(c.var.who, id);
    return serveSocket(c, deps, open, async (socket, agent) => {
      const first = await socket.first(watchMessage);
      if (!first) return;
      const silence = drain(socket.rest(noMessage));
      const events = deps.files.watch(agent, toFile(id, first), first.recursive, socket.gone);
      for await (const event of events) await socket.send(event);
      socket.close(1000);
      await silence;
    });
  });
  return app;
}

/** Any message at all breaks the socket off: `rest` does so. */
async function drain(messages: AsyncIterable<never>): Promise<void> {
  for await (const _ of messages);
}
