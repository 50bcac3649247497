/** The stand-in jailer's command line: Firecracker's jailer's, but for what the stand-in cannot do. */

/** What to do. */
export type JailerCommand =
  | { readonly kind: "version" }
  | ({ readonly kind: "jail" } & JailOptions);

/** A jail that is asked for. Nothing of it was looked at. */
export interface JailOptions {
  readonly id: string;
  readonly execFile: string;
  readonly uid: number;
  readonly gid: number;
  readonly chrootBase: string;
  readonly netns: string | undefined;
  readonly cgroupVersion: 1 | 2;
  /** The name of the executable where it is not given. */
  readonly parentCgroup: string | undefined;
  /** Files of the group, and what is written to them. */
  readonly cgroups: readonly (readonly [file: string, value: string])[];
  /** One more than the highest descriptor. */
  readonly noFile: number;
  /** Bytes of the longest file. */
  readonly fsize: number | undefined;
  /** What the executable is given beside what the jailer says. */
  readonly extra: readonly string[];
}

/** A command line that the jailer would not start with, or that the stand-in does not know. */
export class JailerUsageError extends Error {
  /** Always `JailerUsageError`. */
  override readonly name: string = "JailerUsageError";
}

const SINGLE = [
  "id",
  "exec-file",
  "uid",
  "gid",
  "chroot-base-dir",
  "netns",
  "cgroup-version",
  "parent-cgroup",
];
const MULTIPLE = ["cgroup", "resource-limit"];
/** What makes a process with another id than the jailer's. */
const NOT_HERE = ["--daemonize", "--new-pid-ns"];
/** The jailer's own limit where none is given. */
const NO_FILE = 2048;
const MAX_ID = 0xffff_ffff;

/**
 * Reads the arguments.
 *
 * @throws {JailerUsageError}
 */
export function parseJailerArgs(args: readonly string[]): JailerCommand {
  const end = args.indexOf("--");
  const own = end < 0 ? args : args.slice(0, end);
  if (own.length === 1 && own[0] === "--version") return { kind: "version" };
  const given = readFlags(own);
  const one = (name: string): string | undefined => given.get(name)?.[0];
  const required = (name: string): string => {
    const value = one(name);
    if (value === undefined) throw new JailerUsageError(`Argument '${name}' required`);
    return value;
  };
  const id = required("id");
  if (!/^[A-Za-z0-9-]{1,64}$/.test(id)) throw new JailerUsageError(`Invalid instance ID: ${id}`);
  const version = one("cgroup-version") ?? "1";
  if (version !== "1" && version !== "2") {
    throw new JailerUsageError(`${version} is an invalid cgroup version specifier`);
  }
  const parentCgroup = one("parent-cgroup");
  if (parentCgroup !== undefined && !isInside(parentCgroup)) {
    throw new JailerUsageError("Parent cgroup path is invalid");
  }
  return {
    kind: "jail",
    id,
    execFile: required("exec-file"),
    uid: numberOf("uid", required("uid"), MAX_ID),
    gid: numberOf("gid", required("gid"), MAX_ID),
    chrootBase: one("chroot-base-dir") ?? "/srv/jailer",
    netns: one("netns"),
    cgroupVersion: version === "2" ? 2 : 1,
    parentCgroup,
    cgroups: (given.get("cgroup") ?? []).map(cgroupOf),
    ...limitsOf(given.get("resource-limit") ?? []),
    extra: end < 0 ? [] : args.slice(end + 1),
  };
}

function readFlags(args: readonly string[]): ReadonlyMap<string, readonly string[]> {
  const given = new Map<string, string[]>();
  for (let n = 0; n < args.length; n += 2) {
    const [flag = "", value] = args.slice(n, n + 2);
    if (NOT_HERE.includes(flag)) {
      throw new JailerUsageError(`The stand-in jailer keeps its process id: no '${flag}'`);
    }
    const name = flag.startsWith("--") ? flag.slice(2) : "";
    if (![...SINGLE, ...MULTIPLE].includes(name)) {
      throw new JailerUsageError(`Found argument '${flag}' which wasn't expected`);
    }
    if (value === undefined || value.startsWith("--")) {
      throw new JailerUsageError(`The argument '${name}' requires a value`);
    }
    const values = given.get(name) ?? [];
    if (values.length > 0 && SINGLE.includes(name)) {
      throw new JailerUsageError(`The argument '${name}' was provided more than once`);
    }
    given.set(name, [...values, value]);
  }
  return given;
}

function numberOf(name: string, text: string, most: number): number {
  const value = Number(text);
  if (!/^\d+$/.test(text) || value > most) throw new JailerUsageError(`Invalid ${name}: ${text}`);
  return value;
}

function cgroupOf(text: string): readonly [string, string] {
  const [file = "", value = "", ...more] = text.split("=");
  if (value === "" || more.length > 0) {
    throw new JailerUsageError(`Invalid format for cgroups: ${text}`);
  }
  if (!isInside(file) || !/^[^.]+\.[^.]+$/.test(file)) {
    throw new JailerUsageError(`Cgroup invalid file: ${text}`);
  }
  return [file, value];
}

function limitsOf(texts: readonly string[]): { noFile: number; fsize: number | undefined } {
  const limits = { noFile: NO_FILE, fsize: undefined as number | undefined };
  for (const text of texts) {
    const [name = "", value] = text.split("=");
    if (value === undefined) throw new JailerUsageError(`Invalid format for resources: ${text}`);
    const limit = numberOf("limit value for resource", value, Number.MAX_SAFE_INTEGER);
    if (name === "no-file") limits.noFile = limit;
    else if (name === "fsize") limits.fsize = limit;
    else throw new JailerUsageError(`Invalid resource argument: ${name}`);
  }
  return limits;
}

/** Whether a path stays below where it begins. */
function isInside(path: string): boolean {
  return path !== "" && path.split("/").every((name) => !["", ".", ".."].includes(name));
}
