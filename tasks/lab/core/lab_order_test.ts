import { assertEquals, assertThrows } from "@std/assert";
import fc from "fast-check";
import { orderScript, quoted } from "./lab_order.ts";

Deno.test("orderScript() runs the command in the project with its variables", () => {
  const script = orderScript({ argv: ["deno", "test", "it's"], env: { A: "b c" } });
  assertEquals(script, "cd /project\nexport A='b c'\nexec 'deno' 'test' 'it'\\''s'\n");
});

Deno.test("orderScript() refuses what no shell takes", () => {
  assertThrows(() => orderScript({ argv: [] }), TypeError);
  assertThrows(() => orderScript({ argv: ["a"], env: { "A=B": "" } }), TypeError);
  assertThrows(() => orderScript({ argv: ["a\0"] }), TypeError);
});

Deno.test("quoted() is one word that the shell reads back as it was", async () => {
  const words = fc.sample(fc.string({ unit: "grapheme" }).filter((w) => !w.includes("\0")), 50);
  const script = words.map((word) => `printf '%s\\0' ${quoted(word)}`).join("\n");
  const { stdout } = await new Deno.Command("sh", { args: ["-c", script] }).output();
  assertEquals(new TextDecoder().decode(stdout).split("\0").slice(0, -1), words);
});
