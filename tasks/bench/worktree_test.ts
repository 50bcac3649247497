import { assertEquals, assertRejects } from "@std/assert";
import { run } from "../lib/shell.ts";
import { commitOf } from "./conditions.ts";
import { checkOut } from "./worktree.ts";

/** A repository with two commits. */
async function repository(work: (repo: string) => Promise<void>): Promise<void> {
  const repo = await Deno.makeTempDir();
  const env = { GIT_CONFIG_GLOBAL: "/dev/null", GIT_CONFIG_SYSTEM: "/dev/null" };
  const identity = ["-c", "user.name=Test", "-c", "user.email=test@example.org"];
  const git = (...args: string[]) => run(["git", "-C", repo, ...identity, ...args], { env });
  try {
    await git("init", "-q");
    for (const text of ["one", "two"]) {
      await Deno.writeTextFile(`${repo}/file`, text);
      await git("add", "file");
      await git("commit", "-q", "-m", text);
    }
    await work(repo);
  } finally {
    await Deno.remove(repo, { recursive: true });
  }
}

Deno.test("checkOut() lays another commit beside this one and takes it away again", async () => {
  await repository(async (repo) => {
    let root = "";
    {
      await using other = await checkOut(repo, "HEAD~1");
      root = other.root;
      assertEquals(await Deno.readTextFile(`${root}/file`), "one");
      assertEquals(other.commit, await commitOf(root));
      assertEquals(await Deno.readTextFile(`${repo}/file`), "two");
    }
    await assertRejects(() => Deno.stat(root), Deno.errors.NotFound);
    const { stdout } = await run(["git", "-C", repo, "worktree", "list"]);
    assertEquals(stdout.trim().split("\n").length, 1);
  });
});

Deno.test("checkOut() refuses what is no commit, an option too", async () => {
  await repository(async (repo) => {
    await assertRejects(() => checkOut(repo, "nothing"), Error);
    await assertRejects(() => checkOut(repo, "--all"), Error);
  });
});

Deno.test("commitOf() tells when files differ from the commit", async () => {
  await repository(async (repo) => {
    const clean = await commitOf(repo);
    assertEquals(/^[0-9a-f]{12}$/.test(clean), true);
    await Deno.writeTextFile(`${repo}/file`, "three");
    assertEquals(await commitOf(repo), `${clean}-dirty`);
  });
  assertEquals(await commitOf("/"), "unknown");
});
