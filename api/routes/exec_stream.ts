/** `WS /v1/sandboxes/{id}/exec/stream`: a command with its input and output as they come. */
import type { OpenAPIHono } from "@hono/zod-openapi";
import { Utf8Splitter } from "../core/utf8_splitter.ts";
import { type AppEnv, createRoute, type RouteDeps, subApp } from "../http/context.ts";
import { serveSocket } from "../http/session.ts";
import type { JsonSocket } from "../http/socket.ts";
import type { ExecOutput, ExecService } from "../services/exec.ts";
import type { OpenSandbox } from "../services/types.ts";
import { inputSchema, startSchema } from "./command_shape.ts";

import { errors, GUEST_ERRORS, sandboxId, sandboxParams } from "./schemas.ts";

const DESCRIPTION = `
A WebSocket of JSON text messages. The key goes in the \`X-API-Key\` header of the handshake.

The client's first message is the command (schema \`ExecStart\`) and must come within 10 seconds:
\`{"cmd":"bash","args":["-l"],"stdin":true,"pty":{"cols":80,"rows":24}}\`.

The server then sends

- \`{"type":"start","pid":42}\`
- \`{"type":"stdout"|"stderr"|"pty","data":"..."}\`; with \`"encoding":"base64"\` when the bytes are not UTF-8.
  Characters are never cut in two.
- \`{"type":"exit","exit_code":0,"timed_out":false,"duration_ms":12}\` and closes with 1000
- \`{"type":"error","error":{"code":"...","message":"..."}}\` and closes: 4400 for a malformed message, 4408 without a
  first message, 1009 for a message over 1 MiB or more than 16 MiB of input that the command does not read,
  1011 for a fault of the platform, 1000 for everything else

The client may send (schema \`ExecInput\`)

- \`{"type":"stdin","data":"...","encoding":"base64"?}\`, \`{"type":"stdin_close"}\`
- \`{"type":"signal","signal":"SIGINT"}\` (or a number)
- \`{"type":"resize","cols":100,"rows":30}\`

A client that reads slowly slows the command down. The process is killed when the client leaves.
`.trim();

const route = createRoute({
  method: "get",
  path: "/v1/sandboxes/{id}/exec/stream",
  tags: ["exec"],
  summary: "Run a command with streams (WebSocket)",
  description: DESCRIPTION,
  request: { params: sandboxParams },
  responses: {
    101: { description: "Switching to WebSocket" },
    ...errors(...GUEST_ERRORS, "upgrade_required"),
  },
});

/** The route. */
export function execStreamRoutes(deps: RouteDeps): OpenAPIHono<AppEnv> {
  const app = subApp();
  app.openapi(route, (c) => {
    const id = sandboxId(c.req.valid("param"));
    return serveSocket(
      c,
      deps,
      () => deps.exec.open(c.var.who, id),
      (socket, open) => runSession(socket, open, deps.exec),
    );
  });
  return app;
}

async function runSession(socket: JsonSocket, open: OpenSandbox, exec: ExecService): Promise<void> {
  const start = await socket.first(startSchema);
  if (!start) return;
  const format = new OutputFormat();
  try {
    const outputs = exec.stream(open, start, socket.rest(inputSchema), socket.gone);
    for await (const output of outputs) {
      for (const message of format.messages(output)) await socket.send(message);
    }
  } catch (error) {
    for (const message of format.rest()) await socket.send(message);
    throw error;
  }
}

type Message = Readonly<Record<string, unknown>>;

/** Outputs as messages, with one splitter per stream. */
class OutputFormat {
  readonly #splitters = {
    stdout: new Utf8Splitter(),
    stderr: new Utf8Splitter(),
    pty: new Utf8Splitter(),
  };

  messages(output: ExecOutput): Message[] {
    switch (output.type) {
      case "start":
        return [{ type: "start", pid: output.pid }];
      case "exit": {
        const { exitCode, timedOut, durationMs } = output;
        const exit = { type: "exit", exit_code: exitCode, timed_out: timedOut };
        return [...this.rest(), { ...exit, duration_ms: durationMs }];
      }
      default: {
        const piece = this.#splitters[output.type].push(output.data);
        return piece ? [toMessage(output.type, piece)] : [];
      }
    }
  }

  /** Bytes that waited for the rest of their character. */
  rest(): Message[] {
    return (["stdout", "stderr", "pty"] as const).flatMap((type) => {
      const piece = this.#splitters[type].end();
      return piece ? [toMessage(type, piece)] : [];
    });
  }
}

function toMessage(type: string, piece: { data: string; encoding: string }): Message {
  return piece.encoding === "base64"
    ? { type, data: piece.data, encoding: "base64" }
    : { type, data: piece.data };
}
