/** Every error code of the platform with its HTTP status and its Connect code: the one table. */
import { Code } from "@connectrpc/connect";

/** A stable error code. */
export type ErrorCode =
  | "invalid_request"
  | "invalid_json"
  | "invalid_path"
  | "invalid_user"
  | "is_directory"
  | "not_directory"
  | "command_not_found"
  | "unauthorized"
  | "forbidden"
  | "permission_denied"
  | "not_found"
  | "sandbox_not_found"
  | "file_not_found"
  | "process_not_found"
  | "template_not_found"
  | "snapshot_not_found"
  | "method_not_allowed"
  | "request_timeout"
  | "conflict"
  | "already_exists"
  | "sandbox_not_running"
  | "sandbox_paused"
  | "snapshot_corrupt"
  | "snapshot_incompatible"
  | "payload_too_large"
  | "unsupported_media_type"
  | "range_not_satisfiable"
  | "upgrade_required"
  | "too_many_requests"
  | "headers_too_large"
  | "canceled"
  | "internal"
  | "guest_unavailable"
  | "capacity_exhausted"
  | "host_unavailable"
  | "unavailable"
  | "timeout"
  | "no_space";

/** How a code shows on the wires. */
export interface ErrorCodeEntry {
  /** HTTP status. */
  readonly http: number;
  /** Connect RPC code. */
  readonly connect: Code;
}

/** Code to wire mapping. */
export const ERROR_CODES: Readonly<Record<ErrorCode, ErrorCodeEntry>> = {
  invalid_request: { http: 400, connect: Code.InvalidArgument },
  invalid_json: { http: 400, connect: Code.InvalidArgument },
  invalid_path: { http: 400, connect: Code.InvalidArgument },
  invalid_user: { http: 400, connect: Code.InvalidArgument },
  is_directory: { http: 400, connect: Code.InvalidArgument },
  not_directory: { http: 400, connect: Code.InvalidArgument },
  command_not_found: { http: 400, connect: Code.InvalidArgument },
  unauthorized: { http: 401, connect: Code.Unauthenticated },
  forbidden: { http: 403, connect: Code.PermissionDenied },
  permission_denied: { http: 403, connect: Code.PermissionDenied },
  not_found: { http: 404, connect: Code.NotFound },
  sandbox_not_found: { http: 404, connect: Code.NotFound },
  file_not_found: { http: 404, connect: Code.NotFound },
  process_not_found: { http: 404, connect: Code.NotFound },
  template_not_found: { http: 404, connect: Code.NotFound },
  snapshot_not_found: { http: 404, connect: Code.NotFound },
  method_not_allowed: { http: 405, connect: Code.Unimplemented },
  request_timeout: { http: 408, connect: Code.DeadlineExceeded },
  conflict: { http: 409, connect: Code.Aborted },
  already_exists: { http: 409, connect: Code.AlreadyExists },
  sandbox_not_running: { http: 409, connect: Code.FailedPrecondition },
  sandbox_paused: { http: 409, connect: Code.FailedPrecondition },
  snapshot_corrupt: { http: 409, connect: Code.DataLoss },
  snapshot_incompatible: { http: 409, connect: Code.FailedPrecondition },
  payload_too_large: { http: 413, connect: Code.ResourceExhausted },
  unsupported_media_type: { http: 415, connect: Code.InvalidArgument },
  range_not_satisfiable: { http: 416, connect: Code.OutOfRange },
  upgrade_required: { http: 426, connect: Code.InvalidArgument },
  too_many_requests: { http: 429, connect: Code.ResourceExhausted },
  headers_too_large: { http: 431, connect: Code.InvalidArgument },
  canceled: { http: 499, connect: Code.Canceled },
  internal: { http: 500, connect: Code.Internal },
  guest_unavailable: { http: 502, connect: Code.Unavailable },
  capacity_exhausted: { http: 503, connect: Code.ResourceExhausted },
  host_unavailable: { http: 503, connect: Code.Unavailable },
  unavailable: { http: 503, connect: Code.Unavailable },
  timeout: { http: 504, connect: Code.DeadlineExceeded },
  no_space: { http: 507, connect: Code.ResourceExhausted },
};

/** True when the text is one of our codes. */
export function isErrorCode(text: string): text is ErrorCode {
  return Object.hasOwn(ERROR_CODES, text);
}
