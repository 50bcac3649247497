/** Prints whether this process's event loop has something to do, before and after a datagram came to it. */
import { eventLoopFds } from "../linux/event_loop.ts";
import { libc } from "../linux/libc.ts";

const POLLIN = 1;
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
  const fds = eventLoopFds();
  const entries = new Uint8Array(fds.length * 8);
  const view = new DataView(entries.buffer);
  fds.forEach((fd, i) => {
    view.setInt32(i * 8, fd, true);
    view.setInt16(i * 8 + 4, POLLIN, true);
  });
  return libc.pollNow(entries, BigInt(fds.length), ms) > 0;
}
