/** Swagger UI without a CDN: the page, its start script, and assets out of the npm package. */

/** The page allows nothing but its own origin. */
export const DOCS_HEADERS: Readonly<Record<string, string>> = {
  "content-security-policy":
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; " +
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
  "x-frame-options": "DENY",
  "referrer-policy": "no-referrer",
};

/** HTML of `/docs`. */
export const DOCS_PAGE: string = `<!doctype html>
<html lang="en">
  <head>
    <meta charset="utf-8">
    <meta name="viewport" content="width=device-width, initial-scale=1">
    <title>Wrenn Sandbox API</title>
    <link rel="icon" href="data:,">
    <link rel="stylesheet" href="/docs/swagger-ui.css">
  </head>
  <body>
    <div id="swagger-ui"></div>
    <script src="/docs/swagger-ui-bundle.js"></script>
    <script src="/docs/init.js"></script>
  </body>
</html>
`;

/** Script of `/docs`. */
export const DOCS_SCRIPT: string = `SwaggerUIBundle({
  url: "/openapi.json",
  dom_id: "#swagger-ui",
  deepLinking: true,
  persistAuthorization: false,
  validatorUrl: null,
});
`;

/** Text of one file of swagger-ui-dist, loaded when it is first asked for. */
export async function docsAsset(name: "swagger-ui.css" | "swagger-ui-bundle.js"): Promise<string> {
  const file = name === "swagger-ui.css"
    ? await import("swagger-ui-dist/swagger-ui.css", { with: { type: "text" } })
    : await import("swagger-ui-dist/swagger-ui-bundle.js", { with: { type: "text" } });
  return file.default;
}
