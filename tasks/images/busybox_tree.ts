/** Root tree of a template that is busybox and nothing else. */
import { dirname, join } from "node:path";
import { exec } from "./exec.ts";
import { GUEST_UID, makeSkeleton } from "./skeleton.ts";

const SHELL = "/bin/sh";
const USERS: Readonly<Record<string, string>> = {
  "etc/passwd": [
    `root:x:0:0:root:/root:${SHELL}`,
    "nobody:x:65534:65534:nobody:/nonexistent:/bin/false",
    `user:x:${GUEST_UID}:${GUEST_UID}:user:/home/user:${SHELL}`,
  ].join("\n"),
  "etc/group": [
    "root:x:0:",
    "tty:x:5:",
    "nogroup:x:65534:",
    `user:x:${GUEST_UID}:`,
  ].join("\n"),
  "etc/shadow": ["root:*:::::::", "nobody:*:::::::", "user:*:::::::"].join("\n"),
  "etc/profile": "export PS1='\\u@\\h:\\w\\$ '\n[ \"$(id -u)\" = 0 ] && PS1='\\u@\\h:\\w# '",
  "etc/shells": `${SHELL}\n/bin/ash`,
  "etc/nsswitch.conf": "passwd: files\ngroup: files\nhosts: files dns",
  "etc/os-release": 'NAME="Wrenn minimal"\nID=wrenn-minimal\nPRETTY_NAME="Wrenn minimal (busybox)"',
};

/** Fills an empty folder, owned by root. */
export async function makeBusyboxTree(
  tree: string,
  busybox: string,
  signal: AbortSignal | undefined,
): Promise<void> {
  for (const folder of ["bin", "etc", "usr/local/bin", "var/log", "var/tmp"]) {
    await Deno.mkdir(join(tree, folder), { recursive: true, mode: 0o755 });
  }
  await Deno.copyFile(busybox, join(tree, "bin/busybox"));
  await Deno.chmod(join(tree, "bin/busybox"), 0o755);
  const { stdout } = await exec([busybox, "--list-full"], { signal });
  for (const applet of stdout.trim().split("\n")) {
    const path = join(tree, applet);
    if (applet === "bin/busybox") continue;
    await Deno.mkdir(dirname(path), { recursive: true, mode: 0o755 });
    await Deno.symlink("/bin/busybox", path);
  }
  for (const [path, text] of Object.entries(USERS)) {
    await Deno.writeTextFile(join(tree, path), `${text}\n`);
    await Deno.chmod(join(tree, path), path === "etc/shadow" ? 0o600 : 0o644);
  }
  await Deno.mkdir(join(tree, "home/user"), { recursive: true, mode: 0o755 });
  await Deno.chown(join(tree, "home/user"), GUEST_UID, GUEST_UID);
  await Deno.chmod(join(tree, "var/tmp"), 0o1777);
  await makeSkeleton(tree);
}
