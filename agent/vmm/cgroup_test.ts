import { assertEquals, assertNotEquals } from "@std/assert";
import { Cgroups, groupOf, limitFiles } from "./cgroup.ts";

Deno.test("limitFiles() bounds CPU, memory, swap and threads", () => {
  assertEquals(limitFiles({ vcpus: 2, memoryMb: 768 }), {
    "memory.max": "805306368",
    "memory.swap.max": "0",
    "memory.oom.group": "1",
    "pids.max": "98",
    "cpu.max": "200000 100000",
  });
});

Deno.test("groupOf() gives each run root its own group", () => {
  assertEquals(groupOf("/run/wrenn"), groupOf("/run/wrenn"));
  assertNotEquals(groupOf("/run/wrenn"), groupOf("/run/wrenn2"));
});

Deno.test("Cgroups.open() answers undefined where controllers are missing", async () => {
  const root = await Deno.makeTempDir();
  try {
    assertEquals(await Cgroups.open(root), undefined);
    await Deno.writeTextFile(`${root}/cgroup.controllers`, "cpuset cpu io\n");
    assertEquals(await Cgroups.open(root), undefined);
  } finally {
    await Deno.remove(root, { recursive: true });
  }
});

Deno.test("Cgroups.create() leaves no group when a limit cannot be set", async () => {
  const root = await Deno.makeTempDir();
  try {
    await Deno.writeTextFile(`${root}/cgroup.controllers`, "cpu memory pids\n");
    await Deno.writeTextFile(`${root}/cgroup.subtree_control`, "cpu memory pids\n");
    const parent = `${root}/${groupOf("/run/w")}`;
    await Deno.mkdir(parent);
    await Deno.writeTextFile(`${parent}/cgroup.subtree_control`, "\n");
    const groups = await Cgroups.open(root);
    // A plain folder has no control files, as a group without the controller has none.
    const failed = await groups?.create("/run/w", "vm1", { vcpus: 1, memoryMb: 64 }).catch((e) =>
      e
    );
    assertEquals(failed instanceof Deno.errors.NotFound, true);
    assertEquals(await Deno.readTextFile(`${parent}/cgroup.subtree_control`), "+cpu +memory +pids");
    const left = await Array.fromAsync(Deno.readDir(parent), (entry) => entry.name);
    assertEquals(left, ["cgroup.subtree_control"]);
    await groups?.remove(`${parent}/vm1`);
  } finally {
    await Deno.remove(root, { recursive: true });
  }
});
