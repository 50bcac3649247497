/** Removal of what a test that failed has left. */
import type { SlotRange } from "../../core/slot_allocator.ts";
import { NetnsSlots } from "../netns_slots.ts";
import type { Lab } from "./lab.ts";

/** Removes all slots of a range when it is disposed of: declare it after the lab, on whose host they are. */
export function sweeping(lab: Lab, range: SlotRange): AsyncDisposable {
  return {
    [Symbol.asyncDispose]: async () => {
      const slots = new NetnsSlots({ range, run: lab.runIn("host") });
      await slots.start();
      await slots.stop();
    },
  };
}
