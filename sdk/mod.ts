/**
 * Wrenn Sandbox: Linux microVMs for code that nobody trusts. Create one, run commands, move files, open
 * terminals, destroy it.
 *
 * The platform's address and key come from `WRENN_API_URL` and `WRENN_API_KEY` unless they are passed.
 *
 * @example
 * ```ts
 * import { Sandbox } from "@wrenn/sdk";
 *
 * await using sandbox = await Sandbox.create();
 * const { stdout } = await sandbox.commands.run("python3 -c 'print(sum(range(10)))'");
 * console.log(stdout); // 45
 * ```
 *
 * @module
 */
export {
  CommandHandle,
  type CommandHandleOptions,
  type CommandOutput,
} from "./src/command_handle.ts";
export { CommandResult, type CommandResultFields } from "./src/command_result.ts";
export { type CommandLine, type CommandOptions, Commands } from "./src/commands.ts";
export type { CallOptions, ConnectionOptions } from "./src/config.ts";
export {
  AuthenticationError,
  CommandExitError,
  ConflictError,
  InvalidRequestError,
  NoSpaceError,
  NotFoundError,
  RateLimitError,
  TimeoutError,
  UnavailableError,
  WrennError,
  type WrennErrorOptions,
} from "./src/errors.ts";
export type { SignalName } from "./src/exec_session.ts";
export type { FileInfo, FileType } from "./src/file_info.ts";
export {
  type FileContent,
  type FileOptions,
  Files,
  type ListOptions,
  type ReadOptions,
  type WrittenFile,
} from "./src/files.ts";
export { Pty, type PtyExit, PtyHandle, type PtyOptions, type PtySize } from "./src/pty.ts";
export {
  type Fork,
  type NetworkOptions,
  Sandbox,
  type SandboxCreateOptions,
  type SandboxListOptions,
} from "./src/sandbox.ts";
export type { OnTimeout, SandboxInfo, SandboxStatus } from "./src/sandbox_info.ts";
export { Snapshot, type SnapshotListOptions } from "./src/snapshot.ts";
export type {
  ForkReport,
  Generation,
  Receipt,
  RestedSandbox,
  Restored,
  SnapshotInfo,
  WokenSandbox,
} from "./src/snapshot_info.ts";
export { FileWatch, type WatchEvent, type WatchEventType, type WatchOptions } from "./src/watch.ts";
