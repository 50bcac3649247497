import { assert, assertEquals, assertThrows } from "@std/assert";
import * as fc from "fast-check";
import { WrennError } from "@wrenn/common/errors";
import { baseName, joinPath, normalize, parentOf, resolvePath } from "./paths.ts";

Deno.test("resolvePath() follows the wire's rule", () => {
  const cases: [string, string | undefined, string][] = [
    ["/a/b", undefined, "/a/b"],
    ["/a/../b/./c//d/", undefined, "/b/c/d"],
    ["~", undefined, "/home/user"],
    ["~/x", undefined, "/home/user/x"],
    ["x/y", "/work", "/home/user/x/y"],
    ["../../../etc", undefined, "/etc"],
    ["", undefined, "/home/user"],
    ["", "/work", "/work"],
    ["%2e%2e%2f", undefined, "/home/user/%2e%2e%2f"],
    ["a\\b", undefined, "/home/user/a\\b"],
  ];
  for (const [path, workdir, expected] of cases) {
    assertEquals(resolvePath(path, "/home/user", workdir), expected);
  }
});

Deno.test("resolvePath() refuses NUL, other homes and what is too long", () => {
  for (const path of ["a\0b", "~bob/x", "/" + "a/".repeat(2100), "/" + "é".repeat(128)]) {
    const error = assertThrows(() => resolvePath(path, "/root"), WrennError);
    assertEquals(error.code, "invalid_path");
  }
});

Deno.test("normalize() gives an absolute path that stays as it is", () => {
  const part = fc.oneof(fc.constantFrom("..", ".", "", "~"), fc.string());
  fc.assert(fc.property(fc.array(part), (parts) => {
    const path = normalize(parts.join("/"));
    assert(path.startsWith("/"));
    assert(!path.split("/").includes("..") && !path.includes("//"));
    assertEquals(normalize(path), path);
  }));
});

Deno.test("parentOf() and baseName() are put together by joinPath()", () => {
  for (const path of ["/a", "/a/b", "/x/y/z"]) {
    assertEquals(joinPath(parentOf(path), baseName(path)), path);
  }
  assertEquals([parentOf("/"), baseName("/")], ["/", "/"]);
});
