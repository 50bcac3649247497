/** From the platform's error answers to the SDK's classes. */
import {
  AuthenticationError,
  ConflictError,
  InvalidRequestError,
  NoSpaceError,
  NotFoundError,
  RateLimitError,
  TimeoutError,
  UnavailableError,
  WrennError,
} from "../errors.ts";

/** What an error answer says. */
export interface ErrorAnswer {
  /** HTTP status. */
  readonly status: number;
  /** The body as text, any shape. */
  readonly body: string;
  /** Header `x-request-id`. */
  readonly requestId?: string | undefined;
  /** Header `retry-after` in milliseconds. */
  readonly retryAfterMs?: number | undefined;
}

/** HTTP status of the codes that a WebSocket message can carry. */
const STATUS_OF_CODE: Readonly<Record<string, number>> = {
  invalid_request: 400,
  invalid_json: 400,
  invalid_path: 400,
  invalid_user: 400,
  is_directory: 400,
  not_directory: 400,
  command_not_found: 400,
  unauthorized: 401,
  forbidden: 403,
  permission_denied: 403,
  not_found: 404,
  sandbox_not_found: 404,
  file_not_found: 404,
  process_not_found: 404,
  template_not_found: 404,
  snapshot_not_found: 404,
  request_timeout: 408,
  conflict: 409,
  already_exists: 409,
  sandbox_not_running: 409,
  sandbox_paused: 409,
  snapshot_corrupt: 409,
  snapshot_incompatible: 409,
  payload_too_large: 413,
  too_many_requests: 429,
  guest_unavailable: 502,
  capacity_exhausted: 503,
  host_unavailable: 503,
  unavailable: 503,
  timeout: 504,
  no_space: 507,
};

/** The error for an answer whose status is 400 or more. */
export function errorFromAnswer(answer: ErrorAnswer): WrennError {
  const { code, message } = readBody(answer);
  return makeError(answer.status, code, message, answer.requestId, answer.retryAfterMs);
}

/** The error for `{type:"error", error:{code, message}}` on a WebSocket. */
export function errorFromMessage(error: unknown): WrennError {
  const { code, message } = readError(error) ??
    { code: "invalid_response", message: "The platform sent an error without a code" };
  return makeError(STATUS_OF_CODE[code], code, message);
}

function makeError(
  status: number | undefined,
  code: string,
  message: string,
  requestId?: string,
  retryAfterMs?: number,
): WrennError {
  const options = { status, requestId };
  switch (status) {
    case 400:
    case 405:
    case 411:
    case 413:
    case 414:
    case 415:
    case 416:
    case 422:
    case 426:
    case 431:
      return new InvalidRequestError(code, message, options);
    case 401:
    case 403:
      return new AuthenticationError(code, message, options);
    case 404:
      return new NotFoundError(code, message, options);
    case 409:
      return new ConflictError(code, message, options);
    case 408:
    case 504:
      return new TimeoutError(code, message, options);
    case 429:
      return new RateLimitError(code, message, options, retryAfterMs);
    case 502:
    case 503:
      return new UnavailableError(code, message, options);
    case 507:
      return new NoSpaceError(code, message, options);
    default:
      return new WrennError(code, message, options);
  }
}

function readBody(answer: ErrorAnswer): { code: string; message: string } {
  let parsed: unknown;
  try {
    parsed = JSON.parse(answer.body);
  } catch {
    parsed = undefined; // a proxy's page, not the platform's answer
  }
  const error = isRecord(parsed) ? readError(parsed["error"]) : undefined;
  const said = answer.body.trim().slice(0, 200);
  return error ?? {
    code: `http_${answer.status}`,
    message: `The server answered ${answer.status}${said === "" ? "" : `: ${said}`}`,
  };
}

function readError(error: unknown): { code: string; message: string } | undefined {
  if (!isRecord(error)) return undefined;
  const { code, message } = error;
  return typeof code === "string" && typeof message === "string" ? { code, message } : undefined;
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
