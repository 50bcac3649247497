import { parse } from "yaml";
import { assert, assertEquals } from "@std/assert";
import { assertError, call } from "./lib/http.ts";
import { sharedSandbox } from "./lib/sandbox.ts";
import { test } from "./lib/test.ts";

const sandbox = sharedSandbox({ template: "minimal" });

interface Operation {
  summary?: string;
  responses: Record<string, unknown>;
  requestBody?: unknown;
}
interface Document {
  openapi: string;
  paths: Record<string, Record<string, Operation>>;
}
const document = async (): Promise<Document> =>
  (await call("GET", "/openapi.json")).json as Document;

/** A request of every operation that means something; the rest is JSON with a path. */
const BODIES: Record<string, unknown> = {
  "/v1/sandboxes": { template: "no-such-template" },
  "/v1/sandboxes/{id}/exec": { cmd: "true" },
  "/v1/sandboxes/{id}/files/move": { path: "/tmp/none", destination: "/tmp/other" },
};

test("The document is OpenAPI 3.1 and the same in JSON and YAML", async () => {
  const json = await document();
  assertEquals(json.openapi, "3.1.0");
  assertEquals(parse((await call("GET", "/openapi.yaml")).text), json);
  for (
    const path of ["/v1/sandboxes", "/v1/sandboxes/{id}/exec", "/v1/sandboxes/{id}/files/write"]
  ) {
    assert(json.paths[path], path);
  }
});

test("Every operation below /v1 needs a key and answers what is documented", async () => {
  const headers = { "content-type": "application/json" };
  for (const [path, operations] of Object.entries((await document()).paths)) {
    if (!path.startsWith("/v1/")) continue;
    for (const [method, operation] of Object.entries(operations)) {
      const name = `${method.toUpperCase()} ${path}`;
      const query = path.includes("/files/") && (method === "get" || path.includes("stream"))
        ? "?path=/tmp/none"
        : "";
      const body = operation.requestBody === undefined
        ? {}
        : { body: JSON.stringify(BODIES[path] ?? { path: "/tmp/none" }) };
      const ask = (id: string, key?: string) =>
        call(method.toUpperCase(), path.replace("{id}", id) + query, {
          ...body,
          headers: { ...headers, ...(key === undefined ? {} : { "x-api-key": key }) },
        });
      assertError(await ask("sb-00000000", "wrn_wrong"), 401, "unauthorized");
      for (const id of path.includes("{id}") ? ["sb-00000000", sandbox().id] : [""]) {
        if (method === "delete" && id === sandbox().id) continue;
        const answer = await ask(id);
        assert(String(answer.status) in operation.responses, `${name}: ${answer.status}`);
        assert(answer.status < 500, `${name}: ${answer.text}`);
        if (id === "sb-00000000" && answer.status !== 426) {
          assert([400, 404, 415].includes(answer.status), `${name}: ${answer.status}`);
        }
      }
    }
  }
});

test("Health, readiness and the reference page answer without a key and without other hosts", async () => {
  const headers = { "x-api-key": "" };
  assertEquals((await call("GET", "/health", { headers })).json, { status: "ok" });
  const ready = await call("GET", "/ready", { headers });
  assertEquals([ready.status, (ready.json as { ready: boolean }).ready], [200, true]);
  const page = await call("GET", "/docs", { headers });
  assertEquals(page.status, 200);
  const links = [...page.text.matchAll(/(?:src|href)="([^"]+)"/g)].map(([, link]) => link ?? "");
  assert(links.length > 0);
  for (const link of links) {
    if (link.startsWith("data:")) continue;
    const url = new URL(link, "http://platform.test/docs");
    assertEquals(url.host, "platform.test", link);
    assertEquals((await call("GET", url.pathname, { headers })).status, 200, link);
  }
  assertError(await call("GET", "/v1/no-such-route"), 404, "not_found");
  assertError(await call("PATCH", "/v1/sandboxes"), 405, "method_not_allowed");
});
