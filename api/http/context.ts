/** What routes work with. */
import { createRoute, OpenAPIHono, z } from "@hono/zod-openapi";
import type { Logger } from "@wrenn/common";
import type { ExecService } from "../services/exec.ts";
import type { FileService } from "../services/files.ts";
import type {
  Principal,
  ReadinessService,
  SandboxService,
  SnapshotService,
} from "../services/types.ts";
import { invalidInput } from "./errors.ts";
import type { ApiLimits } from "./limits.ts";
import type { RequestInfo } from "./server.ts";
import type { SocketRegistry } from "./socket.ts";

export { createRoute, z };

/** Hono environment of every route. */
export interface AppEnv {
  Bindings: { readonly requestId: string; readonly upgrade: RequestInfo["upgrade"] };
  Variables: {
    /** Set by the authentication of `/v1`. */
    who: Principal;
    /** Set by WebSocket routes: settles with the outcome when the session is over. */
    session: Promise<string>;
  };
}

/** Dependencies of the routes. */
export interface RouteDeps {
  readonly sandboxes: SandboxService;
  readonly snapshots: SnapshotService;
  readonly exec: ExecService;
  readonly files: FileService;
  readonly readiness: ReadinessService;
  readonly limits: ApiLimits;
  readonly sockets: SocketRegistry;
  readonly log: Logger;
}

/** A sub-app whose validation failures become errors of ours. */
export function subApp(): OpenAPIHono<AppEnv> {
  return new OpenAPIHono<AppEnv>({
    defaultHook: (result) => {
      if (!result.success) throw invalidInput(result.target, result.error.issues);
    },
  });
}
