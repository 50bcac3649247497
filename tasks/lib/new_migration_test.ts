import { assertEquals } from "@std/assert";
import { join } from "node:path";
import { createMigration, migrationsModule, readEntries } from "./new_migration.ts";
import { repoRoot } from "./shell.ts";

Deno.test("migrationsModule() lists exactly the files of the migrations folder", async () => {
  const folder = join(repoRoot(), "migrations");
  const text = await Deno.readTextFile(join(folder, "mod.ts"));
  assertEquals(text, migrationsModule(await readEntries(folder)));
});

Deno.test("createMigration() numbers the next migration and lists it", async () => {
  const folder = await Deno.makeTempDir();
  try {
    await createMigration(folder, "first");
    await createMigration(folder, "second");
    assertEquals(await readEntries(folder), [
      { version: "0001", name: "first" },
      { version: "0002", name: "second" },
    ]);
    const { MIGRATIONS } = await import(`file://${join(folder, "mod.ts")}`);
    assertEquals(MIGRATIONS.map((m: { version: number; name: string }) => [m.version, m.name]), [
      [1, "first"],
      [2, "second"],
    ]);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});
