import { assertEquals, assertRejects } from "@std/assert";
import { Turns } from "./turns.ts";

Deno.test("Turns performs work one after the other, also when some of it fails", async () => {
  const turns = new Turns();
  const seen: string[] = [];
  const work = (name: string, fails: boolean) => async (): Promise<string> => {
    seen.push(`${name} begins`);
    await Promise.resolve();
    seen.push(`${name} ends`);
    if (fails) throw new Error(name);
    return name;
  };
  const [a, b, c] = [
    turns.take(work("a", false)),
    turns.take(work("b", true)),
    turns.take(work("c", false)),
  ];
  assertEquals(await a, "a");
  await assertRejects(() => b, Error, "b");
  assertEquals(await c, "c");
  assertEquals(seen, ["a", "b", "c"].flatMap((name) => [`${name} begins`, `${name} ends`]));
});
