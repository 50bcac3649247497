/** The C library through FFI: sockets in other namespaces. Constants are those of Linux on x86_64 and aarch64. */

type Bytes = Uint8Array<ArrayBuffer>;

/** Functions of the C library, each as in its manual page. */
export interface Libc {
  /** Where `errno` is. */
  __errno_location(): Deno.PointerValue;
  /** open(2). */
  open(path: Bytes, flags: number): number;
  /** close(2). */
  close(fd: number): number;
  /** close(2), on a thread of its own. */
  closeAside(fd: number): Promise<number>;
  /** setns(2), for the calling thread. */
  setns(fd: number, type: number): number;
  /** socket(2). */
  socket(domain: number, type: number, protocol: number): number;
  /** setsockopt(2). */
  setsockopt(fd: number, level: number, option: number, value: Bytes, size: number): number;
  /** send(2), on a thread of its own. */
  sendAside(fd: number, bytes: Bytes, size: bigint, flags: number): Promise<bigint>;
  /** recv(2). */
  recv(fd: number, bytes: Bytes, size: bigint, flags: number): bigint;
}

/** The C library, open for the life of the process. */
export const libc: Libc = Deno.dlopen("libc.so.6", {
  __errno_location: { parameters: [], result: "pointer" },
  open: { parameters: ["buffer", "i32"], result: "i32" },
  close: { parameters: ["i32"], result: "i32" },
  closeAside: { name: "close", parameters: ["i32"], result: "i32", nonblocking: true },
  setns: { parameters: ["i32", "i32"], result: "i32" },
  socket: { parameters: ["i32", "i32", "i32"], result: "i32" },
  setsockopt: { parameters: ["i32", "i32", "i32", "buffer", "u32"], result: "i32" },
  sendAside: {
    name: "send",
    parameters: ["i32", "buffer", "usize", "i32"],
    result: "isize",
    nonblocking: true,
  },
  recv: { parameters: ["i32", "buffer", "usize", "i32"], result: "isize" },
}).symbols;

/** Error number of "resource temporarily unavailable" (errno(3)). */
export const EAGAIN = 11;

/** `errno` of the last call. Valid only right after a call that was not made aside. */
export function errno(): number {
  const location = libc.__errno_location();
  return location === null ? 0 : new Deno.UnsafePointerView(location).getInt32();
}

/** NUL-terminated UTF-8. */
export function cString(text: string): Bytes {
  return new TextEncoder().encode(`${text}\0`);
}

/** Passes a result that is not negative on, and throws for one that is. */
export function checked(result: number | bigint, call: string): number {
  if (result < 0) throw new Error(`Cannot ${call}: errno ${errno()}`);
  return Number(result);
}
