/** What start-up looks at on the host: programs, other firewalls, address conflicts, leftovers. */
import type { RunCommand } from "@wrenn/common";
import { z } from "zod";
import { contains, parseCidr } from "../core/egress.ts";
import type { SlotRange } from "../core/slot_allocator.ts";
import {
  HOST_SIDE_RANGE,
  planSlot,
  slotIndexOf,
  slotIndexOfVeth,
  VETH_RANGE,
} from "../core/slot_plan.ts";
import type { Slot } from "./slots.ts";

/** Programs that slots need, and the Debian packages that have them. */
const PROGRAMS: Readonly<Record<string, string>> = {
  ip: "iproute2",
  nft: "nftables",
  nsenter: "util-linux",
  unshare: "util-linux",
};

const Chains = z.object({
  nftables: z.array(z.object({
    chain: z.object({
      family: z.string(),
      table: z.string(),
      name: z.string(),
      hook: z.string().optional(),
      policy: z.string().optional(),
    }).optional(),
  })),
});
const Routes = z.array(z.object({ dst: z.string(), dev: z.string().optional() }));

/**
 * Makes sure that the programs and the TUN driver are there and that we are root.
 *
 * @throws {Error} With a sentence that says what to install.
 */
export async function requireTools(run: RunCommand): Promise<void> {
  const probe = Object.keys(PROGRAMS).map((name) =>
    `command -v ${name} >/dev/null || echo missing ${name}`
  );
  probe.push('[ "$(id -u)" = 0 ] || echo unprivileged', "[ -c /dev/net/tun ] || echo no-tun");
  const { stdout } = await run(["sh", "-c", probe.join("\n")]);
  const faults = stdout.split("\n").filter((line) => line !== "").map((line) => {
    if (line === "unprivileged") return "it needs root";
    if (line === "no-tun") return "'/dev/net/tun' is missing (kernel module 'tun')";
    const name = line.replace("missing ", "");
    return `'${name}' is not installed (Debian package '${PROGRAMS[name]}')`;
  });
  if (faults.length > 0) throw new Error(`Cannot prepare the network: ${faults.join("; ")}`);
}

/**
 * Chains of other tables that drop forwarded packets by default, as `family table chain`. They drop guests'
 * traffic as well, because an accept in one table does not bind another.
 *
 * @param text Output of `nft -j list chains`.
 */
export function foreignForwardDrops(text: string): string[] {
  return Chains.parse(JSON.parse(text)).nftables.flatMap(({ chain }) =>
    chain?.hook === "forward" && chain.policy === "drop"
      ? [`${chain.family} ${chain.table} ${chain.name}`]
      : []
  );
}

/**
 * Routes of the host that overlap the slots' addresses, as `destination dev interface`.
 *
 * @param text Output of `ip -j -4 route show`.
 */
export function conflictingRoutes(text: string): string[] {
  const ours = [HOST_SIDE_RANGE, VETH_RANGE].map(parseCidr);
  return Routes.parse(JSON.parse(text)).flatMap(({ dst, dev = "" }) => {
    if (dst === "default" || slotIndexOfVeth(dev) !== undefined) return [];
    const route = parseCidr(dst);
    return ours.some((range) => contains(range, route) || contains(route, range))
      ? [`${dst} dev ${dev}`]
      : [];
  });
}

/** Slots of the range of which a namespace or a veth exists, in ascending order. */
export async function leftoverSlots(run: RunCommand, range: SlotRange): Promise<Slot[]> {
  const { stdout } = await run([
    "sh",
    "-euc",
    "if [ -d /run/netns ]; then ls -1 /run/netns; fi; ls -1 /proc/sys/net/ipv4/conf",
  ]);
  const found = new Set<number>();
  for (const name of stdout.split("\n")) {
    const index = slotIndexOf(name) ?? slotIndexOfVeth(name);
    if (index !== undefined && index >= range.first && index <= range.last) found.add(index);
  }
  return [...found].sort((a, b) => a - b).map(planSlot);
}

/** Ids of the processes inside a namespace; none when the namespace is gone or half made. */
export async function processesIn(run: RunCommand, namespace: string): Promise<number[]> {
  const { stdout } = await run(["ip", "netns", "pids", namespace], { allowFailure: true });
  return stdout.split("\n").filter((line) => line !== "").map(Number);
}
