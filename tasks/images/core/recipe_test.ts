import { assertEquals, assertThrows } from "@std/assert";
import { parseRecipe } from "./recipe.ts";

const BASE = {
  name: "base",
  description: "Debian",
  kind: "debian",
  suite: "bookworm",
  disk_mb: 8192,
  packages: ["bash", "g++", "libstdc++6"],
};

Deno.test("parseRecipe() reads both kinds", () => {
  assertEquals(parseRecipe("f", JSON.stringify(BASE)).kind, "debian");
  const minimal = { name: "minimal", description: "x", kind: "busybox", disk_mb: 4096 };
  assertEquals(parseRecipe("f", JSON.stringify(minimal)), minimal as never);
});

Deno.test("parseRecipe() names the file and the field", () => {
  const bad: [object, string][] = [
    [{ ...BASE, name: "../x" }, "name"],
    [{ ...BASE, disk_mb: 1 }, "disk_mb"],
    [{ ...BASE, disk_mb: 1.5 }, "disk_mb"],
    [{ ...BASE, packages: ["--option"] }, "packages.0"],
    [{ ...BASE, packages: [] }, "packages"],
    [{ ...BASE, npm: "latest" }, "npm"],
    [{ ...BASE, suite: "a/b" }, "suite"],
    [{ ...BASE, kind: "other" }, "kind"],
    [{ ...BASE, more: 1 }, "more"],
  ];
  for (const [recipe, field] of bad) {
    const error = assertThrows(() => parseRecipe("a/template.json", JSON.stringify(recipe)));
    const { message } = error as TypeError;
    assertEquals(message.includes("a/template.json") && message.includes(field), true, message);
  }
  assertThrows(() => parseRecipe("a/template.json", "{"), TypeError, "not JSON");
});
