import { assertEquals, assertThrows } from "@std/assert";
import fc from "fast-check";
import {
  callName,
  patchDrive,
  patchNetworkInterface,
  putDrive,
  putNetworkInterface,
} from "./firecracker_calls.ts";

const drive = { is_root_device: true, path_on_host: "/disk", is_read_only: false };

Deno.test("putDrive() and its like put the body's id into the path", () => {
  fc.assert(fc.property(fc.stringMatching(/^[A-Za-z0-9_]+$/), (id) => {
    const interfaces = `/network-interfaces/${id}`;
    assertEquals(putDrive({ drive_id: id, ...drive }).path, `/drives/${id}`);
    assertEquals(patchDrive({ drive_id: id }).path, `/drives/${id}`);
    assertEquals(putNetworkInterface({ iface_id: id, host_dev_name: "tap0" }).path, interfaces);
    assertEquals(patchNetworkInterface({ iface_id: id }).path, interfaces);
  }));
});

Deno.test("putDrive() and its like refuse ids that would lead elsewhere", () => {
  for (const id of ["", "a/b", "..", "a b", "a-b", "é", "a?b"]) {
    assertThrows(() => putDrive({ drive_id: id, ...drive }), RangeError, "Not an id");
    assertThrows(() => patchDrive({ drive_id: id }), RangeError);
    assertThrows(() => putNetworkInterface({ iface_id: id, host_dev_name: "t" }), RangeError);
    assertThrows(() => patchNetworkInterface({ iface_id: id }), RangeError);
  }
});

Deno.test("callName() names a call", () => {
  assertEquals(callName(patchDrive({ drive_id: "rootfs" })), "PATCH /drives/rootfs");
});
