/** What is measured of the platform. */
import { Sandbox, type SandboxCreateOptions } from "@wrenn/sdk";
import { type Row, toRow } from "./stats.ts";

/** The command that the peers run as well. */
export const PYTHON: readonly [string, ...string[]] = ["python3", "-c", "print(sum(range(10)))"];

/** Size of the sandboxes. */
export const SIZE: { readonly vcpus: number; readonly memoryMb: number } = {
  vcpus: 1,
  memoryMb: 512,
};

const EXECS = 100;
const TRANSFERS = 5;
const TRANSFER_BYTES = 100 * 1000 * 1000;

/** How the workload runs. */
export interface WorkloadOptions {
  /** Platform, template and size. */
  readonly create: SandboxCreateOptions;
  /** Sandboxes per row that makes them. */
  readonly creates: number;
  /** Told what comes next. */
  readonly say: (line: string) => void;
  /** Called once with a running sandbox. */
  readonly onSandbox: (id: string) => Promise<void>;
}

/** Measures every row of the platform, one after the other. */
export async function runWorkload(options: WorkloadOptions): Promise<Row[]> {
  const { create, creates, say } = options;
  const boot: number[] = [];
  const measure = async (name: string, command: readonly [string, ...string[]], expect: string) => {
    say(`${name}: ${creates} sandboxes`);
    const samples: number[] = [];
    for (let i = 0; i < creates; i++) {
      const start = performance.now();
      await using sandbox = await Sandbox.create(create);
      boot.push(performance.now() - start);
      const { stdout } = await sandbox.commands.run(command);
      samples.push(performance.now() - start);
      if (stdout !== expect) throw new Error(`'${command[0]}' printed '${stdout}'`);
    }
    return toRow(name, samples);
  };
  const echo = await measure("create_to_echo", ["echo", "hello"], "hello\n");
  const python = await measure("create_to_python", PYTHON, "45\n");

  await using sandbox = await Sandbox.create(create);
  await options.onSandbox(sandbox.id);
  say(`exec_true: ${EXECS} times`);
  const execs = await repeat(EXECS, () => sandbox.commands.run(["true"]));
  say(`file_up_100mb, file_down_100mb: ${TRANSFERS} times`);
  const bytes = new Uint8Array(TRANSFER_BYTES).map((_, i) => (i * 7) ^ (i >> 8));
  const up = await repeat(TRANSFERS, () => sandbox.files.write("/tmp/bench.bin", bytes));
  const down = await repeat(TRANSFERS, async () => {
    let count = 0;
    for await (const piece of await sandbox.files.read("/tmp/bench.bin", { format: "stream" })) {
      count += piece.length;
    }
    if (count !== TRANSFER_BYTES) throw new Error(`Read ${count} bytes of ${TRANSFER_BYTES}`);
  });
  return [
    toRow("boot", boot),
    echo,
    python,
    toRow("exec_true", execs),
    toRow("file_up_100mb", up),
    toRow("file_down_100mb", down),
  ];
}

/** Times of so many runs after one that is not counted, milliseconds. */
export async function repeat(times: number, work: () => Promise<unknown>): Promise<number[]> {
  await work();
  const samples: number[] = [];
  for (let i = 0; i < times; i++) {
    const start = performance.now();
    await work();
    samples.push(performance.now() - start);
  }
  return samples;
}
