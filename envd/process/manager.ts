/** All processes that envd started, by pid and by tag. */
import { WrennError } from "@wrenn/common/errors";
import { resolvePath } from "../core/paths.ts";
import type { User } from "../core/user_db.ts";
import type { GuestState } from "../init/state.ts";
import type { Users } from "../linux/users.ts";
import type { PtySize } from "../pty/pty.ts";
import type { Subscription } from "./broadcast.ts";
import {
  ManagedProcess,
  type ProcessBackend,
  type ProcessConfig,
  type ProcessOutput,
} from "./managed_process.ts";
import { startOnPipes } from "./pipe_backend.ts";
import { type OneShotLimits, type OneShotResult, OneShots } from "./one_shot.ts";
import { fileMode } from "../linux/stat.ts";
import { findProgram, killable, type LaunchSpec, resetNice } from "./spawn.ts";

/** How long the end of a process is told to those who come late, in milliseconds. */
const KEEP_ENDED_MS = 30_000;
const ACTIVE_MS = 60_000;
const DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/** A request to start a process. */
export interface StartSpec {
  /** Command, arguments, environment, directory. */
  config: ProcessConfig;
  /** Who runs it. */
  user: User;
  /** Name to find it by. */
  tag: string | undefined;
  /** Terminal size; absent means pipes. */
  pty: PtySize | undefined;
  /** False gives `/dev/null` as standard input. */
  stdin: boolean;
  /** Kill deadline in milliseconds, 0 for none. */
  deadlineMs: number;
}

/** How a caller names a process. */
export type Selector = { pid: number } | { tag: string };

/** What the manager needs. */
export interface ProcessManagerOptions {
  /** Environment and default directory from `/init`. */
  state: GuestState;
  /** Users of the machine. */
  users: Users;
  /** PATH of started processes. */
  path?: string | undefined;
  /** Told of every start. */
  onStart?: () => void;
  /** Starts a program on a pseudo-terminal. */
  startOnPty: (spec: LaunchSpec, size: PtySize) => Promise<ProcessBackend>;
}

/** Starts processes and finds them again. */
export class ProcessManager implements AsyncDisposable {
  readonly #state: GuestState;
  readonly #users: Users;
  readonly #path: string;
  readonly #startOnPty: ProcessManagerOptions["startOnPty"];
  readonly #onStart: () => void;
  readonly #running: Map<number, ManagedProcess> = new Map();
  /** Everything whose output somebody holds, the ended included. */
  readonly #unreleased: Set<ManagedProcess> = new Set();
  readonly #oneShots = new OneShots(() => this.#running.size > 0);
  #lastStart = performance.now();
  readonly #ended: Map<number, { process: ManagedProcess; timer: ReturnType<typeof setTimeout> }> =
    new Map();

  /** @param options State, users and the starters. */
  constructor(options: ProcessManagerOptions) {
    this.#state = options.state;
    this.#users = options.users;
    this.#path = options.path || DEFAULT_PATH;
    this.#startOnPty = options.startOnPty;
    this.#onStart = options.onStart ?? (() => {});
  }

  /**
   * Starts a process and subscribes its first reader.
   *
   * @throws {WrennError} `invalid_path` for the directory, `command_not_found`, `permission_denied`,
   * `invalid_request`.
   */
  async start(
    spec: StartSpec,
  ): Promise<{ process: ManagedProcess; output: Subscription<ProcessOutput> }> {
    const launch = this.#prepare(spec);
    const backend = spec.pty
      ? await this.#startOnPty(launch, spec.pty)
      : startOnPipes(launch, spec.stdin);
    const process = new ManagedProcess(backend, spec.config, spec.tag);
    const output = process.subscribe();
    this.#noteStart();
    this.#forget(process.pid);
    this.#running.set(process.pid, process);
    if (spec.deadlineMs > 0) process.killAfter(spec.deadlineMs);
    this.#unreleased.add(process);
    void process.ended.then(() => this.#keepEnded(process));
    void process.released.then(() => this.#unreleased.delete(process));
    return { process, output };
  }

  /**
   * Runs a command to its end with its output collected and no input.
   *
   * @param wanted Asked from time to time; once it says no the command is killed.
   * @throws {WrennError} As {@linkcode start}.
   */
  async runOnce(
    spec: Pick<StartSpec, "config" | "user">,
    limits: OneShotLimits,
    wanted: () => boolean,
  ): Promise<OneShotResult> {
    const { user, groups, ...launch } = this.#prepare(spec);
    const { uid, gid } = user;
    this.#noteStart();
    return await this.#oneShots.run(
      { ...launch, uid, gid, groups },
      limits,
      wanted,
      (spawn) => {
        const pid = killable({ ...launch, user }, spawn);
        resetNice(pid);
        return pid;
      },
    );
  }

  /** Kills everything that was started, and waits for the ends. */
  async endAll(): Promise<void> {
    await this[Symbol.asyncDispose]();
  }

  /** True while something runs, and for a minute after the last start: daemons outlive their starter. */
  get active(): boolean {
    return this.#running.size > 0 || this.#oneShots.size > 0 ||
      performance.now() - this.#lastStart < ACTIVE_MS;
  }

  /** Processes that run. */
  list(): ManagedProcess[] {
    return [...this.#running.values()];
  }

  /**
   * A running process.
   *
   * @throws {WrennError} `process_not_found`.
   */
  running(selector: Selector): ManagedProcess {
    const found = "pid" in selector
      ? this.#running.get(selector.pid)
      : this.list().findLast((process) => process.tag === selector.tag);
    if (found && !found.report) return found;
    throw notFound(selector);
  }

  /**
   * A running process, or one that ended within the last 30 seconds.
   *
   * @throws {WrennError} `process_not_found`.
   */
  recent(selector: Selector): ManagedProcess {
    const ended = [...this.#ended.values()].map(({ process }) => process);
    const all = [...ended, ...this.list()];
    const found = all.findLast((process) =>
      "pid" in selector ? process.pid === selector.pid : process.tag === selector.tag
    );
    if (found) return found;
    throw notFound(selector);
  }

  /** Kills everything and waits for the ends. For shutdown and tests. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#oneShots.killAll();
    const running = this.list();
    for (const process of running) {
      if (!process.report) process.kill();
    }
    await Promise.all(running.map((process) => process.ended));
    await Promise.all([...this.#unreleased].map((process) => process.abandon()));
    for (const pid of [...this.#ended.keys()]) this.#forget(pid);
  }

  #prepare({ config, user }: Pick<StartSpec, "config" | "user">): LaunchSpec {
    if (this.#state.frozen) throw new WrennError("sandbox_paused", "The guest is frozen");
    checkTexts(config);
    const table = this.#users.table();
    const cwd = this.#directory(config.cwd, user);
    const env = this.#environment(user, config.envs);
    const program = findProgram(config.cmd, cwd, env["PATH"] || this.#path);
    return { program, args: config.args, cwd, env, user, groups: table.supplementaryGroups(user) };
  }

  /** The asked directory must exist; an absent home of one who asked for none gives way to the root. */
  #directory(asked: string | undefined, user: User): string {
    const path = resolvePath(asked ?? "", user.home, this.#state.defaultWorkdir);
    const info = fileMode(path);
    if (info?.isDirectory) return path;
    if (!asked) return "/";
    throw info
      ? new WrennError("not_directory", `cwd '${path}' is not a directory`)
      : new WrennError("invalid_path", `cwd '${path}' does not exist`);
  }

  #environment(user: User, envs: Record<string, string>): Record<string, string> {
    return {
      PATH: this.#path,
      HOME: user.home,
      USER: user.name,
      LOGNAME: user.name,
      ...this.#state.envVars,
      ...envs,
    };
  }

  #noteStart(): void {
    this.#lastStart = performance.now();
    this.#onStart();
  }

  #keepEnded(process: ManagedProcess): void {
    const { pid } = process;
    if (this.#running.get(pid) !== process) return;
    this.#running.delete(pid);
    const timer = setTimeout(() => this.#ended.delete(pid), KEEP_ENDED_MS);
    this.#ended.set(pid, { process, timer });
  }

  #forget(pid: number): void {
    const ended = this.#ended.get(pid);
    if (!ended) return;
    clearTimeout(ended.timer);
    this.#ended.delete(pid);
  }
}

/** Environment names and values that no process can have are refused before anything starts. */
function checkTexts({ args, envs }: ProcessConfig): void {
  if (args.some((arg) => arg.includes("\0"))) {
    throw new WrennError("invalid_request", "An argument contains a NUL byte");
  }
  for (const [name, value] of Object.entries(envs)) {
    if (name === "" || /[=\0]/.test(name) || value.includes("\0")) {
      throw new WrennError(
        "invalid_request",
        `Environment variable '${name.replaceAll("\0", "\\0")}' is not valid`,
      );
    }
  }
}

function notFound(selector: Selector): WrennError {
  const what = "pid" in selector ? `pid ${selector.pid}` : `tag ${selector.tag}`;
  return new WrennError("process_not_found", `process with ${what} not found`);
}
