/** Other sandboxes found on this machine, running the same command in the same run. */
import { join } from "node:path";
import { has } from "../lib/shell.ts";
import { type Row, toRow } from "./stats.ts";
import { PYTHON, repeat } from "./workload.ts";

const RUNS = 20;
const PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/** crun refuses hosts with both kinds of cgroups: it gets a mount namespace where the newer one is away. */
const LEGACY_CGROUPS = [
  ...["unshare", "--mount", "sh", "-c"],
  ...['umount /sys/fs/cgroup/unified && exec "$@"', "sh"],
];

/** A peer that is installed and does not work on this machine. */
class PeerError extends Error {}

/** Measures every peer that is installed. */
export async function runPeers(say: (line: string) => void): Promise<Row[]> {
  const folder = await Deno.makeTempDir({ prefix: "wrenn-bench-" });
  const rows: Row[] = [];
  const mounts = await Deno.readTextFile("/proc/self/mounts");
  const hybrid = mounts.includes(" /sys/fs/cgroup/unified cgroup2 ");
  try {
    for (const [name, argv] of Object.entries(await commands(folder))) {
      if (!await has(name)) {
        say(`peer ${name}: not installed`);
        continue;
      }
      say(`peer_${name}_python: ${RUNS} times`);
      let number = 0;
      const wrapper = name === "crun" && hybrid ? LEGACY_CGROUPS : [];
      try {
        const samples = await repeat(
          RUNS,
          () => python([...wrapper, name, ...argv(String(number++))]),
        );
        rows.push(toRow(`peer_${name}_python`, samples));
      } catch (error) {
        if (!(error instanceof PeerError)) throw error;
        say(`peer ${name}: left out: ${error.message}`);
      }
    }
    return rows;
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

/** Arguments by program; each gets a number that is new every time. */
async function commands(folder: string): Promise<Record<string, (n: string) => string[]>> {
  const bundle = join(folder, "bundle");
  const shared = await prepareRoot(join(bundle, "rootfs"));
  await Deno.writeTextFile(join(bundle, "config.json"), JSON.stringify(ociConfig(shared)));
  const oci = (n: string): string[] => ["run", "--bundle", bundle, `wrenn-bench-${Deno.pid}-${n}`];
  return {
    bwrap: () => [
      ...["--ro-bind", "/", "/", "--proc", "/proc", "--dev", "/dev", "--tmpfs", "/tmp"],
      ...["--unshare-all", "--die-with-parent", ...PYTHON],
    ],
    crun: (n) => ["--cgroup-manager", "disabled", "--root", join(folder, "crun"), ...oci(n)],
    runsc: (n) => ["--root", join(folder, "runsc"), "--network", "none", ...oci(n)],
  };
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

/** A minimal OCI bundle that shares folders of this machine, read-only. */
function ociConfig(shared: readonly string[]): Record<string, unknown> {
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
      args: PYTHON,
      env: [`PATH=${PATH}`],
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

async function python(argv: readonly string[]): Promise<void> {
  const [cmd = "", ...args] = argv;
  const env = { PATH };
  const out = await new Deno.Command(cmd, { args, stdin: "null", clearEnv: true, env }).output();
  const stdout = new TextDecoder().decode(out.stdout);
  if (stdout !== "45\n") {
    const said = new TextDecoder().decode(out.stderr).trim();
    throw new PeerError(
      `'${argv.join(" ")}' ended with code ${out.code} and printed '${stdout}': ${said}`,
    );
  }
}
