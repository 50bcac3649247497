import { assertEquals } from "@std/assert";
import fc from "fast-check";
import type { Slot } from "../network/slots.ts";
import { comparableRules, type FoundInside, type FoundNetwork, slotFaults } from "./slot_faults.ts";
import { planSlot } from "./slot_plan.ts";
import { SLOT_SETTINGS } from "./slot_settings.ts";

/** Rules as nft lists them, in which a policy has left its elements. */
function listing({ hostIp, vethGuestIp, vethHostIp }: Slot, elements: string): string {
  return `table inet wrenn {
	set closed {
		type ipv4_addr
		flags interval
		elements = { 10.0.0.0/8,
			     127.0.0.0/8 }
	}

	set deny_out {
		type ipv4_addr
		flags interval${elements}
	}

	chain spoof {
		iifname "eth0" ip daddr != { ${hostIp}, ${vethGuestIp} } drop
		ip saddr ${vethHostIp} dnat ip to 169.254.0.21
	}
}
`;
}

const ONE = planSlot(1);
const RULES = comparableRules(listing(ONE, ""), ONE);

function whole(slot: Slot): { host: FoundNetwork; inside: FoundInside } {
  const { hostVeth, vethHostIp, vethGuestIp, hostIp } = slot;
  const settings = SLOT_SETTINGS.filter(({ optional }) => !optional);
  return {
    host: {
      links: [
        {
          name: hostVeth,
          up: true,
          mac: "02:fc:00:00:00:07",
          kind: "veth",
          addresses: [`${vethHostIp}/31`],
        },
      ],
      routes: [{ to: hostIp, via: vethGuestIp, dev: hostVeth }],
      neighbours: [{ address: vethGuestIp, mac: "02:fc:00:00:00:08", dev: hostVeth }],
    },
    inside: {
      links: [
        {
          name: "eth0",
          up: true,
          mac: "02:fc:00:00:00:08",
          kind: "veth",
          addresses: [`${vethGuestIp}/31`],
        },
        {
          name: "tap0",
          up: true,
          mac: "02:fc:00:00:00:06",
          kind: "tun",
          addresses: ["169.254.0.22/30"],
        },
      ],
      routes: [{ to: "default", via: vethHostIp, dev: "eth0" }],
      neighbours: [
        { address: vethHostIp, mac: "02:fc:00:00:00:07", dev: "eth0" },
        { address: "169.254.0.21", mac: "02:FC:00:00:00:05", dev: "tap0" },
      ],
      settings: new Map(settings.map(({ path, value }) => [path, value])),
      rules: listing(slot, "\n\t\telements = { 0.0.0.0/0 }"),
    },
  };
}

const anySlot = fc.integer({ min: 1, max: 65534 }).map(planSlot);

Deno.test("slotFaults() finds nothing wrong with a slot that is whole, whatever its index", () => {
  fc.assert(fc.property(anySlot, (slot) => {
    const { host, inside } = whole(slot);
    assertEquals(slotFaults(slot, host, inside, RULES), []);
  }));
});

Deno.test("slotFaults() names each thing that is missing or another slot's", () => {
  const { host, inside } = whole(planSlot(7));
  const other = whole(planSlot(8));
  const slot = planSlot(7);
  const faults = (h: Partial<FoundNetwork>, i: Partial<FoundInside>) =>
    slotFaults(slot, { ...host, ...h }, { ...inside, ...i }, RULES);
  const [uplink, tap] = inside.links;
  if (!uplink || !tap) throw new Error("Wrong test");
  const tapFault = ["'tap0' with 169.254.0.22/30"];
  assertEquals(slotFaults(slot, host, undefined, RULES), ["its namespace"]);
  assertEquals(slotFaults(slot, other.host, other.inside, RULES).length, 7);
  assertEquals(faults({ links: [] }, {}), ["'veth-7' with 10.12.0.14/31"]);
  assertEquals(faults({ routes: [] }, {}), ["route to 10.11.0.7"]);
  assertEquals(faults({ neighbours: [] }, {}), ["neighbour 10.12.0.15"]);
  assertEquals(faults({}, { links: [uplink] }), tapFault);
  assertEquals(faults({}, { links: [uplink, { ...tap, up: false }] }), tapFault);
  assertEquals(faults({}, { links: [uplink, { ...tap, kind: "dummy" }] }), tapFault);
  assertEquals(faults({}, { links: [uplink, { ...tap, mac: uplink.mac }] }), tapFault);
  assertEquals(faults({}, { links: [tap] }), ["'eth0' with 10.12.0.15/31"]);
  assertEquals(faults({}, { routes: host.routes }), ["route to default"]);
  assertEquals(faults({}, { neighbours: inside.neighbours.slice(1) }), ["neighbour 10.12.0.14"]);
  assertEquals(faults({}, { rules: "" }), ["its rules"]);
  assertEquals(
    faults({}, { settings: new Map([...inside.settings, ["ipv4/ip_forward", "0"]]) }),
    ["setting 'ipv4/ip_forward'"],
  );
  const ipv6 = "ipv6/conf/all/disable_ipv6";
  assertEquals(faults({}, { settings: new Map([...inside.settings, [ipv6, "0"]]) }), [
    `setting '${ipv6}'`,
  ]);
});

Deno.test("comparableRules() hides a slot's addresses and a policy, and nothing else", () => {
  fc.assert(fc.property(anySlot, anySlot, (a, b) => {
    const policy = "\n\t\telements = { 8.8.8.0/24,\n\t\t\t     9.9.9.9 }";
    assertEquals(comparableRules(listing(a, policy), a), RULES);
    assertEquals(comparableRules(listing(a, ""), b) === RULES, a.index === b.index);
  }));
  const changed = listing(ONE, "").replace("127.0.0.0/8", "128.0.0.0/8");
  assertEquals(comparableRules(changed, ONE) === RULES, false);
});
