/**
 * What clients send by mistake or on purpose, over all routes, each with the answer it must get. The tests of this
 * part replay it against the app, the end-to-end tests against a running platform.
 *
 * @module
 */
import type { ErrorCode } from "@wrenn/common";
import { MALFORMED_BODIES } from "./malformed_bodies.ts";
import { MALFORMED_FILES } from "./malformed_files.ts";
import { MALFORMED_HEADS } from "./malformed_heads.ts";

/** One request and the error it must be answered with. */
export interface MalformedCase {
  readonly name: string;
  readonly method: string;
  /** Path and query; `{id}` stands for a running sandbox, `{missing}` for a well-formed id of none. */
  readonly path: string;
  /** Headers beside the key; an empty `x-api-key` sends none. */
  readonly headers?: Readonly<Record<string, string>>;
  /** JSON value; use `body` for raw text. */
  readonly json?: unknown;
  readonly body?: string | Uint8Array<ArrayBuffer>;
  /** Any of these codes, and its HTTP status from the table. */
  readonly codes: readonly ErrorCode[];
}

/** Where a case is sent. */
export interface MalformedTarget {
  /** `http://host:port` */
  readonly base: string;
  readonly key: string;
  /** A running sandbox of the key's team. */
  readonly id: string;
}

/** A well-formed id that belongs to no sandbox. */
export const MISSING_ID = "sb-00000000";

/** All cases. */
export const MALFORMED: readonly MalformedCase[] = [
  ...MALFORMED_HEADS,
  ...MALFORMED_BODIES,
  ...MALFORMED_FILES,
];

/** The request of a case. */
export function malformedRequest(test: MalformedCase, target: MalformedTarget): Request {
  const headers = new Headers({ "x-api-key": target.key });
  if (test.json !== undefined) headers.set("content-type", "application/json");
  for (const [name, value] of Object.entries(test.headers ?? {})) {
    if (value === "") headers.delete(name);
    else headers.set(name, value);
  }
  const path = test.path.replaceAll("{id}", target.id).replaceAll("{missing}", MISSING_ID);
  const body = test.json === undefined ? test.body : JSON.stringify(test.json);
  return new Request(target.base + path, {
    method: test.method,
    headers,
    ...(body === undefined ? {} : { body }),
  });
}
