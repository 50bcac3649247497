/**
 * Errors of the guest agent as ours. A guest may be hostile: only codes that a guest can have a say in come
 * through, and texts are cut.
 */
import { Code, ConnectError } from "@connectrpc/connect";
import { CODE_HEADER, type ErrorCode, isErrorCode, WrennError } from "@wrenn/common";

/** Codes that a guest may answer with. Everything else becomes `guest_unavailable`. */
const GUEST_CODES: ReadonlySet<ErrorCode> = new Set<ErrorCode>([
  "already_exists",
  "command_not_found",
  "file_not_found",
  "invalid_path",
  "invalid_request",
  "invalid_user",
  "is_directory",
  "no_space",
  "not_directory",
  "payload_too_large",
  "permission_denied",
  "process_not_found",
  "range_not_satisfiable",
  "sandbox_paused",
  "too_many_requests",
]);
const MAX_MESSAGE = 500;

/** What a bare "not found" means depends on the call. */
export type NotFoundCode = "file_not_found" | "process_not_found";

/** The error of an RPC to the guest. `signal` is the caller's: an abort of it is `canceled`. */
export function fromGuestRpc(
  error: unknown,
  notFound: NotFoundCode,
  signal?: AbortSignal,
): WrennError {
  if (error instanceof WrennError) return error;
  if (signal?.aborted) return canceled(signal);
  const connect = ConnectError.from(error);
  return guestError(
    connect.metadata.get(CODE_HEADER),
    byConnectCode(connect, notFound),
    connect.rawMessage,
    error,
  );
}

/** The error of a response of the guest's `/files`: `{code, message}` and perhaps the header `wrenn-code`. */
export async function fromGuestResponse(response: Response): Promise<WrennError> {
  const text = await readText(response);
  const message = fieldOf(text, "message") ?? `HTTP ${response.status}`;
  return guestError(
    response.headers.get(CODE_HEADER),
    byStatus(response.status, message),
    message,
    text,
  );
}

/** The error of a call of the guest agent by datagram: JSON `{code, message}`. */
export function fromGuestAnswer(status: number, body: Uint8Array): WrennError {
  const text = new TextDecoder().decode(body);
  const message = fieldOf(text, "message") ?? `Status ${status}`;
  return guestError(fieldOf(text, "code") ?? null, byStatus(status, message), message, text);
}

/** The error of a `fetch` to the guest that got no response, or lost it on the way. */
export function fromGuestFetch(error: unknown, signal?: AbortSignal): WrennError {
  if (error instanceof WrennError) return error;
  if (signal?.aborted) return canceled(signal);
  return unavailable(error);
}

/** The caller has gone. Keeps the reason when it is one of ours. */
export function canceled(signal: AbortSignal): WrennError {
  const reason: unknown = signal.reason;
  if (reason instanceof WrennError) return reason;
  return new WrennError("canceled", "Request canceled", { cause: reason });
}

/** The guest agent cannot be reached or does not speak as it should. */
export function unavailable(cause: unknown): WrennError {
  return new WrennError("guest_unavailable", "Guest agent does not answer", { cause });
}

function guestError(
  named: string | null,
  otherwise: ErrorCode | undefined,
  message: string,
  cause: unknown,
): WrennError {
  const code = named !== null && isErrorCode(named) ? named : otherwise;
  if (code === undefined || !GUEST_CODES.has(code)) return unavailable(cause);
  return new WrennError(code, message.slice(0, MAX_MESSAGE), { cause });
}

function byConnectCode(error: ConnectError, notFound: NotFoundCode): ErrorCode | undefined {
  switch (error.code) {
    case Code.NotFound:
      return notFound;
    case Code.InvalidArgument:
      // Connect reports broken framing with the same code; a guest that breaks it is not to be believed.
      return error.rawMessage.startsWith("protocol error") ? undefined : "invalid_request";
    case Code.Unauthenticated:
      return /user/i.test(error.rawMessage) ? "invalid_user" : undefined;
    case Code.PermissionDenied:
      return "permission_denied";
    case Code.AlreadyExists:
      return "already_exists";
    case Code.ResourceExhausted:
      return error.rawMessage.startsWith("message size") ? undefined : "no_space";
    default:
      return undefined;
  }
}

function byStatus(status: number, message: string): ErrorCode | undefined {
  switch (status) {
    case 400:
      return /is a directory/.test(message) ? "is_directory" : "invalid_request";
    case 401:
      return /user/i.test(message) ? "invalid_user" : undefined;
    case 403:
      return "permission_denied";
    case 404:
      return "file_not_found";
    case 413:
      return "payload_too_large";
    case 416:
      return "range_not_satisfiable";
    case 507:
      return "no_space";
    default:
      return undefined;
  }
}

/** A text field of a JSON object. */
function fieldOf(json: string, name: string): string | undefined {
  try {
    const body: unknown = JSON.parse(json);
    if (typeof body !== "object" || body === null) return undefined;
    const field = (body as Record<string, unknown>)[name];
    return typeof field === "string" ? field : undefined;
  } catch {
    // Not JSON: the status says enough.
    return undefined;
  }
}

/** The first 16 KiB of a body; what breaks on the way ends it. */
async function readText(response: Response): Promise<string> {
  if (response.body === null) return "";
  const decoder = new TextDecoder();
  let text = "";
  try {
    for await (const chunk of response.body) {
      text += decoder.decode(chunk, { stream: true });
      if (text.length > 16 * 1024) break;
    }
  } catch {
    // The status and the header were answered; the text was only to explain them.
  }
  return text;
}
