import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { parse } from "yaml";
import { ERROR_CODES, type ErrorCode } from "@wrenn/common";
import { MALFORMED, type MalformedCase } from "../testing/malformed.ts";
import { TestApp } from "../testing/test_app.ts";

interface Operation {
  summary?: string;
  tags?: string[];
  parameters?: { name: string; in: string }[];
  responses: Record<string, { description: string }>;
}
interface Document {
  openapi: string;
  paths: Record<string, Record<string, Operation>>;
  components: { schemas: Record<string, unknown>; securitySchemes: Record<string, unknown> };
}

async function load(t: TestApp): Promise<Document> {
  return await (await t.request("GET", "/openapi.json")).json();
}

const HIDDEN = ["/docs/init.js", "/docs/swagger-ui.css", "/docs/swagger-ui-bundle.js"];

Deno.test("every route stands in the document, with a summary, a tag and its parameters", async () => {
  await using t = new TestApp();
  const document = await load(t);
  const documented = Object.entries(document.paths).flatMap(([path, operations]) =>
    Object.keys(operations).map((method) => `${method.toUpperCase()} ${path}`)
  );
  const routes = t.app.routes.filter((r) => !HIDDEN.includes(r.path))
    .map(({ method, path }) => `${method} ${path.replaceAll(/:(\w+)/g, "{$1}")}`);
  assertEquals(documented.toSorted(), [...new Set(routes)].toSorted());
  for (const [path, operations] of Object.entries(document.paths)) {
    for (const [method, operation] of Object.entries(operations)) {
      const name = `${method} ${path}`;
      assert(operation.summary && operation.tags?.length === 1, name);
      for (const [, parameter] of path.matchAll(/\{(\w+)\}/g)) {
        assert(operation.parameters?.some((p) => p.in === "path" && p.name === parameter), name);
      }
      if (path.startsWith("/v1/")) assert("401" in operation.responses, name);
    }
  }
});

Deno.test("every reference in the document leads somewhere", async () => {
  await using t = new TestApp();
  const document = await load(t);
  assertEquals(document.openapi, "3.1.0");
  const references = new Set<string>();
  JSON.stringify(document, (key, value) => {
    if (key === "$ref") references.add(value);
    return value;
  });
  assert(references.size > 5);
  for (const reference of references) {
    const found = reference.slice(2).split("/")
      .reduce<unknown>((at, part) => (at as Record<string, unknown>)[part], document);
    assert(found !== undefined, reference);
  }
});

Deno.test("every code that a malformed request gets is documented at its route", async () => {
  await using t = new TestApp();
  const document = await load(t);
  const missing = MALFORMED.flatMap((test) => {
    const operation = operationOf(document, test);
    return operation
      ? test.codes.filter((c) => !documents(operation, c)).map((c) => [test.name, c])
      : [];
  });
  assertEquals(missing, []);
});

Deno.test("the document names every code of the table that HTTP can show", async () => {
  await using t = new TestApp();
  const text = JSON.stringify(await load(t));
  for (const code of Object.keys(ERROR_CODES)) assertStringIncludes(text, `"${code}"`);
});

Deno.test("YAML and JSON say the same", async () => {
  await using t = new TestApp();
  const yaml = await t.request("GET", "/openapi.yaml");
  assertEquals(yaml.headers.get("content-type"), "application/yaml");
  assertEquals(parse(await yaml.text()), await load(t));
});

Deno.test("Swagger UI comes from this server alone", async () => {
  await using t = new TestApp();
  const page = await t.request("GET", "/docs");
  const html = await page.text();
  assertStringIncludes(page.headers.get("content-security-policy") ?? "", "default-src 'none'");
  for (const [, url] of html.matchAll(/(?:src|href)="([^"]+)"/g)) {
    if (url?.startsWith("data:")) continue;
    const asset = await t.request("GET", url ?? "");
    assertEquals(asset.status, 200, url);
    assert((await asset.text()).length > 50, url);
  }
  assertEquals(/https?:/.test(html), false);
});

Deno.test("health and readiness answer without a key", async () => {
  await using t = new TestApp();
  const get = (path: string): Promise<Response> => t.app.fetch(new Request(`http://x${path}`));
  assertEquals(await (await get("/health")).json(), { status: "ok" });
  assertEquals((await get("/ready")).status, 200);
  t.readiness.state = { ready: false, checks: { database: "ok", agent: "no answer" } };
  const response = await get("/ready");
  assertEquals(response.status, 503);
  assertEquals(await response.json(), {
    ready: false,
    checks: { database: "ok", agent: "no answer" },
  });
});

function operationOf(document: Document, test: MalformedCase): Operation | undefined {
  const path = test.path.split("?")[0]?.replace(/\{missing\}/, "{id}") ?? "";
  return document.paths[path]?.[test.method.toLowerCase()];
}

function documents(operation: Operation, code: ErrorCode): boolean {
  const description = operation.responses[String(ERROR_CODES[code].http)]?.description ?? "";
  return description.includes(`\`${code}\``);
}
