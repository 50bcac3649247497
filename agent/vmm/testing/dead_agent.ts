/** A program that boots a VM by the QEMU driver and then does nothing until it is killed. */
import type { BootSpec } from "../driver.ts";
import { QemuDriver, type QemuDriverOptions } from "../qemu/driver.ts";

const given: { options: QemuDriverOptions; spec: BootSpec } = JSON.parse(Deno.args[0] ?? "");
const driver = await QemuDriver.open(given.options);
const vm = await driver.boot(given.spec);
await Deno.stdout.write(new TextEncoder().encode(`${vm.pid}\n`));
await vm.exited;
