import { assertEquals, assertRejects } from "@std/assert";
import { readRecord, recordIn, writeRecord } from "./disk_record.ts";

const BASE = "base-0123456789abcdef.ext4";
const LAYER = "layer-0123456789abcdef.cow";
const RECORD = { device: "00112233445566ff", sizeMb: 64, layers: [BASE, LAYER] };

Deno.test({
  name: "readRecord() reads what writeRecord() writes, and refuses what is damaged",
  ignore: Deno.uid() !== 0,
  fn: async () => {
    const folder = await Deno.makeTempDir({ prefix: "wrenn-record-" });
    try {
      assertEquals(await readRecord(folder), undefined);
      await assertRejects(() => recordIn(folder), Error, "never finished");
      await writeRecord(folder, RECORD);
      await writeRecord(folder, { ...RECORD, layers: [BASE, LAYER, LAYER] });
      assertEquals(await recordIn(folder), { ...RECORD, layers: [BASE, LAYER, LAYER] });
      const names = await Array.fromAsync(Deno.readDir(folder), ({ name }) => name);
      assertEquals(names, ["disk.json"]);
      const { device, sizeMb: size_mb, layers } = RECORD;
      const good = { device, size_mb, layers };
      const wrong = [
        "",
        "[]",
        JSON.stringify({ ...good, device: "../x" }),
        JSON.stringify({ ...good, size_mb: 0 }),
        JSON.stringify({ ...good, layers: [BASE] }),
        JSON.stringify({ ...good, layers: [LAYER, LAYER] }),
        JSON.stringify({ ...good, layers: [BASE, "../../etc/shadow"] }),
      ];
      for (const text of wrong) {
        await Deno.writeTextFile(`${folder}/disk.json`, text);
        await assertRejects(() => readRecord(folder), Error, "is damaged");
      }
    } finally {
      await Deno.remove(folder, { recursive: true });
    }
  },
});
