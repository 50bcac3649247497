/** `/files` and `/files/compose`: who, where, then the transfer. */
import { WrennError } from "@wrenn/common/errors";
import { resolvePath } from "../core/paths.ts";
import type { User } from "../core/user_db.ts";
import { composeFiles } from "../files/compose.ts";
import type { GuestState } from "../init/state.ts";
import { requestUser } from "../rpc/request_context.ts";
import { download } from "./download.ts";
import { readText } from "./respond.ts";
import { upload, written } from "./upload.ts";

const MAX_COMPOSE_BODY = 1024 * 1024;

/** Answers `GET /files`. */
export async function getFile(request: Request, url: URL, state: GuestState): Promise<Response> {
  const user = await fileUser(request, url, state);
  return await download(request, resolver(user, state)(url.searchParams.get("path") ?? ""));
}

/** Answers `POST /files`. */
export async function postFiles(request: Request, url: URL, state: GuestState): Promise<Response> {
  const user = await fileUser(request, url, state);
  const path = url.searchParams.get("path") || undefined;
  return Response.json(await upload(request, { user, path, resolve: resolver(user, state) }));
}

/** Answers `POST /files/compose`. */
export async function postCompose(request: Request, state: GuestState): Promise<Response> {
  const body = composeRequest(await readText(request, MAX_COMPOSE_BODY));
  const user = await namedUser(body.username || requestUser(request.headers), state);
  const resolve = resolver(user, state);
  const destination = resolve(body.destination);
  await composeFiles(body.sources.map(resolve), destination, user);
  return Response.json(written(destination, undefined));
}

async function fileUser(request: Request, url: URL, state: GuestState): Promise<User> {
  const name = url.searchParams.get("username") || requestUser(request.headers);
  return await namedUser(name, state);
}

/** The user in the words that E2B's file routes use for an unknown one. */
async function namedUser(name: string | undefined, state: GuestState): Promise<User> {
  try {
    return await state.user(name);
  } catch (error) {
    if (!(error instanceof WrennError) || error.code !== "invalid_user") throw error;
    const wanted = name ?? state.defaultUser ?? "";
    throw new WrennError(
      "invalid_user",
      `error looking up user '${wanted}': user: unknown user ${wanted}`,
      { cause: error },
    );
  }
}

function resolver(user: User, state: GuestState): (path: string) => string {
  return (path) => resolvePath(path, user.home, state.defaultWorkdir);
}

function composeRequest(
  text: string,
): { sources: string[]; destination: string; username: string | undefined } {
  let body: Record<string, unknown>;
  try {
    body = Object(JSON.parse(text));
  } catch (cause) {
    throw new WrennError("invalid_json", "Body is not JSON", { cause });
  }
  const { source_paths: sources, destination, username } = body;
  if (!Array.isArray(sources) || !sources.every((path) => typeof path === "string")) {
    throw new WrennError("invalid_request", "Field 'source_paths' is not a list of paths");
  }
  if (typeof destination !== "string" || destination === "") {
    throw new WrennError("invalid_request", "Field 'destination' is not a path");
  }
  if (username !== undefined && username !== null && typeof username !== "string") {
    throw new WrennError("invalid_request", "Field 'username' is not a string");
  }
  return { sources, destination, username: username ?? undefined };
}
