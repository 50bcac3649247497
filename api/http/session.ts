/** From a WebSocket request to a served session: checks first, then the upgrade, then the work. */
import type { Context } from "@hono/hono";
import type { AppEnv, RouteDeps } from "./context.ts";
import { WrennError } from "@wrenn/common";
import { upgradedResponse } from "./raw_socket.ts";
import { CLOSE, JsonSocket, requireUpgrade } from "./socket.ts";

/**
 * Serves one WebSocket. What `prepare` throws is a plain HTTP error, as the upgrade has not happened yet; what
 * `serve` throws goes to the client as an `error` message before the close.
 *
 * @param prepare Checks that need no socket, like finding the sandbox.
 * @param serve The session, until it returns.
 */
export async function serveSocket<T>(
  c: Context<AppEnv>,
  deps: RouteDeps,
  prepare: () => Promise<T>,
  serve: (socket: JsonSocket, prepared: T) => Promise<void>,
): Promise<Response> {
  requireUpgrade(c.req.raw);
  const prepared = await prepare();
  const { upgrade } = c.env;
  if (!upgrade) throw new WrennError("upgrade_required", "This connection cannot be upgraded");
  const socket = new JsonSocket(await upgrade(), deps.limits);
  deps.sockets.add(socket);
  const session = async (): Promise<string> => {
    try {
      await serve(socket, prepared);
      const outcome = socket.gone.aborted ? "closed by client" : "ok";
      socket.close(CLOSE.done);
      return outcome;
    } catch (error) {
      const known = socket.fail(error);
      if (known.code === "internal") {
        deps.log.error("WebSocket session failed", {
          request_id: c.env.requestId,
          error: known.cause ?? known,
        });
      }
      return known.code;
    }
  };
  c.set("session", session());
  return upgradedResponse();
}
