import type { CommandResult, RunCommand } from "@wrenn/common";
import { assertEquals, assertRejects } from "@std/assert";
import {
  conflictingRoutes,
  foreignForwardDrops,
  leftoverSlots,
  processesIn,
  requireTools,
} from "./host_checks.ts";

const printing = (stdout: string): RunCommand => () =>
  Promise.resolve<CommandResult>({ code: 0, stdout, stderr: "" });

Deno.test("requireTools() says what is missing and where to get it", async () => {
  await requireTools(printing(""));
  const error = await assertRejects(
    () => requireTools(printing("missing nft\nunprivileged\nno-tun\n")),
    Error,
  );
  assertEquals(
    error.message,
    "Cannot prepare the network: 'nft' is not installed (Debian package 'nftables'); it needs root; " +
      "'/dev/net/tun' is missing (kernel module 'tun')",
  );
});

Deno.test("foreignForwardDrops() finds forward chains that drop by default", () => {
  const chain = (table: string, name: string, hook?: string, policy?: string) => ({
    chain: { family: "ip", table, name, handle: 1, ...(hook ? { hook, policy } : {}) },
  });
  const text = JSON.stringify({
    nftables: [
      { metainfo: { version: "1.0.6" } },
      chain("filter", "FORWARD", "forward", "drop"),
      chain("filter", "INPUT", "input", "drop"),
      chain("filter", "DOCKER"),
      chain("wrenn-1", "forward", "forward", "accept"),
    ],
  });
  assertEquals(foreignForwardDrops(text), ["ip filter FORWARD"]);
});

Deno.test("conflictingRoutes() finds routes that overlap the slots' addresses and are not a slot's", () => {
  const text = JSON.stringify([
    { dst: "default", gateway: "192.0.2.1", dev: "eth0" },
    { dst: "10.11.0.7", dev: "veth-7" },
    { dst: "10.12.0.14/31", dev: "veth-7" },
    { dst: "10.13.5.0/24", dev: "eth1" },
    { dst: "10.0.0.0/8", dev: "tun0" },
    { dst: "10.14.0.0/16", dev: "eth2" },
    { type: "unreachable", dst: "10.11.9.9" },
  ]);
  assertEquals(conflictingRoutes(text), [
    "10.13.5.0/24 dev eth1",
    "10.0.0.0/8 dev tun0",
    "10.11.9.9 dev ",
  ]);
});

Deno.test("leftoverSlots() lists the range's slots of which a namespace or a veth exists", async () => {
  const run = printing("ns-7\nns-9\nns-70\ncni-1234\nall\nlo\nveth-8\nveth-9\nveth1\n");
  const found = await leftoverSlots(run, { first: 7, last: 9 });
  assertEquals(found.map((slot) => slot.index), [7, 8, 9]);
});

Deno.test("processesIn() reads process ids", async () => {
  assertEquals(await processesIn(printing("12\n345\n"), "ns-1"), [12, 345]);
  assertEquals(await processesIn(printing(""), "ns-1"), []);
});
