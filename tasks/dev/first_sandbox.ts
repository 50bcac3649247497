/** The proof that a platform works: a sandbox that runs Python, timed. */
import { Sandbox } from "@wrenn/sdk";

/** What the first sandbox answered, and how long each step took in milliseconds. */
export interface FirstSandbox {
  readonly id: string;
  readonly output: string;
  readonly createMs: number;
  readonly execMs: number;
}

const PROGRAM = [
  "import platform",
  'print("Python", platform.python_version(), "on Linux", platform.release(), "says: sum(range(10)) =", sum(range(10)))',
].join("\n");

/** Creates a `base` sandbox, runs Python in it and destroys it. */
export async function runFirstSandbox(apiUrl: string, apiKey: string): Promise<FirstSandbox> {
  const start = performance.now();
  await using sandbox = await Sandbox.create({ template: "base", apiUrl, apiKey });
  const created = performance.now();
  const result = await sandbox.commands.run(["python3", "-c", PROGRAM]);
  return {
    id: sandbox.id,
    output: result.stdout.trim(),
    createMs: Math.round(created - start),
    execMs: Math.round(performance.now() - created),
  };
}
