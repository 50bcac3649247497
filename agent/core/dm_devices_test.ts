import { assert, assertEquals, assertThrows } from "@std/assert";
import fc from "fast-check";
import { type DmDevice, readDevices, unusedDevices } from "./dm_devices.ts";

Deno.test("readDevices() reads devices that are whole, suspended, and never finished", () => {
  const text = [
    "wrenn-0-ro|254:1|2|L--r|7:3,254:0",
    "wrenn-0-top|254:2|1|L-sw|7:4,254:1",
    "wrenn-0-half|254:3|0|---w|",
    "vg0-root|253:0|1|LI-w|8:1",
    "",
  ].join("\n");
  const common = { live: true, suspended: false };
  assertEquals([...readDevices(text).values()], [
    { name: "wrenn-0-ro", devno: "254:1", open: 2, ...common, uses: ["7:3", "254:0"] },
    {
      ...{ name: "wrenn-0-top", devno: "254:2", open: 1, live: true, suspended: true },
      uses: ["7:4", "254:1"],
    },
    {
      ...{ name: "wrenn-0-half", devno: "254:3", open: 0, live: false, suspended: false },
      uses: [],
    },
    { name: "vg0-root", devno: "253:0", open: 1, ...common, uses: ["8:1"] },
  ]);
  assertEquals(readDevices("No devices found\n").size, 0);
  for (const wrong of ["x", "a|1:2|0|L--w", "a|12|0|L--w|", "a|1:2|z|L--w|", "a|1:2|0|live|"]) {
    assertThrows(() => readDevices(wrong));
  }
});

/** A host: trees of devices over one another, some of them opened by others than devices. */
const hosts = fc.array(
  fc.record({ below: fc.nat(30), opened: fc.boolean(), ours: fc.boolean() }),
  { maxLength: 20 },
).map((shapes) => {
  const parents = shapes.map(({ below }, i) => i === 0 || below >= i ? undefined : below);
  const devices = shapes.map(({ opened, ours }, i): DmDevice => ({
    name: `${ours ? "ours" : "other"}-${i}`,
    devno: `254:${i}`,
    open: parents.filter((p) => p === i).length + (opened ? 1 : 0),
    live: true,
    suspended: false,
    uses: ["7:0", ...(parents[i] === undefined ? [] : [`254:${parents[i]}`])],
  }));
  return new Map(devices.map((device) => [device.name, device]));
});
const ours = (name: string): boolean => name.startsWith("ours");

/** Removes devices as the kernel would. */
function removeAll(devices: ReadonlyMap<string, DmDevice>, names: readonly string[]): DmDevice[] {
  let left = [...devices.values()];
  for (const name of names) {
    const device = left.find((d) => d.name === name);
    assert(device?.open === 0, `'${name}' is there and closed`);
    left = left.filter((d) => d !== device)
      .map((d) => device.uses.includes(d.devno) ? { ...d, open: d.open - 1 } : d);
  }
  return left;
}

Deno.test("unusedDevices() can be removed one after the other, and leaves nothing unused", () => {
  fc.assert(fc.property(hosts, (devices) => {
    const left = removeAll(devices, unusedDevices(devices, ours));
    for (const { name, open } of left) assert(open > 0 || !ours(name), name);
    for (const device of devices.values()) {
      if (!ours(device.name)) assert(left.some(({ name }) => name === device.name));
    }
  }));
});
