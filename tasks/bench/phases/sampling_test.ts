import { assertEquals, assertRejects } from "@std/assert";
import { startFixture } from "../testing/fixture.ts";
import { noteMisses, sampled } from "./sampling.ts";

Deno.test("sampled() counts a failure for the rows that this run left without a sample", async () => {
  await using fixture = startFixture();
  const { context } = fixture;
  await sampled(context, ["pause", "resume"], 4, (index) => {
    context.record.add("pause", index);
    if (index % 2 === 1) throw new Error(`Run ${index}`);
    context.record.add("resume", index);
    return Promise.resolve();
  });
  const rows = context.record.rows([{ name: "pause", unit: "ms" }, { name: "resume", unit: "ms" }]);
  assertEquals(rows.map(({ n, failed, note }) => [n, failed, note]), [[4, 0, null], [
    2,
    2,
    "Run 1",
  ]]);
});

Deno.test("sampled() gives up after three failures in a row", async () => {
  await using fixture = startFixture();
  const { context } = fixture;
  let runs = 0;
  await sampled(context, ["wake"], 100, () => Promise.reject(new Error(`Run ${runs++}`)));
  const [row] = context.record.rows([{ name: "wake", unit: "ms" }]);
  assertEquals([runs, row?.failed], [3, 3]);
  assertEquals(row?.note, "Given up after 3 failures in a row; Run 0");
});

Deno.test("sampled() takes the end of the run for no failure", async () => {
  await using fixture = startFixture();
  const { context, abort } = fixture;
  const work = (): Promise<void> => {
    abort.abort(new Error("Enough"));
    return Promise.reject(new Error("Cut off"));
  };
  await assertRejects(() => sampled(context, ["wake"], 9, work), Error, "Enough");
  assertEquals(context.record.runs("wake"), 0);
});

Deno.test("noteMisses() tells how many creates were not warm", async () => {
  await using fixture = startFixture({ pool: 1, refillMs: 10_000 });
  const { context, fake } = fixture;
  const before = await fake.pool();
  for (let i = 0; i < 3; i++) await context.api.create();
  await noteMisses(context, before, ["create_warm"]);
  const [row] = context.record.rows([{ name: "create_warm", unit: "ms" }]);
  assertEquals(row?.note, "2 creates found no warm machine");
});
