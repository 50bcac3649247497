import { assertEquals, assertThrows } from "@std/assert";
import { JailerUsageError, parseJailerArgs } from "./jailer_options.ts";

const least = ["--id", "vm-1", "--exec-file", "/bin/firecracker", "--uid", "300001", "--gid", "7"];

Deno.test("parseJailerArgs() reads the jailer's command line", () => {
  assertEquals(parseJailerArgs(["--version"]), { kind: "version" });
  const jail = {
    kind: "jail" as const,
    id: "vm-1",
    execFile: "/bin/firecracker",
    uid: 300001,
    gid: 7,
    chrootBase: "/srv/jailer",
    netns: undefined,
    cgroupVersion: 1 as const,
    parentCgroup: undefined,
    cgroups: [],
    noFile: 2048,
    fsize: undefined,
    extra: [],
  };
  assertEquals(parseJailerArgs(least), jail);
  const more = "--chroot-base-dir /jails --netns /run/netns/ns-1 --cgroup-version 2 " +
    "--parent-cgroup a/b --cgroup memory.max=1000 --cgroup pids.max=5 " +
    "--resource-limit no-file=100 --resource-limit fsize=4096";
  assertEquals(parseJailerArgs([...least, ...more.split(" "), "--", "--api-sock", "--id"]), {
    ...jail,
    chrootBase: "/jails",
    netns: "/run/netns/ns-1",
    cgroupVersion: 2,
    parentCgroup: "a/b",
    cgroups: [["memory.max", "1000"], ["pids.max", "5"]],
    noFile: 100,
    fsize: 4096,
    extra: ["--api-sock", "--id"],
  });
});

Deno.test("parseJailerArgs() refuses all else", () => {
  for (let n = 0; n < least.length; n += 2) {
    assertThrows(() => parseJailerArgs(least.toSpliced(n, 2)), JailerUsageError, "required");
    assertThrows(() => parseJailerArgs(least.toSpliced(n + 1, 1)), JailerUsageError);
  }
  const wrong = [
    "more",
    "--node 0",
    "--id vm-2",
    "--netns",
    "--netns --",
    "--daemonize",
    "--new-pid-ns",
    "--cgroup-version 3",
    "--parent-cgroup /a",
    "--parent-cgroup a/../b",
    "--cgroup memory.max",
    "--cgroup memory.max=",
    "--cgroup memory.max=1=2",
    "--cgroup ../memory.max=1",
    "--cgroup memory=1",
    "--resource-limit no-file",
    "--resource-limit no-file=x",
    "--resource-limit nproc=1",
    "--api-sock /s",
  ];
  for (const text of wrong) {
    const args = [...least, ...text.split(" ")];
    assertThrows(() => parseJailerArgs(args), JailerUsageError);
  }
  for (
    const [at, value] of [[1, "a_b"], [1, "a".repeat(65)], [5, "-1"], [7, "4294967296"]] as const
  ) {
    assertThrows(() => parseJailerArgs(least.with(at, value)), JailerUsageError);
  }
});
