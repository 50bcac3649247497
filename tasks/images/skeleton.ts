/** What every image has, whatever it is made of. */
import { join } from "node:path";

/** Uid and gid of the account `user`. */
export const GUEST_UID = 1000;

/** Mount points and the empty folders of `/opt/wrenn`'s parents, with the modes that a guest needs. */
export async function makeSkeleton(tree: string): Promise<void> {
  const folders: readonly [string, number][] = [
    ["dev", 0o755],
    ["proc", 0o555],
    ["sys", 0o555],
    ["run", 0o755],
    ["tmp", 0o1777],
    ["root", 0o700],
    ["opt", 0o755],
    ["opt/wrenn", 0o755],
  ];
  await Deno.chmod(tree, 0o755);
  for (const [folder, mode] of folders) {
    const path = join(tree, folder);
    await Deno.mkdir(path, { recursive: true });
    await Deno.chmod(path, mode);
    await Deno.chown(path, 0, 0);
  }
  // The guest's init fills these in; they must not name the host.
  for (const [file, text] of [["etc/hostname", "wrenn\n"], ["etc/resolv.conf", ""]] as const) {
    await Deno.remove(join(tree, file)).catch((error) => {
      if (!(error instanceof Deno.errors.NotFound)) throw error;
    });
    await Deno.writeTextFile(join(tree, file), text);
    await Deno.chmod(join(tree, file), 0o644);
  }
}
