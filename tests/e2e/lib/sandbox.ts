/** One sandbox for all tests of a file: booting is what costs. */
import { Sandbox, type SandboxCreateOptions } from "@wrenn/sdk";
import { platform } from "./platform.ts";

/** Makes a sandbox on the platform under test. */
export function createSandbox(options: SandboxCreateOptions = {}): Promise<Sandbox> {
  return Sandbox.create({ template: "base", ...platform(), ...options });
}

/**
 * Makes a sandbox before the file's first test and destroys it after the last. Call at the top of a test file.
 *
 * @returns The sandbox, once tests run.
 */
export function sharedSandbox(options: SandboxCreateOptions = {}): () => Sandbox {
  let sandbox: Sandbox | undefined;
  Deno.test.beforeAll(async () => {
    sandbox = await createSandbox(options);
  });
  Deno.test.afterAll(async () => {
    await sandbox?.destroy();
  });
  return () => {
    if (!sandbox) throw new Error("The file's sandbox was not made");
    return sandbox;
  };
}
