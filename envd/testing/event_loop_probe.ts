/** Prints whether this process's event loop has something to do, before and after a datagram came to it. */
import { eventLoopFds } from "../linux/event_loop.ts";
import { libc } from "../linux/libc.ts";
import { pollEntries, POLLIN } from "../linux/poll.ts";

const socket = Deno.listenDatagram({ transport: "udp", hostname: "127.0.0.1", port: 0 });
const received = socket.receive();
// What the loop had to do before is done.
await new Promise((resolve) => setTimeout(resolve, 50));
const before = readable(0);
const sent = socket.send(new Uint8Array([7]), socket.addr);
const after = readable(5000);
const [bytes] = await received;
await sent;
const told = JSON.stringify({ before, after, bytes: [...bytes] });
Deno.stdout.writeSync(new TextEncoder().encode(told));
socket.close();

function readable(ms: number): boolean {
  const { entries, count } = pollEntries(eventLoopFds(), POLLIN);
  return libc.pollNow(entries, count, ms) > 0;
}
