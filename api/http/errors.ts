/** Every error as `{"error":{"code","message"}}`. */
import { HTTPException } from "@hono/hono/http-exception";
import { type ErrorCode, isErrorCode, WrennError } from "@wrenn/common";
import type { z } from "zod";

const MAX_MESSAGE = 500;

/** The JSON that stands for an error. */
export interface ErrorBody {
  readonly error: { readonly code: ErrorCode; readonly message: string };
}

/** Any error as the wire shows it. Internal causes stay out of it. */
export function errorBody(error: WrennError): ErrorBody {
  return { error: { code: error.code, message: error.message.slice(0, MAX_MESSAGE) } };
}

/** The response for an error. */
export function errorResponse(error: WrennError): Response {
  const headers = new Headers();
  if (error.status === 401) headers.set("www-authenticate", "Bearer");
  if (error.status === 503 || error.status === 429) headers.set("retry-after", "1");
  if (error.code === "upgrade_required") {
    headers.set("upgrade", "websocket");
    headers.set("connection", "upgrade");
  }
  return Response.json(errorBody(error), { status: error.status, headers });
}

/** Whatever a handler threw as a WrennError. */
export function toWrennError(error: unknown): WrennError {
  if (error instanceof HTTPException) {
    switch (error.status) {
      case 400:
        return new WrennError("invalid_json", "Request body is not valid JSON", { cause: error });
      case 413:
        return new WrennError("payload_too_large", "Request body is too large", { cause: error });
      case 415:
        return new WrennError("unsupported_media_type", "Content type is not supported", {
          cause: error,
        });
    }
  }
  return WrennError.from(error);
}

/** An issue as zod reports it. */
type Issue = z.core.$ZodIssue;

/**
 * The error for input that a schema refused: names the first wrong field. A check may choose its code with
 * `params: { code }`. A malformed sandbox id is a sandbox that does not exist.
 *
 * @param target `json`, `query`, `param` or `message`.
 */
export function invalidInput(target: string, issues: readonly Issue[]): WrennError {
  const issue = deepest(issues[0]);
  if (!issue) return new WrennError("invalid_request", "Invalid request");
  if (target === "param") {
    return new WrennError("sandbox_not_found", "Sandbox not found: malformed id");
  }
  if (issue.code === "unrecognized_keys") {
    const names = issue.keys.slice(0, 5).map((key) => `'${short(joinPath([...issue.path, key]))}'`);
    const kind = target === "query" ? "query parameter" : "field";
    return new WrennError(
      "invalid_request",
      `Unknown ${kind}${names.length > 1 ? "s" : ""} ${names.join(", ")}`,
    );
  }
  const where = joinPath(issue.path);
  const what = lowerFirst(issue.message.replace(/^Invalid input: /, ""));
  const code = issue.code === "custom" ? issue.params?.code : undefined;
  return new WrennError(
    typeof code === "string" && isErrorCode(code) ? code : "invalid_request",
    where === ""
      ? `Invalid ${target === "json" ? "request body" : target}: ${what}`
      : `Invalid ${target === "query" ? "query parameter" : "field"} '${short(where)}': ${what}`,
  );
}

/** Inside a union the branch that came furthest tells most. */
function deepest(issue: Issue | undefined): Issue | undefined {
  if (issue?.code !== "invalid_union") return issue;
  const branches = issue.errors.flatMap((branch) => branch.slice(0, 1));
  const inner = branches.toSorted((a, b) => b.path.length - a.path.length)[0];
  return inner && inner.path.length > 0
    ? { ...inner, path: [...issue.path, ...inner.path] }
    : issue;
}

function joinPath(path: readonly PropertyKey[]): string {
  return path.reduce<string>((text, part) => {
    if (typeof part === "number") return `${text}[${part}]`;
    return text === "" ? String(part) : `${text}.${String(part)}`;
  }, "");
}

const short = (text: string): string => text.length > 100 ? `${text.slice(0, 100)}...` : text;
const lowerFirst = (text: string): string => text.charAt(0).toLowerCase() + text.slice(1);
