/**
 * Plays the VMM between two TAP devices: `tap_pump.ts A B` opens a TAP in each of two
 * network namespace and carries Ethernet frames both ways until it is killed. Prints `ready` when it does.
 */
const libc = Deno.dlopen("libc.so.6", {
  open: { parameters: ["buffer", "i32"], result: "i32" },
  setns: { parameters: ["i32", "i32"], result: "i32" },
  ioctl: { parameters: ["i32", "u64", "buffer"], result: "i32" },
  read: { parameters: ["i32", "buffer", "usize"], result: "isize", nonblocking: true },
  write: { parameters: ["i32", "buffer", "usize"], result: "isize" },
});
const O_RDWR = 2;
const CLONE_NEWNET = 0x40000000;
const TUNSETIFF = 0x400454can;
const IFF_TAP_NO_PI = 0x1002;
const encoder = new TextEncoder();

function check(result: number | bigint, what: string): number {
  if (Number(result) < 0) throw new Error(`Cannot ${what}`);
  return Number(result);
}

/** File descriptor of a TAP. FFI calls without `nonblocking` run on this thread, whose namespace they change. */
function openTap(place: string): number {
  const [namespace = "", tap = ""] = place.split(":");
  const path = (name: string): Uint8Array<ArrayBuffer> => encoder.encode(`${name}\0`);
  const ns = check(libc.symbols.open(path(`/run/netns/${namespace}`), 0), "open namespace");
  check(libc.symbols.setns(ns, CLONE_NEWNET), "enter namespace");
  const fd = check(libc.symbols.open(path("/dev/net/tun"), O_RDWR), "open tun");
  const request = new Uint8Array(40);
  request.set(encoder.encode(tap));
  new DataView(request.buffer).setUint16(16, IFF_TAP_NO_PI, true);
  check(libc.symbols.ioctl(fd, TUNSETIFF, request), "attach TAP");
  return fd;
}

/** Frames that a device refuses (it is down) are lost, as on a wire. */
async function pump(from: number, to: number): Promise<never> {
  const frame = new Uint8Array(65536);
  while (true) {
    const size = check(await libc.symbols.read(from, frame, BigInt(frame.length)), "read frame");
    libc.symbols.write(to, frame, BigInt(size));
  }
}

const [a = "", b = ""] = Deno.args;
const ends: [number, number] = [openTap(a), openTap(b)];
await Deno.stdout.write(encoder.encode("ready\n"));
await Promise.all([pump(...ends), pump(ends[1], ends[0])]);
