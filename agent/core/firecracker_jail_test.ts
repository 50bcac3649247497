import { assertEquals, assertThrows } from "@std/assert";
import {
  apiSocket,
  type JailedProcess,
  jailerCommand,
  namespaceCommand,
  runDirOf,
} from "./firecracker_jail.ts";

const PROCESS: JailedProcess = {
  id: "0123456789abcdef",
  runDir: "/run/wrenn/0123456789abcdef",
  uid: 300007,
  namespace: "ns-7",
  cgroup: "wrenn-0/0123456789abcdef",
};
const SOCKET = "/run/wrenn-vm/run/wrenn/0123456789abcdef/api.sock";
const PROGRAMS = { jailer: "/bin/jailer", firecracker: "/bin/firecracker", chroots: "/data/jails" };

Deno.test("jailerCommand() gives the jailer what it takes", () => {
  const line = "/bin/jailer --id 0123456789abcdef --exec-file /bin/firecracker --uid 300007 " +
    "--gid 300000 --chroot-base-dir /data/jails --netns /run/netns/ns-7 " +
    "--resource-limit no-file=2048 --cgroup-version 2 --parent-cgroup wrenn-0/0123456789abcdef " +
    `-- --api-sock ${SOCKET} --level Warning`;
  assertEquals(jailerCommand(PROCESS, PROGRAMS, "Warning").join(" "), line);
  const without = jailerCommand({ ...PROCESS, cgroup: undefined }, PROGRAMS, "Warning");
  assertEquals(without.filter((word) => word.includes("cgroup")), []);
});

Deno.test("no command turns Firecracker's filter off", () => {
  for (
    const command of [
      jailerCommand(PROCESS, PROGRAMS, "Warning"),
      namespaceCommand(PROCESS, "/bin/firecracker", [], "Warning"),
    ]
  ) assertEquals(command.filter((word) => /seccomp/.test(word)), []);
});

Deno.test("namespaceCommand() drops identity and capabilities last", () => {
  const command = namespaceCommand(PROCESS, "/bin/fc", [["/a", "/b"], ["/c", "/d"]], "Error");
  assertEquals(command.slice(0, 3), ["nsenter", "--net=/run/netns/ns-7", "--"]);
  const end = "wrenn-vmm /a /b /c /d -- setpriv --no-new-privs --reuid=300007 --regid=300000 " +
    "--clear-groups --inh-caps=-all --bounding-set=-all -- /bin/fc --id 0123456789abcdef " +
    `--api-sock ${SOCKET} --level Error`;
  assertEquals(command.slice(command.indexOf("wrenn-vmm")).join(" "), end);
});

Deno.test("runDirOf() knows both commands, and the jailed process itself", () => {
  const firecracker = ["/firecracker", "--id", PROCESS.id, "--start-time-us", "1"];
  for (
    const argv of [
      jailerCommand(PROCESS, PROGRAMS, "Warning"),
      namespaceCommand(PROCESS, "/bin/firecracker", [["/a", "/b"]], "Warning"),
      ["/bin/sh", "-euc", "...", ...jailerCommand(PROCESS, PROGRAMS, "Warning")],
      [...firecracker, "--api-sock", SOCKET, ""],
    ]
  ) assertEquals(runDirOf(argv), PROCESS.runDir);
});

Deno.test("runDirOf() denies every other Firecracker", () => {
  const others = [
    [],
    ["firecracker", "--id", PROCESS.id],
    ["firecracker", "--api-sock", SOCKET],
    ["firecracker", "--id", "another", "--api-sock", SOCKET],
    ["firecracker", "--id", PROCESS.id, "--api-sock", "/run/firecracker.socket"],
    ["firecracker", "--id", PROCESS.id, "--api-sock", SOCKET.replace("/run/wrenn-vm", "/tmp")],
    ["firecracker", "--id", PROCESS.id, "--api-sock"],
    ["grep", `--id ${PROCESS.id} --api-sock ${SOCKET}`],
  ];
  for (const argv of others) assertEquals(runDirOf(argv), undefined, argv.join(" "));
});

Deno.test("what Firecracker would not take is not started", () => {
  for (const id of ["", "a b", "a/b", "a".repeat(65)]) {
    assertThrows(() => jailerCommand({ ...PROCESS, id }, PROGRAMS, "Warning"), RangeError);
    assertThrows(() => namespaceCommand({ ...PROCESS, id }, "/fc", [], "Warning"), RangeError);
  }
  assertThrows(() => apiSocket(`/${"a".repeat(90)}`), RangeError, "too long");
});
