/** A sandbox: a Linux microVM of your own. */
import { Commands, seconds } from "./commands.ts";
import type { CallOptions, ConnectionOptions } from "./config.ts";
import { Connection } from "./connection.ts";
import { InvalidRequestError, NotFoundError, WrennError } from "./errors.ts";
import { Files } from "./files.ts";
import { Pty } from "./pty.ts";
import {
  type OnTimeout,
  readSandboxInfo,
  type SandboxInfo,
  type SandboxStatus,
} from "./sandbox_info.ts";
import { Snapshot } from "./snapshot.ts";
import {
  type ForkReport,
  type Generation,
  list,
  readGenerations,
  readReport,
  readRested,
  readSnapshot,
  readWoken,
  type RestedSandbox,
  type WokenSandbox,
} from "./snapshot_info.ts";

/** What a sandbox may reach. Private networks and the host are always closed. */
export interface NetworkOptions {
  /** Reach the internet at all. Default true. */
  internet?: boolean | undefined;
  /** IPv4 ranges (`203.0.113.0/24`) that are open whatever `denyOut` says. */
  allowOut?: readonly string[] | undefined;
  /** IPv4 ranges that are closed. */
  denyOut?: readonly string[] | undefined;
}

/** How a sandbox is made. Everything has a default of the platform's. */
export interface SandboxCreateOptions extends ConnectionOptions, CallOptions {
  /** Start from this snapshot, in its own size: without `template`, `vcpus`, `memoryMb`, `diskMb`. */
  snapshot?: string | undefined;
  /** Template, such as `base` or `minimal`. */
  template?: string | undefined;
  /** Virtual CPUs. */
  vcpus?: number | undefined;
  /** Memory, MiB. */
  memoryMb?: number | undefined;
  /** Disk, MiB. */
  diskMb?: number | undefined;
  /** Idle lifetime, milliseconds, rounded up to seconds; 0 = lives until it is destroyed. */
  timeoutMs?: number | undefined;
  /** What happens after the idle lifetime. */
  onTimeout?: OnTimeout | undefined;
  /** Environment variables of every command. */
  env?: Readonly<Record<string, string>> | undefined;
  /** Labels to find the sandbox by. */
  metadata?: Readonly<Record<string, string>> | undefined;
  /** What it may reach. */
  network?: NetworkOptions | undefined;
}

/** Which sandboxes are listed. */
export interface SandboxListOptions extends ConnectionOptions, CallOptions {
  /** States. Default: all but `stopped` and `error`. */
  status?: readonly SandboxStatus[] | undefined;
  /** Template. */
  template?: string | undefined;
  /** Labels that must all match. */
  metadata?: Readonly<Record<string, string>> | undefined;
  /** Sandboxes per request, 1 to 100. Default: the platform's. */
  pageSize?: number | undefined;
}

/** A copy of a sandbox. */
export interface Fork {
  /** The copy. */
  readonly sandbox: Sandbox;
  /** What was done to it before its processes went on. */
  readonly report?: ForkReport;
}

/** Making a sandbox may mean booting it where there is no hardware help, milliseconds. */
const CREATE_TIMEOUT_MS = 120_000;

/**
 * A Linux microVM: run commands, move files, open terminals. It lives until it is destroyed or has been idle
 * for its lifetime; `await using` destroys it at the end of the block.
 *
 * @example
 * ```ts
 * import { Sandbox } from "@wrenn/sdk";
 *
 * await using sandbox = await Sandbox.create({ template: "base" });
 * const { stdout } = await sandbox.commands.run("uname -a");
 * console.log(sandbox.id, stdout);
 * ```
 */
export class Sandbox implements AsyncDisposable {
  /** `sb-` and 8 hex digits. */
  readonly id: string;
  /** Commands. */
  readonly commands: Commands;
  /** Files. */
  readonly files: Files;
  /** Terminals. */
  readonly pty: Pty;
  readonly #connection: Connection;
  readonly #path: string;

  private constructor(connection: Connection, id: string) {
    this.id = id;
    this.#connection = connection;
    this.#path = `/v1/sandboxes/${checkId(id)}`;
    this.commands = new Commands(connection, this.#path);
    this.files = new Files(connection, this.#path);
    this.pty = new Pty(connection, this.#path);
  }

  /** Makes a sandbox; resolves when it runs. */
  static async create(options: SandboxCreateOptions = {}): Promise<Sandbox> {
    const connection = new Connection(options);
    const { timeoutMs, network } = options;
    const answer = await connection.http.json({
      method: "POST",
      path: "/v1/sandboxes",
      json: { // undefined fields do not reach the wire
        snapshot: options.snapshot,
        template: options.template,
        vcpus: options.vcpus,
        memory_mb: options.memoryMb,
        disk_mb: options.diskMb,
        timeout_sec: timeoutMs === undefined ? undefined : seconds("timeoutMs", timeoutMs),
        on_timeout: options.onTimeout,
        env: options.env,
        metadata: options.metadata,
        network: network && {
          internet: network.internet,
          allow_out: network.allowOut,
          deny_out: network.denyOut,
        },
      },
      signal: options.signal,
      requestTimeoutMs: options.requestTimeoutMs ?? CREATE_TIMEOUT_MS,
    });
    return new Sandbox(connection, readSandboxInfo(answer).id);
  }

  /** A sandbox that exists. Throws {@linkcode NotFoundError} when it does not. */
  static async connect(
    id: string,
    options: ConnectionOptions & CallOptions = {},
  ): Promise<Sandbox> {
    const sandbox = new Sandbox(new Connection(options), id);
    await sandbox.info(options);
    return sandbox;
  }

  /** The sandboxes of this key's team, page by page as the loop goes on. */
  static async *list(options: SandboxListOptions = {}): AsyncGenerator<SandboxInfo, void, void> {
    const { http } = new Connection(options);
    const metadata = Object.entries(options.metadata ?? {}).map(([k, v]) => `${k}=${v}`);
    let cursor: string | undefined;
    do {
      const page = await http.json({
        method: "GET",
        path: "/v1/sandboxes",
        query: {
          status: options.status?.join(","),
          template: options.template,
          metadata,
          limit: options.pageSize,
          cursor,
        },
        signal: options.signal,
        requestTimeoutMs: options.requestTimeoutMs,
      });
      const { sandboxes, next_cursor } = page;
      if (!Array.isArray(sandboxes)) {
        throw new WrennError("invalid_response", "The platform's answer has no list of sandboxes");
      }
      for (const sandbox of sandboxes) yield readSandboxInfo(sandbox);
      cursor = typeof next_cursor === "string" ? next_cursor : undefined;
    } while (cursor);
  }

  /** What the platform says about it at this moment. */
  async info(options: CallOptions = {}): Promise<SandboxInfo> {
    return readSandboxInfo(await this.#connection.http.json(this.#request("GET", "", options)));
  }

  /** Ends the sandbox and all that is in it. Nothing happens when it is gone already. */
  async destroy(options: CallOptions = {}): Promise<void> {
    try {
      await this.#connection.http.empty(this.#request("DELETE", "", options));
    } catch (error) {
      if (!(error instanceof NotFoundError)) throw error;
    }
  }

  /** Stops its processors where they are; its memory stays, so that it goes on in milliseconds. */
  async pause(options: CallOptions = {}): Promise<RestedSandbox> {
    return readRested(await this.#act("pause", options));
  }

  /** Puts its memory and disk into files and ends its VM: it costs no memory until it is resumed. */
  async hibernate(options: CallOptions = {}): Promise<RestedSandbox> {
    return readRested(await this.#act("hibernate", this.#slow(options)));
  }

  /** Lets a paused or hibernated sandbox go on where it was. */
  async resume(options: CallOptions = {}): Promise<WokenSandbox> {
    return readWoken(await this.#act("resume", this.#slow(options)));
  }

  /**
   * Copies it with its processes, files and memory, 1 to 100 times. Each copy has its own random numbers, clock, host
   * name and machine id before anything in it goes on.
   */
  async fork(count: number = 1, options: CallOptions = {}): Promise<Fork[]> {
    const request = this.#request("POST", "/fork", this.#slow(options));
    const answer = await this.#connection.http.json({ ...request, json: { count } });
    return list(answer, "sandboxes").map((wire) => {
      const report = readReport(wire);
      const sandbox = new Sandbox(this.#connection, readSandboxInfo(wire).id);
      return report ? { sandbox, report } : { sandbox };
    });
  }

  /** Keeps this moment: new sandboxes can start from it, also when this one is gone. */
  async snapshot(name?: string, options: CallOptions = {}): Promise<Snapshot> {
    const request = this.#request("POST", "/snapshots", this.#slow(options));
    const answer = await this.#connection.http.json({ ...request, json: { name } });
    return new Snapshot(this.#connection, readSnapshot(answer));
  }

  /** Moments that it can be rolled back to, newest first. */
  async generations(options: CallOptions = {}): Promise<Generation[]> {
    const request = this.#request("GET", "/generations", options);
    return readGenerations(await this.#connection.http.json(request));
  }

  /** Puts its memory and disk back to a generation. It runs afterwards. */
  async rollback(generation: number, options: CallOptions = {}): Promise<WokenSandbox> {
    const request = this.#request("POST", "/rollback", this.#slow(options));
    return readWoken(await this.#connection.http.json({ ...request, json: { generation } }));
  }

  /** Counts as use: the idle lifetime begins anew. */
  async ping(options: CallOptions = {}): Promise<SandboxInfo> {
    return readSandboxInfo(await this.#act("ping", options));
  }

  /** Same as {@linkcode destroy}. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.destroy();
  }

  #act(name: string, options: CallOptions): Promise<unknown> {
    const request = this.#request("POST", `/${name}`, options);
    return this.#connection.http.json({ ...request, idempotent: true });
  }

  /** For calls that write or read a memory. */
  #slow({ signal, requestTimeoutMs = CREATE_TIMEOUT_MS }: CallOptions): CallOptions {
    return { signal, requestTimeoutMs };
  }

  #request<M extends "GET" | "POST" | "DELETE">(method: M, path: string, options: CallOptions) {
    const { signal, requestTimeoutMs } = options;
    return { method, path: this.#path + path, signal, requestTimeoutMs };
  }
}

/** An id goes into a URL's path: what could lead elsewhere is refused. */
function checkId(id: string): string {
  if (!/^[A-Za-z0-9_-]{1,64}$/.test(id)) {
    throw new InvalidRequestError("invalid_request", `Not a sandbox id: '${id.slice(0, 80)}'`);
  }
  return id;
}
