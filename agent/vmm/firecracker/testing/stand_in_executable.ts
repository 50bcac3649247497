/** The stand-in as one executable file, where a driver expects Firecracker's. */
import { runCommand } from "@wrenn/common";
import { join } from "node:path";
import type { Accelerator } from "../../../core/qemu_args.ts";
import { QEMU_BIN } from "../../qemu/host_facts.ts";

/** What runs the guests of an installed stand-in. */
export interface InstalledEngine {
  /** What `WRENN_ACCEL` says by default, and emulation where it says nothing. */
  readonly accelerator?: Accelerator;
  /** Name or path of `qemu-system-x86_64`. */
  readonly qemuBin?: string;
}

/**
 * Makes the file. It needs neither this repository nor an environment, and any user who may enter the folder can run
 * it. Its process is seen as a program `firecracker`.
 *
 * @param folder Absolute path of an existing folder that nobody else writes to.
 * @param engine What runs its guests; it has none without.
 * @returns Path of the executable.
 */
export async function installStandIn(folder: string, engine?: InstalledEngine): Promise<string> {
  const script = await bundle(folder, "stand_in");
  const env = engine === undefined ? {} : {
    STAND_IN_ENGINE: engine.accelerator ?? configured(),
    STAND_IN_QEMU: engine.qemuBin ?? QEMU_BIN,
    PATH,
  };
  const deno = await linkDeno(`${folder}/program`, "firecracker");
  return await writeProgram(`${folder}/firecracker`, deno, script, env);
}

/**
 * Makes a stand-in for the jailer, beside that for Firecracker or elsewhere.
 *
 * @param folder As {@linkcode installStandIn} has it.
 * @returns Path of the executable.
 */
export async function installStandInJailer(folder: string): Promise<string> {
  const script = await bundle(folder, "stand_in_jailer");
  const path = `${folder}/jailer`;
  const deno = await linkDeno(`${folder}/program`, "stand-in-jailer");
  const settings = `STAND_IN_PID=$$ DENO_DIR='${path}-cache' PATH='${PATH}'`;
  await writeExecutable(
    path,
    `words=$(${settings} ${denoRun(deno, script)} "$@") || exit
eval "exec $words"`,
  );
  return path;
}

function configured(): Accelerator {
  return Deno.env.get("WRENN_ACCEL") === "kvm" ? "kvm" : "tcg";
}

const PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

async function bundle(folder: string, name: string): Promise<string> {
  const script = join(folder, `${name}.js`);
  const entry = join(import.meta.dirname ?? "", `${name}.ts`);
  const deno = Deno.execPath();
  await runCommand([deno, "bundle", "--quiet", "--platform", "deno", "-o", script, entry]);
  await Deno.chmod(script, 0o644);
  return script;
}

/** Deno under another name, where every user can run it. Its own place may be closed to others. */
async function linkDeno(folder: string, name: string): Promise<string> {
  await Deno.mkdir(folder, { recursive: true });
  const path = join(folder, name);
  await Deno.link(await Deno.realPath(Deno.execPath()), path)
    .catch(() => Deno.copyFile(Deno.execPath(), path));
  return path;
}

async function writeProgram(
  path: string,
  deno: string,
  script: string,
  env: Readonly<Record<string, string>>,
): Promise<string> {
  // Deno insists on the name of a folder for its cache; nothing has to be in it.
  const settings = Object.entries({ ...env, DENO_DIR: `${path}-cache` })
    .map(([name, value]) => `${name}='${value}'`).join(" ");
  await writeExecutable(path, `${settings} exec ${denoRun(deno, script)} "$@"`);
  return path;
}

function denoRun(deno: string, script: string): string {
  return `'${deno}' run -A --quiet --no-config --no-lock --cached-only '${script}'`;
}

async function writeExecutable(path: string, text: string): Promise<void> {
  await Deno.writeTextFile(path, `#!/bin/sh\n${text}\n`);
  await Deno.chmod(path, 0o755);
}
