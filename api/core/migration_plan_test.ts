import { assertEquals, assertThrows } from "@std/assert";
import { MigrationError, pendingMigrations } from "./migration_plan.ts";

const [one, two, three] = [1, 2, 3].map((version) => ({
  version,
  name: `m${version}`,
  checksum: `c${version}`,
})) as [Known, Known, Known];
type Known = { version: number; name: string; checksum: string };

Deno.test("pendingMigrations() gives what the database lacks", () => {
  assertEquals(pendingMigrations([one, two, three], [one]), [two, three]);
  assertEquals(pendingMigrations([one, two], [two, one]), []);
});

Deno.test("pendingMigrations() names what does not fit", () => {
  const cases: [Known[], Known[], string][] = [
    [[one, three], [], "'0003_m3' stands where number 2 is expected"],
    [[one], [one, two], "'0002_m2', which this program does not know"],
    [[one, two], [two], "'0002_m2' but not number 1"],
    [[one], [{ ...one, checksum: "x" }], "'0001_m1' was changed"],
    [[one], [{ ...one, name: "x" }], "has '0001_x', this program '0001_m1'"],
  ];
  for (const [known, applied, text] of cases) {
    assertThrows(() => pendingMigrations(known, applied), MigrationError, text);
  }
});
