/** What the lab is to do, as the shell script that its init runs. */

/** A command for the lab. */
export interface LabOrder {
  /** Program and arguments, run in the project's folder. */
  readonly argv: readonly string[];
  /** Added to its environment. */
  readonly env?: Readonly<Record<string, string>>;
}

/** Where the lab has the checkout. */
export const PROJECT = "/project";
/** Files that the command leaves here come back to the host. */
export const OUT = "/out";

const NAME = /^[A-Za-z_][A-Za-z0-9_]*$/;

/**
 * The script.
 *
 * @throws {TypeError} For an empty command or a variable whose name no shell takes.
 */
export function orderScript({ argv, env = {} }: LabOrder): string {
  if (argv.length === 0) throw new TypeError("A lab without a command");
  const variables = Object.entries(env).map(([name, value]) => {
    if (!NAME.test(name)) throw new TypeError(`Wrong name of a variable: '${name}'`);
    return `export ${name}=${quoted(value)}`;
  });
  return [`cd ${PROJECT}`, ...variables, `exec ${argv.map(quoted).join(" ")}`, ""].join("\n");
}

/** One word for the shell, whatever is in it. */
export function quoted(word: string): string {
  if (word.includes("\0")) throw new TypeError("A word for the shell has a zero byte");
  return `'${word.replaceAll("'", `'\\''`)}'`;
}

/** Test files, run with what the lab has: nothing is downloaded, and types were checked outside. */
export function testOrder(files: readonly string[]): LabOrder {
  // deno-fmt-ignore
  const argv = ["deno", "test", "-A", "--no-check", "--cached-only", `--junit-path=${OUT}/report.xml`, ...files];
  const env = {
    WRENN_TEST_DATA_DIR: "/var/lib/wrenn",
    // Nothing else is tested here: a guest that does not start in time is no reason to emulate it.
    WRENN_ACCEL: "kvm",
    WRENN_TEST_SLOWNESS: "8",
    // More than what is kept of a console; each character is two VM exits of half a millisecond.
    WRENN_TEST_FLOOD_BYTES: "70000",
  };
  return { argv, env };
}
