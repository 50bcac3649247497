/** gVisor's `runsc`: finding it, or building it from its Go module. */
import { join } from "node:path";
import { has, run } from "../lib/shell.ts";
import type { Argv } from "./sandbox_api.ts";

/** Module version that is built; a date, since the module has no releases. */
export const RUNSC_VERSION = "v0.0.0-20260905035102-160fafc42237";
const PACKAGE = "gvisor.dev/gvisor/runsc";
const TELL_EVERY_MS = 15_000;

/** Where `runsc` may be, and what may be done to have it. */
export interface RunscOptions {
  /** `WRENN_BENCH_RUNSC`. */
  readonly given: string | undefined;
  /** Folder of things that are built once. */
  readonly cacheDir: string;
  /** Build it when it is nowhere. */
  readonly build: boolean;
  readonly say: (line: string) => void;
}

/** The program to run, or why there is none. */
export type FoundRunsc = { readonly path: string } | { readonly missing: string };

/** Finds `runsc`: the one given, the one on the PATH, the one built earlier, or a new one. */
export async function findRunsc(options: RunscOptions): Promise<FoundRunsc> {
  const { given, cacheDir, build, say } = options;
  if (given) {
    return await isFile(given)
      ? { path: given }
      : { missing: `WRENN_BENCH_RUNSC names no file: '${given}'` };
  }
  const installed = await which("runsc");
  if (installed) return { path: installed };
  const folder = join(cacheDir, "peers", `runsc-${RUNSC_VERSION}`);
  const path = join(folder, "runsc");
  if (await isFile(path)) return { path };
  if (!build) return { missing: "not installed; '--peers' builds it, which needs go" };
  if (!await has("go")) return { missing: "not installed, and there is no go to build it" };
  await buildRunsc(folder, say);
  return { path };
}

/**
 * How `runsc` runs a command on this machine's own files: `runsc do` as it comes, but without a network, which takes
 * it as long again and iptables. `cgroups: false` leaves out its cgroups too, a fifth of the rest; each of our
 * sandboxes has its own.
 */
export function runscCommand(
  runsc: string,
  command: Argv,
  { cgroups }: { cgroups: boolean },
): Argv {
  return [runsc, "--network=none", ...cgroups ? [] : ["--ignore-cgroups"], "do", ...command];
}

/** What to build with. The program enters an empty root and starts itself there: it must need no loader. */
export function buildCommand(): Argv {
  return ["go", "install", "-trimpath", "-ldflags=-s -w", `${PACKAGE}@${RUNSC_VERSION}`];
}

/** Builds under another name first, so that a build that ends half-way leaves no program. */
async function buildRunsc(folder: string, say: (line: string) => void): Promise<void> {
  const unfinished = `${folder}.${Deno.pid}`;
  const start = performance.now();
  const seconds = (): string => `${((performance.now() - start) / 1000).toFixed(0)} s`;
  say(`Building runsc ${RUNSC_VERSION} once, which takes some minutes`);
  const timer = setInterval(() => say(`  still building runsc: ${seconds()}`), TELL_EVERY_MS);
  try {
    await Deno.mkdir(unfinished, { recursive: true });
    await run(buildCommand(), { cwd: "/", env: { CGO_ENABLED: "0", GOBIN: unfinished } });
    await Deno.rename(unfinished, folder);
    say(`  built in ${seconds()}`);
  } finally {
    clearInterval(timer);
    await Deno.remove(unfinished, { recursive: true }).catch(() => {}); // renamed
  }
}

/** Where the PATH finds a program; empty when nowhere. */
async function which(program: string): Promise<string> {
  const argv = ["sh", "-c", 'command -v -- "$1"', "sh", program];
  return (await run(argv, { allowFailure: true })).stdout.trim();
}

function isFile(path: string): Promise<boolean> {
  return Deno.stat(path).then((info) => info.isFile, () => false);
}
