import { assertEquals, assertRejects } from "@std/assert";
import type { BlockDevice } from "../rootfs/store.ts";
import { endVm } from "./end_vm.ts";

const disk: BlockDevice = {
  path: "/dev/mapper/d",
  format: "raw",
  sizeMb: 1,
  folder: "/d",
  layers: ["base-0000000000000000.ext4"],
};

Deno.test("endVm() lets held I/O fail until the VMM has ended, also when that fails once", async () => {
  const { promise, resolve } = Promise.withResolvers<void>();
  const asked: BlockDevice[] = [];
  const rootfs = {
    failHeld: (of: BlockDevice): Promise<void> => {
      asked.push(of);
      if (asked.length === 1) return Promise.reject(new Error("busy"));
      resolve();
      return Promise.resolve();
    },
  };
  await endVm({ rootfs }, { vm: { vmId: "v", kill: () => promise }, disk }, 5);
  assertEquals(asked, [disk, disk]);
});

Deno.test("endVm() leaves the disk of a VMM alone that ends by itself, and passes errors on", async () => {
  const rootfs = { failHeld: () => Promise.reject(new Error("not to be called")) };
  await endVm({ rootfs }, { vm: { vmId: "v", kill: () => Promise.resolve() }, disk });
  const kill = (): Promise<void> => Promise.reject(new Error("cannot"));
  await assertRejects(() => endVm({ rootfs }, { vm: { vmId: "v", kill }, disk }), Error, "cannot");
});
