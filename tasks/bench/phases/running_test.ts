import { assert, assertEquals } from "@std/assert";
import { startFixture } from "../testing/fixture.ts";
import { execPhase } from "./exec.ts";
import { filesPhase } from "./files.ts";
import { forkPhase } from "./fork.ts";
import { pausePhase } from "./pause.ts";

Deno.test("pause: one sandbox goes to and fro, and runs a command each time", async () => {
  await using fixture = startFixture({ pool: 4, takes: { pause: 10, resume: 30 } });
  const { context, fake } = fixture;
  await pausePhase.run(context);
  const calls = fake.seen.map(({ call }) => call);
  assertEquals(calls.slice(0, 5), ["create", "exec", "pause", "resume", "exec"]);
  assertEquals([fake.calls("create").length, fake.calls("pause").length], [1, 5]);
  const least = (row: string): number => Math.min(...context.record.values(row));
  assert(least("pause") >= 9 && least("resume") >= 28 && least("pause") < 28);
  assertEquals(fake.boxes.size, 0);
});

Deno.test("pause: a sandbox that does not run afterwards is seen", async () => {
  await using fixture = startFixture({ pool: 4 }, { pauses: 2 });
  const { context, fake } = fixture;
  fake.failNext("resume", 500, "internal");
  await pausePhase.run(context);
  const rows = context.record.rows([{ name: "pause", unit: "ms" }, { name: "resume", unit: "ms" }]);
  assertEquals(rows.map(({ n, failed }) => [n, failed]), [[2, 0], [1, 1]]);
});

Deno.test("fork: eight copies that answer, all destroyed, the original too", async () => {
  await using fixture = startFixture({ pool: 4 }, { forks: 2 });
  const { context, fake } = fixture;
  await forkPhase.run(context);
  assertEquals(context.record.values("fork8").length, 2);
  assertEquals([fake.calls("exec").length, fake.calls("delete").length], [1 + 16, 16 + 1]);
  assertEquals(fake.boxes.size, 0);
});

Deno.test("fork: too few copies are a failure, and none stays", async () => {
  await using fixture = startFixture({ pool: 4, forksShort: 1 });
  const { context, fake } = fixture;
  await forkPhase.run(context);
  const [row] = context.record.rows([{ name: "fork8", unit: "ms" }]);
  assertEquals([row?.n, row?.failed, row?.note], [0, 1, "Forking 8 copies gave 7"]);
  assertEquals(fake.boxes.size, 0);
});

Deno.test("fork: a copy that does not answer is a failure", async () => {
  await using fixture = startFixture({ pool: 4 });
  const { context, fake } = fixture;
  context.gauge?.pool().then(() => {});
  const fork = forkPhase.run({
    ...context,
    gauge: {
      pool: () => {
        // Only the copies' commands come after the first look at the pool with a sandbox there.
        if (fake.calls("exec").length === 1) fake.failNext("exec", 503, "guest_unavailable");
        return fake.pool();
      },
    },
  });
  await fork;
  const [row] = context.record.rows([{ name: "fork8", unit: "ms" }]);
  assertEquals([row?.n, row?.failed], [0, 1]);
  assertEquals(fake.boxes.size, 0);
});

Deno.test("exec: the first commands do not count", async () => {
  await using fixture = startFixture({ pool: 4, timing: { exec: "rpc;dur=1" } });
  const { context, fake } = fixture;
  await execPhase.run(context);
  assertEquals(context.record.values("exec_true").length, 20);
  assertEquals(fake.calls("exec").length, 1 + 5 + 20);
  assertEquals(context.paths.breakdowns()[0]?.n, 20);
});

Deno.test("files: what comes back is as long as what went", async () => {
  await using fixture = startFixture({ pool: 4 });
  const { context } = fixture;
  await filesPhase.run(context);
  assertEquals(context.record.values("file_up_100mb").length, 1);
  assertEquals(context.record.values("file_down_100mb").length, 1);
});
