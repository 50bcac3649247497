/** Which methods a path knows. */

/** Methods of the routes whose pattern matches, in the order of the routes. GET brings HEAD. */
export function allowedMethods(
  routes: readonly { readonly method: string; readonly path: string }[],
  path: string,
): string[] {
  const parts = path.split("/");
  const found = routes.filter((route) => {
    const pattern = route.path.split("/");
    return pattern.length === parts.length &&
      pattern.every((p, i) => p.startsWith(":") ? parts[i] !== "" : p === parts[i]);
  }).map(({ method }) => method);
  return [...new Set(found.flatMap((m) => m === "GET" ? [m, "HEAD"] : [m]))];
}
