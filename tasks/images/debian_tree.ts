/** Root tree of a template of Debian packages, made by mmdebstrap with the host's package sources. */
import { join } from "node:path";
import { npmFolder } from "../lib/npm_files.ts";
import { networkSettings, type Sources, sourcesOf } from "./core/apt_sources.ts";
import type { DebianRecipe } from "./core/recipe.ts";
import { exec } from "./exec.ts";
import { GUEST_UID, makeSkeleton } from "./skeleton.ts";
import type { Progress } from "./types.ts";

/** Manual pages and translations stay out, also of what a guest installs later; licences stay in. */
const DPKG_OPTIONS = [
  "path-exclude=/usr/share/man/*",
  "path-exclude=/usr/share/info/*",
  "path-exclude=/usr/share/locale/*",
  "path-exclude=/usr/share/lintian/*",
  "path-exclude=/usr/share/bug/*",
  "path-exclude=/usr/share/doc/*",
  "path-include=/usr/share/doc/*/copyright",
];
/** Identity, logs and caches: two sandboxes must not share them, and nobody needs them. */
const FORGET = [
  "etc/machine-id",
  "var/lib/dbus/machine-id",
  "var/lib/systemd/random-seed",
  "etc/apt/apt.conf.d/99mmdebstrap", // the host's proxy
  "etc/apt/sources.list", // the host's mirror
  "etc/passwd-",
  "etc/group-",
  "etc/shadow-",
  "etc/gshadow-",
  "etc/subuid-",
  "etc/subgid-",
  "var/cache/debconf/templates.dat-old",
  "var/cache/debconf/config.dat-old",
  "var/cache/ldconfig/aux-cache",
  "var/lib/dpkg/status-old",
];
const EMPTY = ["etc/apt/sources.list.d", "var/lib/apt/lists", "var/cache/apt", "var/log", "tmp"];

/** How to build. */
export interface DebianTreeOptions {
  /** Told what mmdebstrap does. */
  readonly progress: Progress;
  /** Ends mmdebstrap. */
  readonly signal: AbortSignal | undefined;
  /** Empty folder for temporary files. */
  readonly work: string;
}

/** Makes the folder `tree`, owned by the users that Debian gives its files to. */
export async function makeDebianTree(
  tree: string,
  recipe: DebianRecipe,
  options: DebianTreeOptions,
): Promise<void> {
  const { progress, signal } = options;
  const { stdout: dump } = await exec(["apt-config", "dump"], { signal });
  await exec(
    [
      "mmdebstrap",
      "--mode=root",
      "--variant=minbase",
      `--include=${recipe.packages.join(",")}`,
      ...DPKG_OPTIONS.map((option) => `--dpkgopt=${option}`),
      ...networkSettings(dump).map((setting) => `--aptopt=${setting}`),
      recipe.suite,
      tree,
      ...await mirrors(recipe.suite, options.work),
    ],
    {
      signal,
      onLine: (line) => {
        const step = /^I: (running|downloading|extracting|installing)(.*)/.exec(line);
        if (step) progress(`${recipe.name}: ${step[1]}${step[2]}`);
      },
    },
  );
  await addUser(tree, signal);
  if (recipe.npm !== undefined) {
    progress(`${recipe.name}: adding npm ${recipe.npm}`);
    await addNpm(tree, recipe.npm, signal);
  }
  await forgetHost(tree);
  await Deno.writeTextFile(
    join(tree, "etc/apt/sources.list.d/debian.sources"),
    guestSources(recipe.suite),
  );
  await Deno.writeTextFile(join(tree, "etc/default/locale"), "LANG=C.UTF-8\n");
  await makeSkeleton(tree);
}

/** Arguments for mmdebstrap: the host's sources of this release, or none, which means Debian's own mirror. */
async function mirrors(suite: string, work: string): Promise<string[]> {
  const { list, deb822 } = await hostSources(suite);
  const files: string[] = [];
  for (const [name, text] of [["host.list", list], ["host.sources", deb822]] as const) {
    if (text === "") continue;
    files.push(join(work, name));
    await Deno.writeTextFile(join(work, name), text);
  }
  return files;
}

async function hostSources(suite: string): Promise<Sources> {
  const files: { name: string; text: string }[] = [];
  for (const folder of ["/etc/apt", "/etc/apt/sources.list.d"]) {
    try {
      for await (const { name } of Deno.readDir(folder)) {
        if (!/\.(list|sources)$/.test(name)) continue;
        files.push({ name, text: await Deno.readTextFile(join(folder, name)) });
      }
    } catch (error) {
      if (!(error instanceof Deno.errors.NotFound)) throw error;
    }
  }
  return sourcesOf(suite, files);
}

/** The account `user`: uid 1000, bash, root by `sudo` without a password. */
async function addUser(tree: string, signal: AbortSignal | undefined): Promise<void> {
  await exec(
    // deno-fmt-ignore
    ["chroot", tree, "/usr/sbin/useradd", "--create-home", "--uid", String(GUEST_UID), "--user-group",
      "--shell", "/bin/bash", "user"],
    { signal },
  );
  await Deno.chmod(join(tree, "home/user"), 0o755);
  const sudoers = join(tree, "etc/sudoers.d/user");
  await Deno.writeTextFile(sudoers, "user ALL=(ALL:ALL) NOPASSWD: ALL\n");
  await Deno.chmod(sudoers, 0o440);
}

/** npm from its registry: Debian's own drags in hundreds of packages. Global installs go to /usr/local. */
async function addNpm(
  tree: string,
  version: string,
  signal: AbortSignal | undefined,
): Promise<void> {
  const modules = join(tree, "usr/local/lib/node_modules");
  await Deno.mkdir(modules, { recursive: true });
  const target = join(modules, "npm");
  await exec(["cp", "-r", "--no-preserve=mode", await npmFolder("npm", version), target], {
    signal,
  });
  for (const folder of ["docs", "man"]) {
    await Deno.remove(join(target, folder), { recursive: true }).catch(ignoreMissing);
  }
  await Deno.writeTextFile(join(target, "npmrc"), "prefix=/usr/local\nupdate-notifier=false\n");
  for (const name of ["npm", "npx"]) {
    await Deno.chmod(join(target, `bin/${name}-cli.js`), 0o755);
    await Deno.symlink(
      `../lib/node_modules/npm/bin/${name}-cli.js`,
      join(tree, "usr/local/bin", name),
    );
  }
}

async function forgetHost(tree: string): Promise<void> {
  for (const path of FORGET) await Deno.remove(join(tree, path)).catch(ignoreMissing);
  for (const folder of EMPTY) {
    for await (const { name } of Deno.readDir(join(tree, folder))) {
      await Deno.remove(join(tree, folder, name), { recursive: true });
    }
  }
  await Deno.mkdir(join(tree, "var/log/apt"), { mode: 0o755 });
  await Deno.mkdir(join(tree, "var/cache/apt/archives/partial"), { recursive: true, mode: 0o755 });
  await Deno.mkdir(join(tree, "var/lib/apt/lists/partial"), { recursive: true, mode: 0o755 });
}

function guestSources(suite: string): string {
  const stanza = (uri: string, suites: string): string =>
    `Types: deb\nURIs: ${uri}\nSuites: ${suites}\nComponents: main\n` +
    "Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg\n";
  return stanza("http://deb.debian.org/debian", `${suite} ${suite}-updates`) + "\n" +
    stanza("http://deb.debian.org/debian-security", `${suite}-security`);
}

function ignoreMissing(error: unknown): void {
  if (!(error instanceof Deno.errors.NotFound)) throw error;
}
