import { assertEquals, assertRejects } from "@std/assert";
import { joinCgroup, mountPoint } from "./jailer_cgroup.ts";
import { JailerUsageError, parseJailerArgs } from "./jailer_options.ts";

Deno.test("mountPoint() finds cgroup v2 among the mounts", () => {
  const old = "cgroup /sys/fs/cgroup/cpu cgroup rw,cpu 0 0";
  assertEquals(mountPoint(old), undefined);
  assertEquals(
    mountPoint(`${old}\ncgroup2 /sys/fs/cgroup/unified cgroup2 rw 0 0`),
    "/sys/fs/cgroup/unified",
  );
});

Deno.test("joinCgroup() refuses values for cgroup v1", async () => {
  const args = "--id a --exec-file firecracker --uid 1 --gid 1 --cgroup pids.max=5".split(" ");
  const options = parseJailerArgs(args);
  if (options.kind !== "jail") throw new Error("No jail");
  await assertRejects(() => joinCgroup(options, "firecracker"), JailerUsageError);
});
