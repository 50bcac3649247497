/**
 * Plays the VMM between two TAP devices: `tap_pump.ts A B` opens a TAP in each of two network namespaces
 * (`NAMESPACE:TAP`) and carries Ethernet frames both ways until it is killed. Prints `ready` when it does.
 */
import { openTap, readFrame, writeFrame } from "./tap.ts";

async function pump(from: number, to: number): Promise<never> {
  const buffer = new Uint8Array(65536);
  while (true) writeFrame(to, await readFrame(from, buffer));
}

const [a = "", b = ""] = Deno.args;
const ends: [number, number] = [openTap(a), openTap(b)];
await Deno.stdout.write(new TextEncoder().encode("ready\n"));
await Promise.all([pump(...ends), pump(ends[1], ends[0])]);
