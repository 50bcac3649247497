/** A sandbox of {@linkcode FakePlatform}: its state, and the commands of the bench. */

/** A refusal as the API answers it. */
export class FakeRefusal extends Error {
  readonly status: number;
  readonly code: string;

  /** @param status Status. @param code Wrenn error code. @param message Sentence. */
  constructor(status: number, code: string, message: string) {
    super(message);
    this.status = status;
    this.code = code;
  }
}

/** A virtual machine. */
export interface FakeMachine {
  readonly pid: number;
}

/** The sandbox. */
export class FakeBox {
  readonly id: string;
  status: "running" | "paused" | "hibernated" = "running";
  /** Undefined while it is hibernated. */
  machine: FakeMachine | undefined;
  /** Bytes of its file. */
  size: number = 0;
  /** What the process holds that stays in memory. */
  #held: string | undefined = undefined;
  #who: string | undefined = undefined;

  /** @param id Its id. @param machine Its machine. @param parent Sandbox that it is a copy of. */
  constructor(id: string, machine: FakeMachine, parent?: FakeBox) {
    this.id = id;
    this.machine = machine;
    if (parent) [this.#held, this.#who] = [parent.#held, parent.#who];
  }

  /** Runs one of the commands that the bench uses. */
  exec({ cmd, args }: { cmd: string; args: string[] }): unknown {
    this.mustRun();
    const [stdout, code = 0] = this.#program(cmd, args);
    return { sandbox_id: this.id, stdout, stderr: code === 0 ? "" : "it failed", exit_code: code };
  }

  /** Stands still. */
  pause(): void {
    if (this.status !== "paused") this.mustRun();
    this.status = "paused";
  }

  /** Goes to files. */
  hibernate(): void {
    if (this.status === "running" || this.status === "paused") this.status = "hibernated";
    this.machine = undefined;
  }

  /** Runs again, on the machine given when it has none. */
  resume(machine: FakeMachine, forgets: boolean): void {
    if (this.status === "hibernated") {
      this.machine = machine;
      if (forgets) this.#held = undefined;
    }
    this.status = "running";
  }

  /** Throws what the API answers when it does not run. */
  mustRun(): void {
    if (this.status === "running") return;
    throw new FakeRefusal(409, `sandbox_${this.status}`, `Sandbox '${this.id}' is ${this.status}`);
  }

  #program(cmd: string, args: readonly string[]): readonly [string, number?] {
    const [first, script = ""] = args;
    if (cmd === "true") return [""];
    if (cmd === "echo") return [`${args.join(" ")}\n`];
    if (cmd === "python3" && first === "-c" && args.length === 2) return ["2\n"];
    if (cmd === "python3" && script.includes("urandom")) {
      this.#held = crypto.randomUUID();
      return [`${this.#held}\n`];
    }
    if (cmd === "sh" && script.includes("USR1")) {
      return this.#held === undefined ? ["", 1] : [this.#held];
    }
    if (cmd === "sh" && script.endsWith("> /tmp/who")) {
      this.#who = script.split(" ")[1] ?? "";
      return [""];
    }
    if (cmd === "cat" && first === "/tmp/who") return [`${this.#who}\n`];
    return ["", 127];
  }
}
