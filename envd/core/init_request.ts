/** The body of `POST /init`, checked. */
import { WrennError } from "@wrenn/common/errors";

/** What the platform tells a guest. Absent fields leave things as they are. */
export interface InitRequest {
  /** Environment of every new process; replaces the one before. */
  envVars: Record<string, string> | undefined;
  /** Token that callers must show from here on. */
  accessToken: string | undefined;
  /** Wall clock of the platform, nanoseconds since the epoch. */
  timestampNs: bigint | undefined;
  /** User of requests that name none. */
  defaultUser: string | undefined;
  /** Directory of requests with an empty path. */
  defaultWorkdir: string | undefined;
  /** Name of the machine. */
  hostname: string | undefined;
  /** Random bytes for the kernel. */
  entropy: Uint8Array<ArrayBuffer> | undefined;
  /** Id of this life of the sandbox. */
  lifecycleId: string | undefined;
  /** 32 hex digits for /etc/machine-id. */
  machineId: string | undefined;
  /** UUID for the boot id. */
  bootId: string | undefined;
  /** The guest is a copy. */
  fork: boolean;
  /** Answer with what was done. */
  report: boolean;
}

const MAX_ENTROPY_BYTES = 4096;
const HOSTNAME = /^[A-Za-z0-9]([A-Za-z0-9.-]{0,62}[A-Za-z0-9])?$/;
const MACHINE_ID = /^[0-9a-f]{32}$/;
const UUID = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;
const TIMESTAMP = /^(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?(Z|[+-]\d\d:\d\d)$/i;

/**
 * Reads the body. Unknown fields are ignored: E2B's platform sends more than a guest needs.
 *
 * @throws {WrennError} `invalid_json` or `invalid_request` naming the field.
 */
export function parseInitRequest(text: string): InitRequest {
  const body = text.trim() === "" ? {} : parseObject(text);
  return {
    envVars: envVars(body["envVars"]),
    accessToken: stringField(body, "accessToken") || undefined,
    timestampNs: timestampNs(stringField(body, "timestamp")),
    defaultUser: stringField(body, "defaultUser") || undefined,
    defaultWorkdir: stringField(body, "defaultWorkdir") || undefined,
    hostname: hostname(stringField(body, "hostname")),
    entropy: entropy(stringField(body, "entropy")),
    lifecycleId: stringField(body, "lifecycleID") || undefined,
    machineId: shaped(body, "machineId", MACHINE_ID),
    bootId: shaped(body, "bootId", UUID),
    fork: body["fork"] === true,
    report: body["report"] === true,
  };
}

/** Nanoseconds since the epoch of an RFC 3339 time, to the last digit. */
export function timestampNs(text: string | undefined): bigint | undefined {
  if (text === undefined || text === "") return undefined;
  const match = TIMESTAMP.exec(text);
  const ms = match ? Date.parse(`${match[1]}${match[3]}`) : NaN;
  if (!match || Number.isNaN(ms)) {
    throw new WrennError("invalid_request", "Field 'timestamp' is not an RFC 3339 time");
  }
  return BigInt(ms) * 1_000_000n + BigInt((match[2] ?? "").padEnd(9, "0"));
}

function parseObject(text: string): Record<string, unknown> {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw new WrennError("invalid_json", "Body is not JSON", { cause });
  }
  if (typeof value === "object" && value !== null && !Array.isArray(value)) {
    return value as Record<string, unknown>;
  }
  throw new WrennError("invalid_request", "Body is not an object");
}

function stringField(body: Record<string, unknown>, name: string): string | undefined {
  const value = body[name];
  if (value === undefined || value === null) return undefined;
  if (typeof value === "string") return value;
  throw new WrennError("invalid_request", `Field '${name}' is not a string`);
}

function shaped(
  body: Record<string, unknown>,
  name: string,
  shape: RegExp,
): string | undefined {
  const value = stringField(body, name);
  if (!value) return undefined;
  if (shape.test(value)) return value;
  throw new WrennError("invalid_request", `Field '${name}' has another shape`);
}

function envVars(value: unknown): Record<string, string> | undefined {
  if (value === undefined || value === null) return undefined;
  if (typeof value !== "object" || Array.isArray(value)) {
    throw new WrennError("invalid_request", "Field 'envVars' is not an object");
  }
  for (const [name, text] of Object.entries(value)) {
    if (typeof text !== "string" || name === "" || /[=\0]/.test(name) || text.includes("\0")) {
      throw new WrennError(
        "invalid_request",
        "Field 'envVars' has a name or value that is not valid",
      );
    }
  }
  return { ...value } as Record<string, string>;
}

function hostname(text: string | undefined): string | undefined {
  if (!text) return undefined;
  if (HOSTNAME.test(text)) return text;
  throw new WrennError("invalid_request", "Field 'hostname' is not a host name");
}

function entropy(text: string | undefined): Uint8Array<ArrayBuffer> | undefined {
  if (!text) return undefined;
  try {
    return Uint8Array.fromBase64(text).slice(0, MAX_ENTROPY_BYTES);
  } catch (cause) {
    throw new WrennError("invalid_request", "Field 'entropy' is not base64", { cause });
  }
}
