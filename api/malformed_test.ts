import { assert, assertEquals } from "@std/assert";
import { ERROR_CODES, isErrorCode } from "@wrenn/common";
import { TEST_KEY } from "./testing/fake_services.ts";
import { MALFORMED, type MalformedCase, malformedRequest } from "./testing/malformed.ts";
import { TestApp } from "./testing/test_app.ts";

/** What the wire shows for a case, or a sentence about what is wrong with it. */
async function fault(test: MalformedCase, response: Response): Promise<string | undefined> {
  const text = await response.text();
  let body: { error?: { code?: unknown; message?: unknown } };
  try {
    body = JSON.parse(text);
  } catch {
    return `${response.status} without JSON: ${text.slice(0, 100)}`;
  }
  const { code, message } = body.error ?? {};
  if (Object.keys(body).join() !== "error" || typeof code !== "string" || !isErrorCode(code)) {
    return `no error of ours: ${text.slice(0, 200)}`;
  }
  if (typeof message !== "string" || message.length === 0 || message.length > 500) {
    return `no message: ${text.slice(0, 200)}`;
  }
  if (!test.codes.includes(code)) return `code '${code}' (${message})`;
  if (ERROR_CODES[code].http !== response.status) return `status ${response.status} for '${code}'`;
  return undefined;
}

async function replay(send: (test: MalformedCase) => Promise<Response>): Promise<void> {
  const faults: string[] = [];
  for (const test of MALFORMED) {
    const wrong = await fault(test, await send(test));
    if (wrong !== undefined) faults.push(`${test.name}: ${wrong}`);
  }
  assertEquals(faults, []);
}

Deno.test("malformed requests are a large table with names of their own", () => {
  assert(MALFORMED.length >= 100);
  assertEquals(new Set(MALFORMED.map((t) => t.name)).size, MALFORMED.length);
  assert(MALFORMED.every((t) => t.codes.every((c) => ERROR_CODES[c].http < 500)));
});

Deno.test("every malformed request is answered with a code of the table", async () => {
  await using app = new TestApp();
  const id = await app.create();
  await replay((test) =>
    app.app.fetch(malformedRequest(test, { base: "http://api.test", key: TEST_KEY, id }))
  );
});

Deno.test("every malformed request is answered over a socket, and the server goes on", async () => {
  await using app = new TestApp();
  const base = `http://${await app.listen()}`;
  const id = await app.create();
  using client = Deno.createHttpClient({});
  await replay((test) => fetch(malformedRequest(test, { base, key: TEST_KEY, id }), { client }));
  const health = await fetch(`${base}/health`, { client });
  assertEquals(await health.json(), { status: "ok" });
});
