import { assertEquals } from "@std/assert";
import { eventLoopFds } from "./event_loop.ts";
import { libc } from "./libc.ts";

Deno.test("eventLoopFds() are readable once a datagram has come, and not before", async () => {
  const socket = listen();
  const received = socket.receive();
  // What the loop had to do before is done.
  await new Promise((resolve) => setTimeout(resolve, 20));
  assertEquals(readable(0), false);
  const sender = listen();
  const sent = sender.send(new Uint8Array([7]), socket.addr);
  assertEquals(readable(5000), true);
  assertEquals([...(await received)[0]], [7]);
  await sent;
  socket.close();
  sender.close();
});

function listen(): Deno.DatagramConn {
  return Deno.listenDatagram({ transport: "udp", hostname: "127.0.0.1", port: 0 });
}

function readable(ms: number): boolean {
  const fds = eventLoopFds();
  const entries = new Uint8Array(fds.length * 8);
  const view = new DataView(entries.buffer);
  fds.forEach((fd, i) => {
    view.setInt32(i * 8, fd, true);
    view.setInt16(i * 8 + 4, 1, true);
  });
  return libc.pollNow(entries, BigInt(fds.length), ms) > 0;
}
