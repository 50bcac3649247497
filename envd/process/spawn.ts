/** Starting one program as a user: lookup, identity, priority, and the errors that tell what was wrong. */
import { WrennError } from "@wrenn/common/errors";
import { logger } from "@wrenn/common/log";
import type { User } from "../core/user_db.ts";
import { checked, cString, libc } from "../linux/libc.ts";
import { fileMode } from "../linux/stat.ts";

/** OOM score of started processes: they go before envd does. */
const CHILD_OOM_SCORE = "100";
const OOM_FILE = "/proc/self/oom_score_adj";
const PRIO_PROCESS = 0;
const O_RDWR_CLOEXEC = 0o2000002;

/** A program with everything decided: absolute path, user, directory, environment. */
export interface LaunchSpec {
  /** Absolute path of the executable. */
  program: string;
  /** Arguments without the program. */
  args: readonly string[];
  /** Absolute directory, known to exist. */
  cwd: string;
  /** Whole environment. */
  env: Record<string, string>;
  /** Who runs it. */
  user: User;
  /** Group ids beyond the primary one. */
  groups: readonly number[];
}

/** Kinds of standard streams of a started program. */
export interface LaunchStreams {
  /** Standard input. */
  stdin: "piped" | "null";
  /** Standard output and standard error. */
  output: "piped" | "null";
}

/**
 * The executable behind a command: with a slash relative to `cwd`, else searched in `path`.
 *
 * @throws {WrennError} `command_not_found` when there is none or it cannot be executed.
 */
export function findProgram(cmd: string, cwd: string, path: string): string {
  if (cmd === "") throw new WrennError("invalid_request", "Command is empty");
  if (cmd.includes("\0")) throw new WrennError("invalid_request", "Command contains a NUL byte");
  const candidates = cmd.includes("/")
    ? [cmd.startsWith("/") ? cmd : `${cwd}/${cmd}`]
    : path.split(":").filter((dir) => dir.startsWith("/")).map((dir) => `${dir}/${cmd}`);
  let refused = false;
  for (const candidate of candidates) {
    const found = fileMode(candidate);
    if (!found?.isFile) continue;
    if (found.isExecutable) return candidate;
    refused = true;
  }
  throw new WrennError(
    "command_not_found",
    refused ? `Cannot run '${cmd}': permission denied` : `Cannot run '${cmd}': command not found`,
  );
}

/** Starts the program as leader of its own session and process group. */
export function launch(spec: LaunchSpec, streams: LaunchStreams): Deno.ChildProcess {
  const { program, args, identity } = withIdentity(spec);
  const command = new Deno.Command(program, {
    args,
    cwd: spec.cwd,
    env: spec.env,
    clearEnv: true,
    detached: true,
    ...identity,
    stdin: streams.stdin,
    stdout: streams.output,
    stderr: streams.output,
  });
  const child = spawnKillable(command, spec);
  resetNice(child.pid);
  return child;
}

/** Sends a signal to a process group; false when it is gone. */
export function signalGroup(pid: number, signal: number): boolean {
  return libc.kill(-pid, signal) === 0;
}

function withIdentity(
  spec: LaunchSpec,
): { program: string; args: string[]; identity: { uid?: number; gid?: number } } {
  const { user, program } = spec;
  const args = [...spec.args];
  const same = user.uid === Deno.uid() && user.gid === Deno.gid();
  if (same && spec.groups.length === 0) return { program, args, identity: {} };
  const setpriv = spec.groups.length > 0 ? setprivCommand() : undefined;
  if (!setpriv) return { program, args, identity: { uid: user.uid, gid: user.gid } };
  const [first, ...rest] = setpriv;
  const switches = [
    `--reuid=${user.uid}`,
    `--regid=${user.gid}`,
    `--groups=${[user.gid, ...spec.groups].join(",")}`,
  ];
  return { program: first, args: [...rest, ...switches, "--", program, ...args], identity: {} };
}

let setpriv: [string, ...string[]] | null | undefined;

/** How setpriv is started: the one Wrenn brings, with its own loader, else the image's. */
function setprivCommand(): [string, ...string[]] | undefined {
  if (setpriv === undefined) {
    const lib = "/opt/wrenn/lib";
    const loader = Deno.build.arch === "aarch64"
      ? `${lib}/ld-linux-aarch64.so.1`
      : `${lib}/ld-linux-x86-64.so.2`;
    const own = "/opt/wrenn/bin/setpriv";
    if (isFile(own) && isFile(loader)) setpriv = [loader, "--library-path", lib, own];
    else setpriv = isFile("/usr/bin/setpriv") ? ["/usr/bin/setpriv"] : null;
    if (setpriv === null) {
      logger("envd", "process").warn("Cannot set supplementary groups: setpriv is missing");
    }
  }
  return setpriv ?? undefined;
}

function isFile(path: string): boolean {
  return fileMode(path)?.isFile ?? false;
}

function spawnKillable(command: Deno.Command, spec: LaunchSpec): Deno.ChildProcess {
  return killable(spec, () => command.spawn());
}

/**
 * Spawns while envd carries the child's OOM score: inheriting it leaves no moment without.
 *
 * @throws {WrennError} What was wrong with the program.
 */
export function killable<T>(spec: Pick<LaunchSpec, "program" | "cwd" | "user">, spawn: () => T): T {
  const own = ownOomScore();
  if (own !== undefined) setOomScore(CHILD_OOM_SCORE);
  try {
    return spawn();
  } catch (error) {
    throw spawnError(error, spec);
  } finally {
    if (own !== undefined) setOomScore(own);
  }
}

let oomFile: number | undefined;

/** By an open descriptor: twice for every command. */
function setOomScore(score: string): void {
  oomFile ??= checked(libc.open(cString(OOM_FILE), O_RDWR_CLOEXEC, 0), "open the OOM score");
  const bytes = new TextEncoder().encode(score);
  checked(libc.pwrite(oomFile, bytes, BigInt(bytes.length), 0n), "set the OOM score");
}

let oomScore: string | null | undefined;

/** envd's own OOM score, or undefined when it cannot be lowered back (no CAP_SYS_RESOURCE). */
function ownOomScore(): string | undefined {
  if (oomScore === undefined) {
    const own = Deno.readTextFileSync(OOM_FILE).trim();
    try {
      Deno.writeTextFileSync(OOM_FILE, own);
      oomScore = own === CHILD_OOM_SCORE ? null : own;
    } catch (error) {
      logger("envd", "process").warn("Cannot set OOM scores", { error });
      oomScore = null;
    }
  }
  return oomScore ?? undefined;
}

let ownNice: number | undefined;

/** Gives a started program the usual priority. */
export function resetNice(pid: number): void {
  ownNice ??= libc.getpriority(PRIO_PROCESS, 0);
  if (ownNice !== 0) libc.setpriority(PRIO_PROCESS, pid, 0);
}

function spawnError(
  error: unknown,
  spec: Pick<LaunchSpec, "program" | "cwd" | "user">,
): WrennError {
  const code = (error as { code?: unknown }).code;
  const reject = (
    kind: "command_not_found" | "permission_denied" | "invalid_request",
    why: string,
  ) => new WrennError(kind, `Cannot run '${spec.program}': ${why}`, { cause: error });
  switch (code) {
    case "ENOENT":
      return reject("command_not_found", "command or its interpreter not found");
    case "ENOEXEC":
      return reject("command_not_found", "not an executable format");
    case "EACCES":
      return reject(
        "permission_denied",
        `permission denied for user '${spec.user.name}' in '${spec.cwd}'`,
      );
    case "E2BIG":
      return reject("invalid_request", "arguments and environment are too long");
    case "EINVAL":
      return reject("invalid_request", "an argument or variable contains a NUL byte");
    case "EAGAIN":
    case "ENOMEM":
    case "EMFILE":
    case "ENFILE":
      return new WrennError("too_many_requests", "Cannot start: the guest is out of resources", {
        cause: error,
      });
    default:
      return new WrennError("internal", "Cannot start the process", { cause: error });
  }
}
