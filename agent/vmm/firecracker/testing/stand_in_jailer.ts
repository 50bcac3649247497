/**
 * A program that stands in for Firecracker's jailer 1.15. It makes the jail, and prints as shell words what the process
 * is to be replaced by: the shell that runs it keeps the process id, as the jailer does.
 *
 * The jailed process is not in another root folder, since what runs it needs libraries that no jail has. It works in
 * the jail's folder instead, knows no path outside, and has the jail's device nodes over the host's. It opens its files
 * as the uid that it was given.
 */
import { runCommand } from "@wrenn/common";
import { basename, join } from "node:path";
import { z } from "zod";
import { joinCgroup } from "./jailer_cgroup.ts";
import { JailerUsageError, type JailOptions, parseJailerArgs } from "./jailer_options.ts";
import { HERE } from "./stand_in_files.ts";
import { STAND_IN_VERSION } from "./stand_in_snapshot.ts";

/** Nodes of a jail. The jailer makes the last two where it can. */
const DEVICES = [
  { path: "dev/net/tun", major: 10, minor: 200 },
  { path: "dev/kvm", major: 10, minor: 232 },
  { path: "dev/urandom", major: 1, minor: 9 },
];
/** Folders that become the uid's, with nobody else's business in them. */
const FOLDERS = ["", "dev", "dev/net", "run"];

/** What opens a TAP, and KVM, by the paths that QEMU knows. */
const MOUNTS = `for node in net/tun kvm; do
  if [ -e "/dev/$node" ]; then mount --bind "dev/$node" "/dev/$node"; fi
done
exec "$@"`;

const settings = z.object({ STAND_IN_PID: z.coerce.number() });

/** Makes the jail and answers the command that runs in it. */
async function makeJail(options: JailOptions): Promise<string[]> {
  const exec = await Deno.realPath(options.execFile);
  const name = basename(exec);
  if (!(await Deno.stat(exec)).isFile) throw new Error(`'${exec}' is not a file`);
  if (!name.includes("firecracker")) {
    throw new JailerUsageError(
      `Invalid filename. The filename of '--exec-file' option must contain "firecracker": ${name}`,
    );
  }
  const base = await Deno.realPath(options.chrootBase);
  if (!(await Deno.stat(base)).isDirectory) throw new Error(`'${base}' is not a directory`);
  const { STAND_IN_PID: pid } = settings.parse(Deno.env.toObject());
  const { uid, gid } = options;
  const enter = await joinCgroup(options, name);
  const root = join(base, name, options.id, "root");
  await Deno.mkdir(root, { recursive: true });
  await Deno.copyFile(exec, join(root, name));
  if (options.netns !== undefined) (await Deno.open(options.netns)).close();
  await enter(pid);
  for (const folder of FOLDERS) {
    const path = join(root, folder);
    await Deno.mkdir(path, { recursive: true });
    await Deno.chmod(path, 0o700);
    await Deno.chown(path, uid, gid);
  }
  for (const { path, major, minor } of [...DEVICES, ...await faultDevice()]) {
    const node = join(root, path);
    await runCommand(["mknod", "-m", "0600", "--", node, "c", String(major), String(minor)]);
    await Deno.chown(node, uid, gid);
  }
  await Deno.writeTextFile(join(root, `${name}.pid`), String(pid), { createNew: true });
  return jailedCommand(options, root, name);
}

function jailedCommand(options: JailOptions, root: string, name: string): string[] {
  const { id, uid, gid, netns, noFile, fsize, extra } = options;
  return [
    ["env", "-i", "-C", root, "PATH=/usr/sbin:/usr/bin:/sbin:/bin"],
    ["prlimit", `--nofile=${noFile}`, ...(fsize === undefined ? [] : [`--fsize=${fsize}`]), "--"],
    netns === undefined ? [] : ["nsenter", `--net=${netns}`, "--"],
    ["unshare", "--mount", "--propagation", "private", "--"],
    ["/bin/sh", "-euc", MOUNTS, "jailer"],
    ["setpriv", `--reuid=${uid}`, `--regid=${gid}`, "--clear-groups", "--"],
    ["env", "-i", `STAND_IN_ROOT=${HERE}`, `./${name}`, "--id", id],
    ["--start-time-us", "0", "--start-time-cpu-us", "0", "--parent-cpu-time-us", "0"],
    extra,
  ].flat();
}

/** The device that handlers of page faults use, whose number is the host's. */
async function faultDevice(): Promise<{ path: string; major: number; minor: number }[]> {
  const minor = /^\s*(\d+) userfaultfd$/m.exec(await Deno.readTextFile("/proc/misc"))?.[1];
  return minor === undefined ? [] : [{ path: "dev/userfaultfd", major: 10, minor: Number(minor) }];
}

function quoted(word: string): string {
  return `'${word.replaceAll("'", `'\\''`)}'`;
}

async function main(args: readonly string[]): Promise<string[]> {
  const command = parseJailerArgs(args);
  return command.kind === "version"
    ? ["echo", `Jailer v${STAND_IN_VERSION}`]
    : await makeJail(command);
}

if (import.meta.main) {
  try {
    const words = (await main(Deno.args)).map(quoted).join(" ");
    Deno.stdout.writeSync(new TextEncoder().encode(words));
  } catch (error) {
    Deno.stderr.writeSync(new TextEncoder().encode(`Jailer error: ${error}\n`));
    Deno.exitCode = 1;
  }
}
