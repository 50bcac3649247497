/** Plain HTTP calls, for what the SDK hides. */
import { assertEquals, assertMatch } from "@std/assert";
import { platform } from "./platform.ts";

/** An answer, read to its end. */
export interface Answer {
  readonly status: number;
  readonly headers: Headers;
  readonly text: string;
  /** The body as JSON; undefined when it is none. */
  readonly json: unknown;
}

/** Calls the platform with the key of the run unless `headers` bring another. */
export async function call(method: string, path: string, init: RequestInit = {}): Promise<Answer> {
  const { apiUrl, apiKey } = platform();
  const headers = new Headers(init.headers);
  if (!headers.has("x-api-key")) headers.set("x-api-key", apiKey);
  const response = await fetch(apiUrl + path, { ...init, method, headers, redirect: "manual" });
  const text = await response.text();
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch {
    json = undefined; // not every answer is JSON
  }
  return { status: response.status, headers: response.headers, text, json };
}

/** Calls with a JSON body. */
export function callJson(method: string, path: string, body: unknown): Promise<Answer> {
  const headers = { "content-type": "application/json" };
  return call(method, path, { body: JSON.stringify(body), headers });
}

/** Fails unless the answer is an error of the one shape, with this status and code. */
export function assertError(answer: Answer, status: number, code: string): void {
  const { error } = (answer.json ?? {}) as { error?: { code: string; message: string } };
  assertEquals([answer.status, error?.code], [status, code], answer.text.slice(0, 300));
  assertEquals(Object.keys(answer.json as object), ["error"]);
  assertMatch(error?.message ?? "", /^\S.*[^.]$/s);
}
