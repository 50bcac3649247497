import { assertEquals, assertRejects } from "@std/assert";
import { type ChoiceOptions, chooseAccelerator } from "./accelerator.ts";

const KVM_FAILURE = "QEMU ended with SIGABRT";

/** Options over a data folder of their own, with a device that opens and a probe that counts. */
async function withOptions(
  body: (
    options: ChoiceOptions,
    probes: () => number,
    answer: (f?: string) => void,
  ) => Promise<void>,
): Promise<void> {
  const dir = await Deno.makeTempDir();
  let probes = 0;
  let failure: string | undefined;
  try {
    await Deno.writeTextFile(`${dir}/kvm`, "");
    await Deno.writeTextFile(`${dir}/vmlinux`, "kernel");
    const options: ChoiceOptions = {
      mode: "auto",
      qemuBin: "qemu",
      version: { major: 7, minor: 2, micro: 22 },
      tscKhz: 2_000_000,
      kernel: `${dir}/vmlinux`,
      initrd: `${dir}/initrd.img`,
      cacheFile: `${dir}/accel.json`,
      device: `${dir}/kvm`,
      probe: () => {
        probes++;
        return Promise.resolve(failure);
      },
    };
    await body(options, () => probes, (f) => failure = f);
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
}

Deno.test("chooseAccelerator() takes KVM when a guest starts and remembers it", async () => {
  await withOptions(async (options, probes) => {
    for (let i = 0; i < 2; i++) {
      assertEquals((await chooseAccelerator(options)).accelerator, "kvm");
    }
    assertEquals(probes(), 1);
  });
});

Deno.test("chooseAccelerator() takes TCG when no guest starts and remembers why", async () => {
  await withOptions(async (options, probes, answer) => {
    answer(KVM_FAILURE);
    for (let i = 0; i < 2; i++) {
      const choice = await chooseAccelerator(options);
      assertEquals(choice.accelerator, "tcg");
      assertEquals(choice.reason, `no guest starts under KVM: ${KVM_FAILURE}`);
    }
    assertEquals(probes(), 1);
  });
});

Deno.test("chooseAccelerator() proves KVM again after a new QEMU or kernel or a broken file", async () => {
  await withOptions(async (options, probes) => {
    await chooseAccelerator(options);
    await chooseAccelerator({ ...options, version: { major: 8, minor: 0, micro: 0 } });
    assertEquals(probes(), 2);
    await Deno.writeTextFile(options.kernel, "another kernel");
    await chooseAccelerator(options);
    assertEquals(probes(), 3);
    await Deno.writeTextFile(options.cacheFile, '{"boot_id":');
    await chooseAccelerator(options);
    assertEquals(probes(), 4);
  });
});

Deno.test("chooseAccelerator() starts no guest without a device or when TCG is configured", async () => {
  await withOptions(async (options, probes) => {
    const absent = await chooseAccelerator({ ...options, device: "/nonexistent/kvm" });
    assertEquals(absent.accelerator, "tcg");
    assertEquals((await chooseAccelerator({ ...options, mode: "tcg" })).reason, "configured");
    assertEquals(probes(), 0);
  });
});

Deno.test("chooseAccelerator() proves a demanded KVM again that failed when it was not", async () => {
  await withOptions(async (options, probes, answer) => {
    answer("nothing started within 10000 ms");
    assertEquals((await chooseAccelerator(options)).accelerator, "tcg");
    answer();
    for (const mode of ["kvm", "auto"] as const) {
      assertEquals((await chooseAccelerator({ ...options, mode })).accelerator, "kvm");
    }
    assertEquals(probes(), 2);
  });
});

Deno.test("chooseAccelerator() refuses a demanded KVM that does not work", async () => {
  await withOptions(async (options, _probes, answer) => {
    answer(KVM_FAILURE);
    await assertRejects(() => chooseAccelerator({ ...options, mode: "kvm" }), Error, KVM_FAILURE);
  });
});
