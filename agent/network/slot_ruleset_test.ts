import { assertEquals, assertMatch } from "@std/assert";
import fc from "fast-check";
import { planSlot } from "../core/slot_plan.ts";
import { policyRuleset, slotRuleset } from "./slot_ruleset.ts";

Deno.test("policyRuleset() asks closed networks, then allow, then deny", () => {
  const text = policyRuleset({
    internet: true,
    allow: ["203.0.113.0/24"],
    deny: ["0.0.0.0/0"],
  });
  assertEquals(text.split("\n"), [
    "flush chain inet wrenn egress",
    "flush set inet wrenn allow_out",
    "flush set inet wrenn deny_out",
    "add element inet wrenn allow_out { 203.0.113.0/24 }",
    "add element inet wrenn deny_out { 0.0.0.0/0 }",
    "add rule inet wrenn egress ip daddr @closed drop",
    "add rule inet wrenn egress ip daddr @allow_out accept",
    "add rule inet wrenn egress ip daddr @deny_out drop",
    "add rule inet wrenn egress accept",
    "",
  ]);
});

Deno.test("policyRuleset() without internet leaves a single drop", () => {
  const text = policyRuleset({ internet: false, allow: ["0.0.0.0/0"], deny: [] });
  assertEquals(text.match(/add rule.*/g), ["add rule inet wrenn egress drop"]);
});

Deno.test("slotRuleset() starts with a closed egress chain in every slot", () => {
  fc.assert(fc.property(fc.integer({ min: 1, max: 65534 }), (index) => {
    assertMatch(slotRuleset(planSlot(index)), /chain egress \{\n {4}drop\n {2}\}/);
  }));
});
