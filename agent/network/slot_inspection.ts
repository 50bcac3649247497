/** Looking at slots that are there, to take them over. */
import { sideBySide } from "@wrenn/common";
import type { RunCommand } from "@wrenn/common";
import { z } from "zod";
import {
  comparableRules,
  type FoundInside,
  type FoundNetwork,
  slotFaults,
} from "../core/slot_faults.ts";
import { planSlot } from "../core/slot_plan.ts";
import { SLOT_SETTINGS } from "../core/slot_settings.ts";
import { slotRuleset } from "./slot_ruleset.ts";
import type { Slot } from "./slots.ts";

const Links = z.array(z.object({
  ifname: z.string(),
  flags: z.array(z.string()),
  address: z.string().default(""),
  linkinfo: z.object({ info_kind: z.string().default("") }).optional(),
  addr_info: z.array(z.object({ local: z.string(), prefixlen: z.number() })),
}));
const Routes = z.array(z.object({
  dst: z.string(),
  gateway: z.string().optional(),
  dev: z.string().optional(),
}));
const Neighbours = z.array(z.object({
  dst: z.string(),
  lladdr: z.string().optional(),
  dev: z.string(),
}));

const LIST_NETWORK = `ip -j -d -4 -batch - <<'EOF'
addr show
route show
neigh show nud permanent
EOF
`;
const LIST_INSIDE = `${LIST_NETWORK}cd /proc/sys/net
grep -s '' ${SLOT_SETTINGS.map(({ path }) => path).join(" ")} || true
echo rules
nft -s list ruleset
`;

/** How many slots are looked into at once. */
const LOOKS = 4;

/**
 * Looks at slots and says of each what is missing or wrong, as parts of a sentence; nothing when it is whole.
 *
 * @param run Runs programs on the host.
 * @param reference What {@linkcode referenceRules} said.
 */
export async function inspectSlots(
  run: RunCommand,
  slots: readonly Slot[],
  reference: string,
): Promise<Map<Slot, string[]>> {
  const { stdout } = await run(["sh", "-eu"], { stdin: LIST_NETWORK });
  const host = readNetwork(stdout.split("\n"));
  const faults = new Map<Slot, string[]>();
  await sideBySide(slots, LOOKS, async (slot) => {
    faults.set(slot, slotFaults(slot, host, await lookInside(run, slot), reference));
  });
  return faults;
}

/** What this machine's nft makes of the rules of a slot, in a namespace that is gone when it has said so. */
export async function referenceRules(run: RunCommand): Promise<string> {
  const slot = planSlot(1);
  const stdin = `nft -f - <<'EOF'\n${slotRuleset(slot)}EOF\nnft -s list ruleset\n`;
  const { stdout } = await run(["unshare", "--net", "sh", "-eu"], { stdin });
  return comparableRules(stdout, slot);
}

async function lookInside(run: RunCommand, slot: Slot): Promise<FoundInside | undefined> {
  const enter = ["nsenter", `--net=/run/netns/${slot.namespace}`, "sh", "-eu"] as const;
  const { code, stdout } = await run(enter, { stdin: LIST_INSIDE, allowFailure: true });
  if (code !== 0) return undefined;
  const [listing = "", rules = ""] = stdout.split("\nrules\n");
  const lines = listing.split("\n");
  const settings = new Map(
    lines.slice(3).map((line) => {
      const [path = "", value = ""] = line.split(":");
      return [path, value];
    }),
  );
  return { ...readNetwork(lines), settings, rules };
}

/** Reads the three lines of {@linkcode LIST_NETWORK}. */
function readNetwork([links = "", routes = "", neighbours = ""]: string[]): FoundNetwork {
  return {
    links: Links.parse(JSON.parse(links)).map((link) => ({
      name: link.ifname,
      up: link.flags.includes("UP"),
      mac: link.address,
      kind: link.linkinfo?.info_kind ?? "",
      addresses: link.addr_info.map(({ local, prefixlen }) => `${local}/${prefixlen}`),
    })),
    routes: Routes.parse(JSON.parse(routes)).map(({ dst, gateway, dev }) => ({
      to: dst,
      via: gateway,
      dev,
    })),
    neighbours: Neighbours.parse(JSON.parse(neighbours)).map(({ dst, lladdr, dev }) => ({
      address: dst,
      mac: lladdr,
      dev,
    })),
  };
}
