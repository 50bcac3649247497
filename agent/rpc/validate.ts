/** Requests checked before anything acts on them. Errors name the field as in the proto file. */
import type {
  Command,
  FileRef,
  NetworkPolicy as WirePolicy,
  PtySize,
  SandboxSpec as WireSpec,
} from "@wrenn/proto/agent";
import { OnTimeout } from "@wrenn/proto/agent";
import {
  isSandboxId,
  isSnapshotId,
  type SandboxId,
  type SnapshotId,
  WrennError,
} from "@wrenn/common";
import type { GuestCommand, TerminalSize } from "../guest/processes.ts";
import type { GuestFileRef } from "../guest/files.ts";
import type { NetworkPolicy } from "../network/slots.ts";
import type { ForkChild } from "../sandbox/manager.ts";
import type { SandboxOrder, SandboxSpec } from "../sandbox/types.ts";

const EXECUTION_ID = /^[0-9A-Za-z-]{1,64}$/;
const TEMPLATE = /^[a-z0-9][a-z0-9._-]{0,62}$/;
const ENV_NAME = /^[A-Za-z_][A-Za-z0-9_]*$/;
const CIDR = /^(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.(\d{1,3})\/(\d{1,2})$/;
const MAX_PATH_BYTES = 4096;
/** Linux takes no longer single argument or variable (MAX_ARG_STRLEN). */
const MAX_ARG_BYTES = 128 * 1024;
/** All arguments and variables of one command. */
const MAX_ARGS_BYTES = 1024 * 1024;
const MAX_USER_BYTES = 256;
const MAX_CIDRS = 1000;
const MAX_FORKS = 100;
/** Fits a timer: 24 days. */
const MAX_TIMEOUT_SEC = 2_000_000;

const encoder = new TextEncoder();
const bytes = (text: string): number => encoder.encode(text).length;

/** @throws {WrennError} `invalid_request` naming the field. */
export function refuse(field: string, why: string): never {
  throw new WrennError("invalid_request", `Field '${field}' ${why}`);
}

/** A sandbox id. */
export function sandboxId(text: string, field: string = "id"): SandboxId {
  return isSandboxId(text) ? text : refuse(field, "must be 'sb-' and 8 hex digits");
}

/** An execution id; empty where it may be left out. */
export function executionId(text: string, options: { optional: boolean }): string {
  if (text === "" && options.optional) return "";
  if (EXECUTION_ID.test(text)) return text;
  return refuse("execution_id", "must be 1 to 64 letters, digits or dashes");
}

/** A create request; with a snapshot, template and size come from it. */
export function sandboxOrder(request: {
  id: string;
  executionId: string;
  spec?: WireSpec | undefined;
  snapshotId?: string;
}): SandboxOrder {
  const id = sandboxId(request.id);
  const execution = executionId(request.executionId, { optional: false });
  const { spec, snapshotId: from } = request;
  const whole = from && spec ? { ...spec, template: "snapshot", vcpus: 1, memoryMb: 64 } : spec;
  return { id, executionId: execution, spec: sandboxSpec(whole) };
}

const ON_TIMEOUT: Readonly<Partial<Record<OnTimeout, SandboxSpec["onTimeout"]>>> = {
  [OnTimeout.PAUSE]: "pause",
  [OnTimeout.HIBERNATE]: "hibernate",
};

/** A snapshot id. */
export function snapshotId(text: string, field: string = "id"): SnapshotId {
  return isSnapshotId(text) ? text : refuse(field, "must be 'snap-' and 16 hex digits");
}

/** The copies that a fork makes. */
export function forkChildren(
  children: readonly { readonly id: string; readonly executionId: string }[],
): ForkChild[] {
  if (children.length < 1 || children.length > MAX_FORKS) {
    refuse("children", `must be 1 to ${MAX_FORKS}`);
  }
  const ids = new Set(children.map(({ id }) => id));
  if (ids.size !== children.length) refuse("children", "must have different ids");
  return children.map((child) => ({
    id: sandboxId(child.id, "children.id"),
    executionId: executionId(child.executionId, { optional: false }),
  }));
}

/** A generation's number. */
export function generationNumber(value: bigint): number {
  if (value < 1n) refuse("generation", "must be at least 1");
  return byteCount(value, "generation");
}

function sandboxSpec(spec: WireSpec | undefined): SandboxSpec {
  if (spec === undefined) return refuse("spec", "is missing");
  if (!TEMPLATE.test(spec.template)) refuse("spec.template", "is not a template name");
  return {
    template: spec.template,
    vcpus: within(spec.vcpus, 1, 64, "spec.vcpus"),
    memoryMb: within(spec.memoryMb, 64, 1 << 20, "spec.memory_mb"),
    diskMb: within(spec.diskMb, 0, 1 << 24, "spec.disk_mb"),
    timeoutSec: within(spec.timeoutSec, 0, 0xffffffff, "spec.timeout_sec"),
    onTimeout: ON_TIMEOUT[spec.onTimeout] ?? "destroy",
    env: environment(spec.env, "spec.env"),
    network: networkPolicy(spec.network),
  };
}

/** Absent means the internet is open: a policy is given to close things. */
function networkPolicy(policy: WirePolicy | undefined): NetworkPolicy {
  return {
    internet: policy?.internet ?? true,
    allowOut: cidrs(policy?.allowOut ?? [], "spec.network.allow_out"),
    denyOut: cidrs(policy?.denyOut ?? [], "spec.network.deny_out"),
  };
}

function cidrs(texts: readonly string[], field: string): readonly string[] {
  if (texts.length > MAX_CIDRS) refuse(field, `has more than ${MAX_CIDRS} entries`);
  for (const text of texts) {
    const [, ...parts] = CIDR.exec(text)?.map(Number) ?? [];
    const prefix = parts.pop();
    if (prefix === undefined || prefix > 32 || parts.some((part) => part > 255)) {
      refuse(field, "must hold IPv4 ranges 'a.b.c.d/n'");
    }
  }
  return texts;
}

/** A command. */
export function guestCommand(command: Command | undefined): GuestCommand {
  if (command === undefined) return refuse("command", "is missing");
  const { cmd, args, cwd, env, user, timeoutSec } = command;
  if (cmd === "") refuse("command.cmd", "must not be empty");
  if (bytes(cmd) > MAX_PATH_BYTES) refuse("command.cmd", `is longer than ${MAX_PATH_BYTES} bytes`);
  noNul(cmd, "command.cmd");
  let total = 0;
  for (const arg of args) {
    noNul(arg, "command.args");
    const size = bytes(arg);
    if (size >= MAX_ARG_BYTES) refuse("command.args", `holds more than ${MAX_ARG_BYTES} bytes`);
    total += size + 1;
  }
  if (total > MAX_ARGS_BYTES) refuse("command.args", `are longer than ${MAX_ARGS_BYTES} bytes`);
  if (cwd !== "") pathText(cwd, "command.cwd");
  return {
    cmd,
    args,
    cwd,
    env: environment(env, "command.env"),
    user: userName(user, "command.user"),
    timeoutSec: within(timeoutSec, 0, MAX_TIMEOUT_SEC, "command.timeout_sec"),
  };
}

/** A terminal's size. */
export function terminalSize({ cols, rows }: PtySize, field: string): TerminalSize {
  return {
    cols: within(cols, 1, 65535, `${field}.cols`),
    rows: within(rows, 1, 65535, `${field}.rows`),
  };
}

/** A signal that can be sent. */
export function signalNumber(signal: number): number {
  return within(signal, 1, 31, "signal");
}

/** A file in a sandbox. */
export function fileRef(file: FileRef | undefined): GuestFileRef & { readonly id: SandboxId } {
  if (file === undefined) return refuse("file", "is missing");
  return {
    id: sandboxId(file.id, "file.id"),
    path: pathText(file.path, "file.path"),
    user: userName(file.user, "file.user"),
  };
}

/** A path as text; the guest resolves it. @throws {WrennError} `invalid_path` naming the field. */
export function pathText(path: string, field: string): string {
  const invalid = (why: string): never => {
    throw new WrennError("invalid_path", `Field '${field}' ${why}`);
  };
  if (path === "") return invalid("must not be empty");
  if (path.includes("\0")) return invalid("contains a NUL byte");
  if (bytes(path) > MAX_PATH_BYTES) return invalid(`is longer than ${MAX_PATH_BYTES} bytes`);
  return path;
}

/** A byte count that JavaScript can hold. */
export function byteCount(value: bigint, field: string): number {
  if (value > BigInt(Number.MAX_SAFE_INTEGER)) refuse(field, "is too large");
  return Number(value);
}

/** A whole number within limits. */
export function within(value: number, min: number, max: number, field: string): number {
  if (value >= min && value <= max) return value;
  return refuse(field, `must be ${min} to ${max}`);
}

/** A Linux user's name. Who is known is the guest's to say. @throws {WrennError} `invalid_user` */
function userName(user: string, field: string): string {
  // deno-lint-ignore no-control-regex
  if (/[\0-\x1f\x7f:/]/.test(user) || bytes(user) > MAX_USER_BYTES) {
    throw new WrennError("invalid_user", `Field '${field}' is not a user name`);
  }
  return user;
}

function environment(
  env: Readonly<Record<string, string>>,
  field: string,
): Readonly<Record<string, string>> {
  let total = 0;
  for (const [name, value] of Object.entries(env)) {
    if (!ENV_NAME.test(name)) {
      refuse(field, "has a name that is not letters, digits and underscores");
    }
    noNul(value, field);
    const size = bytes(name) + bytes(value) + 2;
    if (size > MAX_ARG_BYTES) refuse(field, `has a value longer than ${MAX_ARG_BYTES} bytes`);
    total += size;
  }
  if (total > MAX_ARGS_BYTES) refuse(field, `is longer than ${MAX_ARGS_BYTES} bytes`);
  return env;
}

function noNul(text: string, field: string): void {
  if (text.includes("\0")) refuse(field, "contains a NUL byte");
}
