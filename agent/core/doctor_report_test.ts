import { assertEquals } from "@std/assert";
import { factOf, reportOf, reportText } from "./doctor_report.ts";

const qemu = factOf("QEMU", undefined, { advice: "install it", detail: "7.2.22" });
const kernel = factOf("guest kernel", "no '/k'", { advice: "build it", needed: true });
const dm = factOf("device-mapper", "gone", { advice: "load it" });

Deno.test("reportOf() is well when something was chosen and nothing needed is missing", () => {
  const choice = { sentence: "Machines run" };
  assertEquals(reportOf(choice, [qemu, dm]), {
    ok: true,
    verdict: "Machines run",
    facts: [qemu, dm],
  });
  assertEquals(
    [reportOf(choice, [kernel]).ok, reportOf(choice, [kernel]).verdict],
    [false, "No agent can start here without: guest kernel"],
  );
  assertEquals(
    [reportOf({ refusal: "No VMM" }, [qemu]).ok, reportOf({ refusal: "No VMM" }, []).verdict],
    [false, "No VMM"],
  );
});

Deno.test("reportText() has the verdict and a row for each fact", () => {
  const text = reportText(reportOf({ sentence: "Machines run" }, [qemu, dm]));
  assertEquals(
    text,
    "Machines run\n\nQEMU           ok       7.2.22\n" +
      "device-mapper  missing  gone -> load it",
  );
});
