import { assertEquals } from "@std/assert";
import { startFixture } from "../testing/fixture.ts";
import { restorePhase } from "./restore.ts";

Deno.test("restore: the create that makes the golden snapshot does not count", async () => {
  await using fixture = startFixture({ pool: 0, timing: { restore: "rpc;dur=9, restore;dur=7" } });
  const { context, fake } = fixture;
  await restorePhase.run(context);
  assertEquals(context.record.values("create_restore").length, 4);
  assertEquals(context.record.values("burst20_wall").length, 1);
  assertEquals(fake.calls("create").length, 1 + 4 + 20);
  const [path] = context.paths.breakdowns();
  assertEquals([path?.call, path?.largest?.name], ["create_restore", "restore"]);
  const [row] = context.record.rows([{ name: "create_restore", unit: "ms" }]);
  assertEquals([row?.note, fake.boxes.size], [null, 0]);
});

Deno.test("restore: a sandbox that was booted is noted", async () => {
  await using fixture = startFixture({ pool: 0, timing: { restore: "rpc;dur=9, boot;dur=7" } });
  await restorePhase.run(fixture.context);
  const [row] = fixture.context.record.rows([{ name: "create_restore", unit: "ms" }]);
  assertEquals(row?.note, "A sandbox was booted, not restored");
});
