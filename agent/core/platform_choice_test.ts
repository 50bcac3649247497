import { assert, assertEquals, assertThrows } from "@std/assert";
import { ConfigError } from "@wrenn/common";
import fc from "fast-check";
import {
  choiceSentence,
  choosePlatform,
  type HeldData,
  type PlatformFaults,
  type PlatformWishes,
} from "./platform_choice.ts";

const AUTO: PlatformWishes = { vmm: "auto", jail: "auto", accelerator: "auto", rootfs: "auto" };
const BARE: PlatformFaults = {
  kvm: "cannot open '/dev/kvm'",
  qemu: undefined,
  firecracker: "no '/usr/local/bin/firecracker'",
  jailer: "no '/usr/local/bin/jailer'",
  deviceMapper: "Not installed: dmsetup",
};
const WHOLE: PlatformFaults = {
  kvm: undefined,
  qemu: undefined,
  firecracker: undefined,
  jailer: undefined,
  deviceMapper: undefined,
};
const EMPTY: HeldData = {
  last: { vmm: "qemu", rootfs: "qcow2" },
  sandboxes: 0,
  leftovers: 0,
  snapshots: 0,
};

/** What is chosen, in three words. */
function chosen(
  wishes: Partial<PlatformWishes> = {},
  faults: PlatformFaults = WHOLE,
  held: Partial<HeldData> = {},
): string {
  const { vmm, accelerator, rootfs } = choosePlatform({ ...AUTO, ...wishes }, faults, {
    ...EMPTY,
    ...held,
  });
  return `${vmm} ${accelerator} ${rootfs}`;
}

function refused(
  message: string,
  wishes: Partial<PlatformWishes>,
  faults: PlatformFaults = WHOLE,
  held: Partial<HeldData> = {},
): void {
  assertThrows(() => chosen(wishes, faults, held), ConfigError, message);
}

Deno.test("a host that has nothing runs QEMU on tcg with qcow2, and says why in one sentence", () => {
  assertEquals(
    choiceSentence(choosePlatform(AUTO, BARE, EMPTY)),
    "Machines run in QEMU (no Firecracker: no '/usr/local/bin/firecracker') under tcg " +
      "(no guest starts under KVM: cannot open '/dev/kvm') on qcow2 disks " +
      "(no device-mapper: Not installed: dmsetup)",
  );
});

Deno.test("a host that has all of it runs Firecracker; what is missing is made up for", () => {
  assertEquals(chosen(), "firecracker kvm dm");
  assertEquals(chosen({}, { ...WHOLE, firecracker: "gone" }), "qemu kvm dm");
  assertEquals(chosen({}, { ...WHOLE, jailer: "gone" }), "qemu kvm dm");
  assertEquals(chosen({}, { ...WHOLE, kvm: "no" }), "qemu tcg dm");
  assertEquals(chosen({}, { ...WHOLE, deviceMapper: "no" }), "qemu kvm qcow2");
  assertEquals(chosen({}, { ...WHOLE, qemu: "no" }), "firecracker kvm dm");
  refused("No VMM can run here. QEMU: gone. Firecracker: no '", {}, { ...BARE, qemu: "gone" });
});

Deno.test("what was asked for is taken, or refused with what is missing", () => {
  assertEquals(chosen({ vmm: "qemu" }), "qemu kvm dm");
  assertEquals(chosen({ vmm: "qemu", accelerator: "tcg", rootfs: "qcow2" }), "qemu tcg qcow2");
  assertEquals(chosen({ accelerator: "tcg" }), "qemu tcg dm");
  assertEquals(chosen({ rootfs: "qcow2" }), "qemu kvm qcow2");
  assertEquals(chosen({ vmm: "firecracker" }), "firecracker kvm dm");
  refused("Firecracker reads no 'qcow2'", { vmm: "firecracker", rootfs: "qcow2" });
  refused("it needs KVM, and WRENN_ACCEL", { vmm: "firecracker", accelerator: "tcg" });
  refused("WRENN_VMM: 'firecracker' cannot run here: gone", { vmm: "firecracker" }, {
    ...WHOLE,
    firecracker: "gone",
  });
  refused("no guest starts under KVM: shut", { vmm: "firecracker" }, { ...WHOLE, kvm: "shut" });
  refused("device-mapper does not work: gone", { vmm: "firecracker" }, {
    ...WHOLE,
    deviceMapper: "gone",
  });
  refused("WRENN_ROOTFS: 'dm' cannot be had", { rootfs: "dm" }, BARE);
  refused("WRENN_ACCEL: 'kvm' cannot be had", { accelerator: "kvm" }, BARE);
  refused("WRENN_VMM: 'qemu' cannot run here: gone", { vmm: "qemu" }, { ...WHOLE, qemu: "gone" });
});

Deno.test("Firecracker has its jailer, unless it is demanded where there is none", () => {
  const jailOf = (wishes: Partial<PlatformWishes>, jailer?: string): string =>
    choosePlatform({ ...AUTO, ...wishes }, { ...WHOLE, jailer }, EMPTY).jail;
  assertEquals(jailOf({}), "jailer");
  assertEquals(jailOf({ vmm: "firecracker" }), "jailer");
  assertEquals(jailOf({ vmm: "firecracker" }, "gone"), "namespace");
  assertEquals(jailOf({ vmm: "firecracker", jail: "namespace" }), "namespace");
  refused("cannot run here: gone", { vmm: "firecracker", jail: "jailer" }, {
    ...WHOLE,
    jailer: "gone",
  });
  const wishes = { ...AUTO, vmm: "firecracker" } as const;
  const sentence = choiceSentence(choosePlatform(wishes, { ...WHOLE, jailer: "gone" }, EMPTY));
  assert(sentence.startsWith("Machines run in Firecracker without its jailer (configured)"));
});

Deno.test("a data folder that holds something goes on as it was", () => {
  for (const what of ["sandboxes", "leftovers", "snapshots"]) {
    assertEquals(chosen({}, WHOLE, { [what]: 1 }), "qemu kvm qcow2", what);
    const last = { vmm: "qemu", rootfs: "dm" } as const;
    assertEquals(chosen({}, WHOLE, { last, [what]: 1 }), "qemu kvm dm", what);
    refused("but device-mapper does not work", {}, BARE, { last, [what]: 1 });
  }
  const { reasons } = choosePlatform(AUTO, WHOLE, { ...EMPTY, sandboxes: 2, snapshots: 1 });
  assertEquals(reasons.rootfs, "the data folder has 2 sandbox disks and 1 snapshot on them");
  const last = { vmm: "firecracker", rootfs: "dm" } as const;
  assertEquals(chosen({}, WHOLE, { last }), "firecracker kvm dm");
  assertEquals(chosen({}, { ...WHOLE, kvm: "no" }, { last }), "qemu tcg dm", "it holds nothing");
  refused("of 'firecracker', which cannot run here", {}, { ...WHOLE, kvm: "no" }, {
    last,
    snapshots: 1,
  });
});

Deno.test("a demanded change is refused while there are disks that it would leave behind", () => {
  const qcow2 = { vmm: "qemu", rootfs: "qcow2" } as const;
  const dm = { vmm: "qemu", rootfs: "dm" } as const;
  assertEquals(chosen({ rootfs: "dm" }, WHOLE, { last: qcow2, snapshots: 3 }), "qemu kvm dm");
  assertEquals(chosen({ rootfs: "dm" }, WHOLE, { last: qcow2, leftovers: 3 }), "qemu kvm dm");
  refused("on 'qcow2', not 'dm'", { rootfs: "dm" }, WHOLE, { last: qcow2, sandboxes: 1 });
  assertEquals(chosen({ rootfs: "qcow2" }, WHOLE, { last: dm, snapshots: 3 }), "qemu kvm qcow2");
  refused("start with 'dm' and remove", { rootfs: "qcow2" }, WHOLE, { last: dm, sandboxes: 1 });
  refused("start with 'dm' and remove", { rootfs: "qcow2" }, WHOLE, { last: dm, leftovers: 1 });
  refused("'firecracker' cannot take them over", { vmm: "firecracker" }, WHOLE, {
    last: dm,
    sandboxes: 1,
  });
  assertEquals(
    chosen({ vmm: "firecracker" }, WHOLE, { last: dm, snapshots: 1 }),
    "firecracker kvm dm",
  );
});

Deno.test("every choice can work, and every refusal names a variable", () => {
  const fault = fc.constantFrom(undefined, "broken");
  const property = fc.property(
    fc.record({
      vmm: fc.constantFrom("auto", "qemu", "firecracker"),
      accelerator: fc.constantFrom("auto", "kvm", "tcg"),
      rootfs: fc.constantFrom("auto", "qcow2", "dm"),
      jail: fc.constantFrom("auto", "jailer", "namespace"),
    }),
    fc.record({ kvm: fault, qemu: fault, firecracker: fault, jailer: fault, deviceMapper: fault }),
    fc.record({
      last: fc.constantFrom(
        { vmm: "qemu", rootfs: "qcow2" } as const,
        { vmm: "qemu", rootfs: "dm" } as const,
        { vmm: "firecracker", rootfs: "dm" } as const,
      ),
      sandboxes: fc.nat(1),
      leftovers: fc.nat(1),
      snapshots: fc.nat(1),
    }),
    (wishes, faults, held) => {
      let made;
      try {
        made = choosePlatform(wishes, faults, held);
      } catch (error) {
        assert(error instanceof ConfigError && /: WRENN_(VMM|ACCEL|ROOTFS): /.test(error.message));
        return;
      }
      const { vmm, accelerator, rootfs } = made;
      assertEquals(faults[vmm], undefined);
      assert(vmm === "qemu" || made.jail === "namespace" || faults.jailer === undefined);
      assert(accelerator === "tcg" || faults.kvm === undefined);
      assert(rootfs === "qcow2" || faults.deviceMapper === undefined);
      assert(vmm === "qemu" || (accelerator === "kvm" && rootfs === "dm"));
      for (const name of ["vmm", "accelerator", "rootfs"] as const) {
        assert(wishes[name] === "auto" || wishes[name] === made[name], name);
      }
      if (held.sandboxes > 0) assertEquals([vmm, rootfs], [held.last.vmm, held.last.rootfs]);
    },
  );
  fc.assert(property, { numRuns: 2000 });
});
