import { assertEquals, assertThrows } from "@std/assert";
import { parseBenchOptions } from "./options.ts";

Deno.test("parseBenchOptions() reads what is given and fills in the rest", () => {
  assertEquals(parseBenchOptions([]), { template: "base", creates: 6 });
  const args = ["--json", "a.json", "--url", "http://x", "--key", "k", "--creates", "2"];
  assertEquals(parseBenchOptions(args), {
    json: "a.json",
    url: "http://x",
    key: "k",
    template: "base",
    creates: 2,
  });
});

Deno.test("parseBenchOptions() refuses what makes no sense", () => {
  assertThrows(() => parseBenchOptions(["--url", "http://x"]), TypeError, "together");
  assertThrows(() => parseBenchOptions(["--creates", "0"]), TypeError, "creates");
  assertThrows(() => parseBenchOptions(["--nonsense"]), TypeError);
});
