import { assertEquals, assertMatch } from "@std/assert";
import fc from "fast-check";
import { EGRESS_SETS } from "../core/egress_batch.ts";
import { planSlot } from "../core/slot_plan.ts";
import { slotRuleset } from "./slot_ruleset.ts";

Deno.test("slotRuleset() starts closed in every slot: all is denied, nothing open, and egress ends in a drop", () => {
  fc.assert(fc.property(fc.integer({ min: 1, max: 65534 }), (index) => {
    const text = slotRuleset(planSlot(index));
    const elements = (set: string): string | undefined =>
      new RegExp(`set ${set} \\{\n    type ipv4_addr\n    flags interval\n([^}]*\\}?)`).exec(text)
        ?.[1]?.trim();
    assertEquals(elements(EGRESS_SETS.allow), "}");
    assertEquals(elements(EGRESS_SETS.deny), "elements = { 0.0.0.0-255.255.255.255 }");
    assertEquals(elements(EGRESS_SETS.open), "}");
    assertMatch(text, /chain egress \{\n {4}ip daddr @closed drop\n[^}]*\n {4}drop\n {2}\}/);
  }));
});
