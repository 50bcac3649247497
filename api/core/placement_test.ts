import { assertEquals } from "@std/assert";
import { place } from "./placement.ts";

const host = (n: number, load: number, ...templates: string[]) => ({
  hostId: `host-${n}`,
  load,
  templates,
});

Deno.test("place() takes the least loaded host that has the template", () => {
  const hosts = [host(1, 5, "base"), host(2, 3, "base"), host(3, 0, "minimal")];
  assertEquals(place("base", hosts), { kind: "host", hostId: "host-2" });
});

Deno.test("place() tells which templates there are", () => {
  const hosts = [host(1, 0, "minimal", "base"), host(2, 0, "base")];
  assertEquals(place("python", hosts), { kind: "no_template", known: ["base", "minimal"] });
});

Deno.test("place() tells when there is no host", () => {
  assertEquals(place("base", []), { kind: "no_host" });
});
