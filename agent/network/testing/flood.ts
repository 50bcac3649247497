/**
 * `flood.ts ADDRESS PORT` sends UDP datagrams as fast as one processor can, until it is killed: some hundred thousand
 * a second, so that what is open for some microseconds shows. Prints `ready`.
 */
import { parseIpv4 } from "../../core/egress.ts";

const libc = Deno.dlopen("libc.so.6", {
  socket: { parameters: ["i32", "i32", "i32"], result: "i32" },
  connect: { parameters: ["i32", "buffer", "u32"], result: "i32" },
  send: { parameters: ["i32", "buffer", "usize", "i32"], result: "isize" },
}).symbols;
const AF_INET = 2;
const SOCK_DGRAM = 2;

const [host = "", port = ""] = Deno.args;
const address = new Uint8Array(16);
const view = new DataView(address.buffer);
view.setUint16(0, AF_INET, true);
view.setUint16(2, Number(port));
view.setUint32(4, parseIpv4(host) ?? 0);
const socket = libc.socket(AF_INET, SOCK_DGRAM, 0);
if (libc.connect(socket, address, address.length) !== 0) throw new Error("Cannot connect");
await Deno.stdout.write(new TextEncoder().encode("ready\n"));
const payload = new Uint8Array(1);
while (true) libc.send(socket, payload, 1n, 0);
