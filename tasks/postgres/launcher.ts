/**
 * Running PostgreSQL's programs as a user that is not root, which they insist on. Folders which that user
 * cannot reach (a checkout below `/root`, a socket folder of mode 0700) are shown to it under `/mnt` in a mount
 * namespace of its own, where nothing of the mount is left when the program ends.
 */
import { has } from "../lib/shell.ts";

/** How to run programs that use certain folders. */
export interface Launcher {
  /** The path under which a program sees this folder. */
  seen(folder: string): string;
  /** Command line that runs `argv` as the user. The program gets SIGINT when the thread that started it ends. */
  command(argv: readonly string[]): string[];
}

/** Chooses the user: root becomes `nobody`, everybody else stays. */
export function postgresUid(): number | undefined {
  return Deno.uid() === 0 ? 65534 : undefined;
}

/** Prepares to run programs that use `folders` as `uid`; undefined = the current user. */
export async function launcher(
  folders: readonly string[],
  uid: number | undefined,
): Promise<Launcher> {
  const death = await has("setpriv") ? ["setpriv", "--pdeathsig", "INT"] : [];
  if (uid === undefined) {
    return { seen: (folder) => folder, command: (argv) => [...death, ...argv] };
  }
  if (death.length === 0) throw new Error("Cannot run PostgreSQL as another user: no 'setpriv'");
  const asUser = [...death, "--reuid", `${uid}`, "--regid", `${uid}`, "--clear-groups"];
  const hidden: string[] = [];
  for (const folder of folders) {
    if (!(await succeeds([...asUser, "test", "-x", folder]))) hidden.push(folder);
  }
  if (hidden.length === 0) {
    return { seen: (folder) => folder, command: (argv) => [...asUser, "--", ...argv] };
  }
  const at = (folder: string): string => `/mnt/${hidden.indexOf(folder)}`;
  return {
    seen: (folder) => hidden.includes(folder) ? at(folder) : folder,
    command: (argv) => [
      "unshare",
      "--mount",
      "--propagation",
      "private",
      "sh",
      "-ec",
      SHOW_FOLDERS,
      "sh",
      `${hidden.length}`,
      ...hidden,
      ...asUser,
      "--",
      ...argv,
    ],
  };
}

/** `$1` folders follow; each is bound to `/mnt/{n}`, on a file system that only this namespace sees. */
const SHOW_FOLDERS = `
count=$1; shift
mount -t tmpfs -o mode=0755,size=64k wrenn-postgres /mnt
n=0
while [ $n -lt $count ]; do
  mkdir "/mnt/$n"; mount --bind "$1" "/mnt/$n"; shift; n=$((n + 1))
done
cd /
exec "$@"`;

async function succeeds([cmd = "", ...args]: readonly string[]): Promise<boolean> {
  const options = { args, cwd: "/", stdin: "null", stdout: "null", stderr: "null" } as const;
  return (await new Deno.Command(cmd, options).output()).success;
}
