/** The stand-in as one executable file, where a driver expects Firecracker's. */
import { runCommand } from "@wrenn/common";
import { join } from "node:path";

/**
 * Makes the file. It needs neither this repository nor an environment, and any user who may enter the folder can run
 * it.
 *
 * @param folder Absolute path of an existing folder that nobody else writes to.
 * @returns Path of the executable.
 */
export async function installStandIn(folder: string): Promise<string> {
  const script = join(folder, "stand_in.js");
  const program = join(folder, "firecracker");
  const entry = join(import.meta.dirname ?? "", "stand_in.ts");
  const deno = join(folder, "deno-bin");
  // Deno's own place may be closed to other users.
  await Deno.link(await Deno.realPath(Deno.execPath()), deno)
    .catch(() => Deno.copyFile(Deno.execPath(), deno));
  await runCommand([deno, "bundle", "--quiet", "--platform", "deno", "-o", script, entry]);
  // Deno insists on the name of a folder for its cache; nothing has to be in it.
  const line =
    `DENO_DIR='${folder}/deno-cache' exec '${deno}' run -A --quiet --no-config --no-lock ` +
    `--cached-only '${script}' "$@"`;
  await Deno.writeTextFile(program, `#!/bin/sh\n${line}\n`);
  await Deno.chmod(script, 0o644);
  await Deno.chmod(program, 0o755);
  return program;
}
