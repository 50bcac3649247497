/**
 * An agent's network part as a process, to be killed: `slot_holder.ts FIRST LAST READY [CLAIMS] [SLOWLY]` starts slots,
 * claims some, gives them an open policy, prints their indexes as JSON and goes on. With `SLOWLY` every build waits
 * so many seconds before it makes anything.
 */
import { runCommand } from "@wrenn/common";
import { NetnsSlots } from "../netns_slots.ts";

const [first = 0, last = 0, ready = 0, claims = 0, slowly = 0] = Deno.args.map(Number);
const slots = new NetnsSlots({
  range: { first, last },
  ready,
  run: (argv, options) =>
    runCommand(
      argv,
      slowly > 0 && options?.stdin?.includes("netns add")
        ? { ...options, stdin: `sleep ${slowly}\n${options.stdin}` }
        : options,
    ),
});
await slots.start();
const claimed: number[] = [];
for (let i = 0; i < claims; i++) {
  const slot = await slots.claim();
  await slots.applyPolicy(slot, { internet: true, allowOut: [], denyOut: [] });
  claimed.push(slot.index);
}
await Deno.stdout.write(new TextEncoder().encode(`${JSON.stringify(claimed)}\n`));
setInterval(() => {}, 60_000);
