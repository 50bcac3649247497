import { assertEquals } from "@std/assert";
import { permissionText } from "./mode.ts";

Deno.test("permissionText() writes modes as Go does", () => {
  const cases: [number, string][] = [
    [0o100644, "-rw-r--r--"],
    [0o040755, "drwxr-xr-x"],
    [0o120777, "Lrwxrwxrwx"],
    [0o041777, "dtrwxrwxrwx"],
    [0o104755, "urwxr-xr-x"],
    [0o010600, "prw-------"],
    [0o020666, "Dcrw-rw-rw-"],
    [0o060660, "Drw-rw----"],
    [0o140000, "S---------"],
  ];
  for (const [mode, text] of cases) assertEquals(permissionText(mode), text);
});
