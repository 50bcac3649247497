import { assertEquals, assertThrows } from "@std/assert";
import { type ImageFile, listingFault, parseListing, writeScript } from "./debugfs.ts";

const FILES: ImageFile[] = [
  { source: "/a/init", path: "init", mode: 0o755 },
  { source: "/a/with space/libc", path: "lib/libc.so.6", mode: 0o644 },
  { source: "/a/libm", path: "lib/libm.so.6", mode: 0o644 },
];

Deno.test("writeScript() makes every folder once and sets mode and owner", () => {
  assertEquals(writeScript("/opt/wrenn", FILES).split("\n"), [
    "cd /opt/wrenn",
    'write "/a/init" init',
    "sif /opt/wrenn/init mode 0100755",
    "sif /opt/wrenn/init uid 0",
    "sif /opt/wrenn/init gid 0",
    "cd /opt/wrenn",
    "mkdir lib",
    "sif /opt/wrenn/lib mode 040755",
    "cd /opt/wrenn/lib",
    'write "/a/with space/libc" libc.so.6',
    "sif /opt/wrenn/lib/libc.so.6 mode 0100644",
    "sif /opt/wrenn/lib/libc.so.6 uid 0",
    "sif /opt/wrenn/lib/libc.so.6 gid 0",
    "cd /opt/wrenn",
    "cd /opt/wrenn/lib",
    'write "/a/libm" libm.so.6',
    "sif /opt/wrenn/lib/libm.so.6 mode 0100644",
    "sif /opt/wrenn/lib/libm.so.6 uid 0",
    "sif /opt/wrenn/lib/libm.so.6 gid 0",
    "",
  ]);
});

Deno.test("writeScript() refuses paths that would break out of a command", () => {
  for (const path of ["a b", "a\nrm /x", 'a"b']) {
    assertThrows(() => writeScript("/o", [{ source: "/s", path, mode: 0o644 }]), TypeError);
  }
  assertThrows(() => writeScript("/o", [{ source: '/s"\n', path: "a", mode: 0o644 }]), TypeError);
});

Deno.test("parseListing() reads names, modes, owners and sizes", () => {
  const output = `debugfs 1.47.0
/12/040755/0/0/.//
/2/040755/0/0/..//
/13/100755/0/0/init/2790/
/14/040755/1000/1000/a folder//
`;
  assertEquals(parseListing(output), [
    { name: "init", mode: 0o100755, uid: 0, size: 2790 },
    { name: "a folder", mode: 0o040755, uid: 1000, size: 0 },
  ]);
});

Deno.test("listingFault() names what differs", () => {
  const expected = FILES.slice(0, 2).map((file) => ({ ...file, size: 5 }));
  const good = new Map([
    ["init", { name: "init", mode: 0o100755, uid: 0, size: 5 }],
    ["lib", { name: "lib", mode: 0o040755, uid: 0, size: 0 }],
    ["lib/libc.so.6", { name: "libc.so.6", mode: 0o100644, uid: 0, size: 5 }],
  ]);
  const fault = (path: string, change: object) => {
    const before = good.get(path) ?? { name: path, mode: 0o100644, uid: 0, size: 1 };
    return listingFault(new Map([...good, [path, { ...before, ...change }]]), expected);
  };
  assertEquals(listingFault(good, expected), undefined);
  assertEquals(listingFault(new Map(), expected), "'init' is missing");
  assertEquals(fault("init", { size: 4 }), "'init' has 4 bytes, not 5");
  assertEquals(fault("init", { mode: 0o100644 }), "'init' has the wrong mode");
  assertEquals(fault("lib/libc.so.6", { uid: 7 }), "'lib/libc.so.6' is not owned by root");
  assertEquals(fault("extra", {}), "'extra' should not be there");
});
