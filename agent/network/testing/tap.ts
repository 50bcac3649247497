/** TAP devices by FFI, from the side of a VMM. */
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

/**
 * File descriptor of a TAP, made if it is not there. The thread stays in its namespace: for programs that do nothing
 * else.
 *
 * @param place `NAMESPACE:TAP`
 */
export function openTap(place: string): number {
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

/** The next frame that the kernel sends, in `buffer`. */
export async function readFrame(
  fd: number,
  buffer: Uint8Array<ArrayBuffer>,
): Promise<Uint8Array<ArrayBuffer>> {
  const size = check(await libc.symbols.read(fd, buffer, BigInt(buffer.length)), "read frame");
  return buffer.subarray(0, size);
}

/** Gives the kernel a frame. One that the device refuses (it is down) is lost, as on a wire. */
export function writeFrame(fd: number, frame: Uint8Array<ArrayBuffer>): void {
  libc.symbols.write(fd, frame, BigInt(frame.length));
}
