/** The C library through FFI: what Deno has no call for. Constants are those of Linux on x86_64 and aarch64. */

type Bytes = Uint8Array<ArrayBuffer>;

/** Functions of the C library, each as in its manual page. */
export interface Libc {
  /** Where `errno` is. */
  __errno_location(): Deno.PointerValue;
  /** open(2). */
  open(path: Bytes, flags: number, mode: number): number;
  /** close(2). */
  close(fd: number): number;
  /** read(2), on a thread of its own. */
  read(fd: number, buffer: Bytes, size: bigint): Promise<bigint>;
  /** write(2). */
  write(fd: number, buffer: Bytes, size: bigint): bigint;
  /** fcntl(2). */
  fcntl(fd: number, command: number, argument: bigint): number;
  /** ioctl(2). */
  ioctl(fd: number, request: bigint, argument: Bytes | null): number;
  /** poll(2), on a thread of its own. */
  poll(fds: Bytes, count: bigint, timeoutMs: number): Promise<number>;
  /** kill(2). */
  kill(pid: number, signal: number): number;
  /** getpriority(2). */
  getpriority(which: number, who: number): number;
  /** setpriority(2). */
  setpriority(which: number, who: number, nice: number): number;
  /** posix_openpt(3). */
  posix_openpt(flags: number): number;
  /** clock_settime(2). */
  clock_settime(clock: number, timespec: Bytes): number;
  /** statfs(2). */
  statfs(path: Bytes, buffer: Bytes): number;
  /** stat(2). */
  stat(path: Bytes, buffer: Bytes): number;
  /** setxattr(2). */
  setxattr(path: Bytes, name: Bytes, value: Bytes, size: bigint, flags: number): number;
  /** getxattr(2). */
  getxattr(path: Bytes, name: Bytes, value: Bytes, size: bigint): bigint;
  /** listxattr(2). */
  listxattr(path: Bytes, list: Bytes, size: bigint): bigint;
  /** removexattr(2). */
  removexattr(path: Bytes, name: Bytes): number;
  /** syscall(2), for calls that act on this thread alone. */
  syscall(number: bigint, a: bigint, b: bigint, c: bigint): bigint;
  /** syscall(2) with a buffer as its second argument. */
  syscallBuffer(number: bigint, a: bigint, b: Bytes): bigint;
  /** pipe2(2). */
  pipe2(fds: Bytes, flags: number): number;
  /** read(2) of a descriptor that does not block. */
  readNow(fd: number, buffer: Bytes, size: bigint): bigint;
  /** poll(2) that holds envd up meanwhile. */
  pollNow(fds: Bytes, count: bigint, timeoutMs: number): number;
  /** access(2). */
  access(path: Bytes, mode: number): number;
  /** pwrite(2). */
  pwrite(fd: number, buffer: Bytes, size: bigint, offset: bigint): bigint;
  /** lseek(2). */
  lseek(fd: number, offset: bigint, whence: number): bigint;
  /** ftruncate(2). */
  ftruncate(fd: number, size: bigint): number;
  /** sethostname(2). */
  sethostname(name: Bytes, size: bigint): number;
  /** waitpid(2). */
  waitpid(pid: number, status: Bytes, options: number): number;
  /** sync(2), on a thread of its own. */
  sync(): Promise<void>;
  /** posix_spawn(3). */
  posix_spawn(
    pid: Bytes,
    path: Bytes,
    actions: Bytes,
    attributes: Bytes,
    argv: Bytes,
    envp: Bytes,
  ): number;
  /** posix_spawn_file_actions_init(3). */
  posix_spawn_file_actions_init(actions: Bytes): number;
  /** posix_spawn_file_actions_adddup2(3). */
  posix_spawn_file_actions_adddup2(actions: Bytes, fd: number, newFd: number): number;
  /** posix_spawn_file_actions_addchdir_np(3). */
  posix_spawn_file_actions_addchdir_np(actions: Bytes, path: Bytes): number;
  /** posix_spawn_file_actions_destroy(3). */
  posix_spawn_file_actions_destroy(actions: Bytes): number;
  /** posix_spawnattr_init(3). */
  posix_spawnattr_init(attributes: Bytes): number;
  /** posix_spawnattr_setflags(3). */
  posix_spawnattr_setflags(attributes: Bytes, flags: number): number;
  /** posix_spawnattr_setsigdefault(3). */
  posix_spawnattr_setsigdefault(attributes: Bytes, signals: Bytes): number;
  /** posix_spawnattr_setsigmask(3). */
  posix_spawnattr_setsigmask(attributes: Bytes, signals: Bytes): number;
  /** inotify_init1(2). */
  inotify_init1(flags: number): number;
  /** inotify_add_watch(2). */
  inotify_add_watch(fd: number, path: Bytes, mask: number): number;
  /** inotify_rm_watch(2). */
  inotify_rm_watch(fd: number, watch: number): number;
}

/** The C library, open for the life of the process. */
export const libc: Libc = Deno.dlopen("libc.so.6", {
  __errno_location: { parameters: [], result: "pointer" },
  open: { parameters: ["buffer", "i32", "i32"], result: "i32" },
  close: { parameters: ["i32"], result: "i32" },
  write: { parameters: ["i32", "buffer", "usize"], result: "isize" },
  fcntl: { parameters: ["i32", "i32", "i64"], result: "i32" },
  ioctl: { parameters: ["i32", "u64", "buffer"], result: "i32" },
  poll: { parameters: ["buffer", "u64", "i32"], result: "i32", nonblocking: true },
  kill: { parameters: ["i32", "i32"], result: "i32" },
  getpriority: { parameters: ["i32", "u32"], result: "i32" },
  setpriority: { parameters: ["i32", "u32", "i32"], result: "i32" },
  posix_openpt: { parameters: ["i32"], result: "i32" },
  clock_settime: { parameters: ["i32", "buffer"], result: "i32" },
  statfs: { parameters: ["buffer", "buffer"], result: "i32" },
  stat: { parameters: ["buffer", "buffer"], result: "i32" },
  setxattr: { parameters: ["buffer", "buffer", "buffer", "usize", "i32"], result: "i32" },
  getxattr: { parameters: ["buffer", "buffer", "buffer", "usize"], result: "isize" },
  listxattr: { parameters: ["buffer", "buffer", "usize"], result: "isize" },
  removexattr: { parameters: ["buffer", "buffer"], result: "i32" },
  inotify_init1: { parameters: ["i32"], result: "i32" },
  inotify_add_watch: { parameters: ["i32", "buffer", "u32"], result: "i32" },
  inotify_rm_watch: { parameters: ["i32", "i32"], result: "i32" },
  read: { parameters: ["i32", "buffer", "usize"], result: "isize", nonblocking: true },
  syscall: { parameters: ["i64", "i64", "i64", "i64"], result: "i64" },
  syscallBuffer: { name: "syscall", parameters: ["i64", "i64", "buffer"], result: "i64" },
  pipe2: { parameters: ["buffer", "i32"], result: "i32" },
  readNow: { name: "read", parameters: ["i32", "buffer", "usize"], result: "isize" },
  pollNow: { name: "poll", parameters: ["buffer", "u64", "i32"], result: "i32" },
  access: { parameters: ["buffer", "i32"], result: "i32" },
  pwrite: { parameters: ["i32", "buffer", "usize", "i64"], result: "isize" },
  lseek: { parameters: ["i32", "i64", "i32"], result: "i64" },
  ftruncate: { parameters: ["i32", "i64"], result: "i32" },
  sethostname: { parameters: ["buffer", "usize"], result: "i32" },
  waitpid: { parameters: ["i32", "buffer", "i32"], result: "i32" },
  sync: { parameters: [], result: "void", nonblocking: true },
  posix_spawn: {
    parameters: ["buffer", "buffer", "buffer", "buffer", "buffer", "buffer"],
    result: "i32",
  },
  posix_spawn_file_actions_init: { parameters: ["buffer"], result: "i32" },
  posix_spawn_file_actions_adddup2: { parameters: ["buffer", "i32", "i32"], result: "i32" },
  posix_spawn_file_actions_addchdir_np: { parameters: ["buffer", "buffer"], result: "i32" },
  posix_spawn_file_actions_destroy: { parameters: ["buffer"], result: "i32" },
  posix_spawnattr_init: { parameters: ["buffer"], result: "i32" },
  posix_spawnattr_setflags: { parameters: ["buffer", "i16"], result: "i32" },
  posix_spawnattr_setsigdefault: { parameters: ["buffer", "buffer"], result: "i32" },
  posix_spawnattr_setsigmask: { parameters: ["buffer", "buffer"], result: "i32" },
}).symbols;

/** Error numbers that are told apart (errno(3)). */
export const Errno = {
  ENOENT: 2,
  ESRCH: 3,
  EINTR: 4,
  E2BIG: 7,
  ENOEXEC: 8,
  EAGAIN: 11,
  ENOMEM: 12,
  EACCES: 13,
  ENOTDIR: 20,
  ENFILE: 23,
  EMFILE: 24,
  ENOSPC: 28,
  ERANGE: 34,
  ENODATA: 61,
  EOPNOTSUPP: 95,
} as const;

/** `errno` of the last call. Valid only right after a call that was not `nonblocking`. */
export function errno(): number {
  const location = libc.__errno_location();
  return location === null ? 0 : new Deno.UnsafePointerView(location).getInt32();
}

/** NUL-terminated UTF-8. */
export function cString(text: string): Uint8Array<ArrayBuffer> {
  return new TextEncoder().encode(`${text}\0`);
}

/** A failed call of the C library. */
export class LibcError extends Error {
  /** Always `LibcError`. */
  override readonly name: string = "LibcError";
  /** Error number. */
  readonly errno: number;

  /** @param call What was tried. @param number Error number. */
  constructor(call: string, number: number) {
    super(`Cannot ${call}: errno ${number}`);
    this.errno = number;
  }
}

/** Passes a result that is not negative on, and throws for one that is. */
export function checked(result: number | bigint, call: string): number {
  if (result < 0) throw new LibcError(call, errno());
  return Number(result);
}
