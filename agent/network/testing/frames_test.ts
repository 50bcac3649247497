import { assertEquals } from "@std/assert";
import { GUEST_IP } from "../../core/slot_plan.ts";
import { Flag, guestFrame, readSegment, tcpChecksum } from "./frames.ts";

Deno.test("guestFrame() makes what readSegment() reads, with right checksums", () => {
  const segment = {
    fromPort: 40000,
    to: "203.0.113.10",
    toPort: 8080,
    flags: Flag.ack | Flag.psh,
    seq: 0xfffffffe,
    ack: 7,
    payload: "odd",
  };
  const frame = guestFrame(segment);
  assertEquals(readSegment(frame), { ...segment, from: GUEST_IP });
  assertEquals(tcpChecksum(frame), 0);
});
