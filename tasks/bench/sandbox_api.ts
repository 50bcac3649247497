/** The calls that are measured, over {@linkcode HttpApi}. */
import type { Answer, HttpApi } from "./http_api.ts";

/** What every sandbox of a run is. */
export interface SandboxShape {
  readonly template: string;
  readonly vcpus: number;
  readonly memoryMb: number;
}

/** A command: a program and its arguments. */
export type Argv = readonly [string, ...string[]];

/** An answer with what it brought. */
export interface Timed<T> {
  readonly value: T;
  /** The answer: its time and its steps. */
  readonly answer: Answer;
}

const SANDBOX_ID = /\bsb-[0-9a-f]{8}\b/g;

/** Makes sandboxes of one shape. */
export class SandboxApi {
  /** The connection. */
  readonly http: HttpApi;
  /** What every sandbox is. */
  readonly shape: SandboxShape;

  /** @param http Connection. @param shape What every sandbox is. */
  constructor(http: HttpApi, shape: SandboxShape) {
    this.http = http;
    this.shape = shape;
  }

  /** Creates a sandbox. */
  async create(): Promise<Timed<Box>> {
    const { template, vcpus, memoryMb } = this.shape;
    const answer = await this.http.request("POST", "/v1/sandboxes", {
      template,
      vcpus,
      memory_mb: memoryMb,
    });
    const { id } = answer.body as { id?: unknown };
    if (typeof id !== "string") throw new TypeError("The answer to a create has no id");
    return { value: new Box(this.http, id), answer };
  }
}

/** A sandbox. Disposing of it destroys it. */
export class Box implements AsyncDisposable {
  /** Its id. */
  readonly id: string;
  readonly #http: HttpApi;
  #destroyed: boolean = false;

  /** @param http Connection. @param id Its id. */
  constructor(http: HttpApi, id: string) {
    this.#http = http;
    this.id = id;
  }

  /**
   * Runs a command to its end; the value is what it printed.
   *
   * @throws When it ends with another exit code than 0.
   */
  async exec([cmd, ...args]: Argv): Promise<Timed<string>> {
    const answer = await this.#post("exec", { cmd, args });
    const { stdout, stderr, exit_code: code } = answer.body as Record<string, unknown>;
    if (code !== 0) {
      throw new Error(`'${cmd}' in ${this.id} ended with code ${code}: ${stderr}`);
    }
    return { value: String(stdout), answer };
  }

  /** Runs a command that must print exactly `expected`. */
  async expect(argv: Argv, expected: string): Promise<Answer> {
    const { value, answer } = await this.exec(argv);
    if (value !== expected) {
      throw new Error(`'${argv[0]}' in ${this.id} printed '${value}', not '${expected}'`);
    }
    return answer;
  }

  /** vCPUs stand still. */
  pause(): Promise<Answer> {
    return this.#post("pause");
  }

  /** From paused or hibernated to running. */
  resume(): Promise<Answer> {
    return this.#post("resume");
  }

  /** Memory and disk to files, the process ends. */
  hibernate(): Promise<Answer> {
    return this.#post("hibernate");
  }

  /** Makes copies. @throws When there are not as many as asked for. */
  async fork(count: number): Promise<Timed<Box[]>> {
    const answer = await this.#post("fork", { count });
    const ids = new Set(JSON.stringify(answer.body ?? null).match(SANDBOX_ID));
    ids.delete(this.id);
    const boxes = [...ids].map((id) => new Box(this.#http, id));
    if (boxes.length !== count) {
      await Promise.all(boxes.map((box) => box.destroy()));
      throw new Error(`Forking ${count} copies gave ${boxes.length}`);
    }
    return { value: boxes, answer };
  }

  /** Writes a file of any size. */
  upload(path: string, bytes: Uint8Array<ArrayBuffer>): Promise<Answer> {
    return this.#http.upload(
      this.#path(`files/stream/write?path=${encodeURIComponent(path)}`),
      bytes,
    );
  }

  /** Reads a file and counts its bytes. */
  download(path: string): Promise<number> {
    return this.#http.download(this.#path(`files/stream/read?path=${encodeURIComponent(path)}`));
  }

  /** Destroys it, also when the run is being stopped. Once is enough. */
  async destroy(): Promise<void> {
    if (this.#destroyed) return;
    this.#destroyed = true;
    await this.#http.request("DELETE", `/v1/sandboxes/${this.id}`, undefined, true);
  }

  /** Destroys it. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.destroy();
  }

  #post(call: string, body?: unknown): Promise<Answer> {
    return this.#http.request("POST", this.#path(call), body);
  }

  #path(call: string): string {
    return `/v1/sandboxes/${this.id}/${call}`;
  }
}
