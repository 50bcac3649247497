import { assert, assertEquals } from "@std/assert";
import { examine } from "./doctor.ts";

Deno.test("examine() names what an agent lacks on a host that has nothing", async () => {
  const report = await examine({
    dataDir: "/nonexistent",
    ...{ vmm: "auto", jail: "auto", accelerator: "auto", rootfs: "auto" },
    ...{ qemuBin: "/nonexistent/qemu", firecrackerBin: "/nonexistent/firecracker" },
    ...{ jailerBin: undefined, memoryReserveMb: 0, diskReserveMb: 0 },
  }, () => Promise.reject(new Deno.errors.NotFound("nothing here")));
  assertEquals(report.ok, false);
  assert(report.verdict.startsWith("Wrong configuration: WRENN_VMM: No VMM can run here"));
  const missing = report.facts.filter(({ state }) => state === "missing").map(({ name }) => name);
  for (const name of ["QEMU", "Firecracker", "jailer", "nftables", "guest kernel", "disk space"]) {
    assert(missing.includes(name), name);
  }
  assert(report.facts.every(({ state, advice }) => state === "ok" || advice !== ""));
});
