import { assertEquals, assertThrows } from "@std/assert";
import { layerName } from "./qemu_disk.ts";

Deno.test("layerName() reads both ways in which QEMU names a file", () => {
  assertEquals(layerName("/data/sandboxes/x/layer-a.qcow2"), "layer-a.qcow2");
  assertEquals(layerName("layer-a.qcow2"), "layer-a.qcow2");
  const told = { driver: "qcow2", file: { driver: "file", filename: "/layer-b.qcow2" } };
  assertEquals(layerName(`json:${JSON.stringify(told)}`), "layer-b.qcow2");
  assertThrows(() => layerName("json:{}"));
});
