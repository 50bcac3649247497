/** Another commit of this repository, checked out beside it. */
import { join } from "node:path";
import { run } from "../lib/shell.ts";
import { commitOf } from "./conditions.ts";

/** A checkout. Disposing of it removes it. */
export interface Worktree extends AsyncDisposable {
  readonly root: string;
  /** Its commit. */
  readonly commit: string;
}

/** Checks out a commit. @throws When there is no such commit. */
export async function checkOut(repo: string, revision: string): Promise<Worktree> {
  const git = (...args: string[]) => run(["git", "-C", repo, ...args]);
  const { stdout } = await git("rev-parse", "--verify", "--end-of-options", `${revision}^{commit}`);
  const folder = await Deno.makeTempDir({ prefix: "wrenn-bench-" });
  const root = join(folder, "checkout");
  const remove = async (): Promise<void> => {
    await git("worktree", "remove", "--force", root);
    await Deno.remove(folder, { recursive: true });
  };
  try {
    await git("worktree", "add", "--detach", root, stdout.trim());
  } catch (error) {
    await Deno.remove(folder, { recursive: true });
    throw error;
  }
  return { root, commit: await commitOf(root), [Symbol.asyncDispose]: remove };
}
