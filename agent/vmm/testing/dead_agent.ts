/** A program that boots a VM by a driver and then does nothing until it is killed. */
import { FirecrackerDriver } from "../firecracker/driver.ts";
import { QemuDriver } from "../qemu/driver.ts";
import type { AgentOrder } from "./another_agent.ts";

const order: AgentOrder = JSON.parse(Deno.args[0] ?? "");
const driver = order.driver === "qemu"
  ? await QemuDriver.open(order.options)
  : await FirecrackerDriver.open(order.options);
const vm = await driver.boot(order.spec);
await Deno.stdout.write(new TextEncoder().encode(`${vm.pid}\n`));
await vm.exited;
