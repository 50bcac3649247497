/** A minimal OCI bundle over this machine's own programs, for peers that run such bundles. */
import { join } from "node:path";
import type { Argv } from "./sandbox_api.ts";

/** Writes a bundle that runs `command` on folders of this machine, shared read-only. */
export async function writeBundle(bundle: string, command: Argv, path: string): Promise<void> {
  const shared = await prepareRoot(join(bundle, "rootfs"));
  const config = ociConfig(shared, command, path);
  await Deno.writeTextFile(join(bundle, "config.json"), JSON.stringify(config));
}

/** Makes a root with this machine's programs: links as they are here, and the folders to bind. */
async function prepareRoot(root: string): Promise<string[]> {
  const shared: string[] = [];
  await Deno.mkdir(root, { recursive: true });
  for (const name of ["usr", "etc", "bin", "sbin", "lib", "lib64"]) {
    const info = await Deno.lstat(`/${name}`).catch(() => undefined); // not every machine has all
    if (info?.isSymlink) await Deno.symlink(await Deno.readLink(`/${name}`), join(root, name));
    else if (info) shared.push(`/${name}`);
  }
  return shared;
}

function ociConfig(
  shared: readonly string[],
  command: Argv,
  path: string,
): Record<string, unknown> {
  const mount = (destination: string, type: string, options: string[] = []) => ({
    destination,
    type,
    source: type,
    options: ["nosuid", "noexec", ...options],
  });
  return {
    ociVersion: "1.0.2",
    process: {
      terminal: false,
      user: { uid: 0, gid: 0 },
      args: command,
      env: [`PATH=${path}`],
      cwd: "/",
      noNewPrivileges: true,
    },
    root: { path: "rootfs", readonly: true },
    hostname: "bench",
    mounts: [
      ...shared.map((path) => ({
        destination: path,
        type: "bind",
        source: path,
        options: ["rbind", "ro", "nosuid"],
      })),
      mount("/proc", "proc"),
      mount("/dev", "tmpfs", ["mode=755"]),
      mount("/tmp", "tmpfs"),
    ],
    linux: {
      namespaces: ["pid", "network", "ipc", "uts", "mount"].map((type) => ({ type })),
    },
  };
}
