/** Starting a program by posix_spawn(3): without a copy of envd's page tables, which a fork makes. */
import { cString, Errno, libc } from "../linux/libc.ts";
import { asUser, type Identity } from "./as_user.ts";

/** What is started. */
export interface SpawnSpec extends Identity {
  /** Absolute path. */
  readonly program: string;
  /** Arguments without the program. */
  readonly args: readonly string[];
  /** Absolute directory. */
  readonly cwd: string;
  /** Whole environment. */
  readonly env: Readonly<Record<string, string>>;
  /** Descriptors that become 0, 1 and 2. */
  readonly streams: readonly [stdin: number, stdout: number, stderr: number];
}

/** Sizes of the C library's types, with room. */
const ATTRIBUTES_BYTES = 512;
const ACTIONS_BYTES = 128;
const SIGSET_BYTES = 128;
const SETSIGDEF = 0x04;
const SETSIGMASK = 0x08;
const SETSID = 0x80;

/** A program that could not be started: the C library's error number. */
export class SpawnError extends Error {
  override readonly name: string = "SpawnError";
  /** Error number. */
  readonly errno: number;
  /** Deno's name for it, as its own errors carry it. */
  readonly code: string | undefined;

  constructor(errno: number) {
    super(`Cannot spawn: errno ${errno}`);
    this.errno = errno;
    this.code = Object.entries(Errno).find(([, number]) => number === errno)?.[0];
  }
}

let attributes: Uint8Array<ArrayBuffer> | undefined;

/**
 * Starts a program as leader of a session of its own, with no signal ignored or blocked. Nobody else waits for it:
 * the caller must.
 *
 * @returns Its process id. @throws {SpawnError}
 */
export function posixSpawn(spec: SpawnSpec): number {
  attributes ??= makeAttributes();
  const actions = new Uint8Array(ACTIONS_BYTES);
  libc.posix_spawn_file_actions_init(actions);
  const pid = new Uint8Array(4);
  const program = cString(spec.program);
  const argv = texts([spec.program, ...spec.args]);
  const envp = texts(Object.entries(spec.env).map(([name, value]) => `${name}=${value}`));
  try {
    spec.streams.forEach((fd, i) => libc.posix_spawn_file_actions_adddup2(actions, fd, i));
    libc.posix_spawn_file_actions_addchdir_np(actions, cString(spec.cwd));
    const [attr, args, env] = [attributes, argv.pointers, envp.pointers];
    const failed = asUser(
      spec,
      () => libc.posix_spawn(pid, program, actions, attr, args, env),
    );
    if (failed !== 0) throw new SpawnError(failed);
    return new DataView(pid.buffer).getInt32(0, true);
  } finally {
    libc.posix_spawn_file_actions_destroy(actions);
    // The texts must live until here.
    argv.keep(envp);
  }
}

function makeAttributes(): Uint8Array<ArrayBuffer> {
  const made = new Uint8Array(ATTRIBUTES_BYTES);
  libc.posix_spawnattr_init(made);
  libc.posix_spawnattr_setflags(made, SETSID | SETSIGDEF | SETSIGMASK);
  libc.posix_spawnattr_setsigdefault(made, new Uint8Array(SIGSET_BYTES).fill(0xff));
  libc.posix_spawnattr_setsigmask(made, new Uint8Array(SIGSET_BYTES));
  return made;
}

interface Texts {
  /** Addresses, ended by a null. */
  readonly pointers: Uint8Array<ArrayBuffer>;
  keep(...others: unknown[]): void;
}

/** C strings in one buffer, and the list of where they begin. */
function texts(all: readonly string[]): Texts {
  const encoder = new TextEncoder();
  const encoded = all.map((text) => encoder.encode(text));
  const bytes = new Uint8Array(encoded.reduce((sum, { length }) => sum + length + 1, 1));
  const start = Deno.UnsafePointer.value(Deno.UnsafePointer.of(bytes));
  const pointers = new BigUint64Array(all.length + 1);
  let at = 0;
  encoded.forEach((text, i) => {
    bytes.set(text, at);
    pointers[i] = BigInt(start) + BigInt(at);
    at += text.length + 1;
  });
  return { pointers: new Uint8Array(pointers.buffer), keep: () => void bytes };
}
