/** Needs root: files in an image keep the owners they have on the host. */
import { assertEquals, assertRejects } from "@std/assert";
import { join } from "node:path";
import { exec } from "./exec.ts";
import { makeExt4, replaceFolder } from "./ext4.ts";

async function inFolder(test: (work: string) => Promise<void>): Promise<void> {
  const work = await Deno.makeTempDir({ prefix: "wrenn-ext4-" });
  try {
    await test(work);
  } finally {
    await Deno.remove(work, { recursive: true });
  }
}

/** An image with an account's file and an old `/opt/wrenn`. */
async function makeImage(work: string, sizeMb: number): Promise<string> {
  const tree = join(work, "tree");
  await Deno.mkdir(join(tree, "opt/wrenn/lib/old"), { recursive: true });
  await Deno.writeTextFile(join(tree, "opt/wrenn/envd.js"), "old");
  await Deno.writeTextFile(join(tree, "opt/wrenn/lib/old/x"), "old");
  await Deno.mkdir(join(tree, "home"));
  await Deno.writeTextFile(join(tree, "home/note"), "mine");
  await Deno.chown(join(tree, "home/note"), 1000, 1001);
  await Deno.chmod(join(tree, "home/note"), 0o4750);
  const image = join(work, "disk.ext4");
  await makeExt4(tree, image, sizeMb, undefined);
  return image;
}

async function debugfs(image: string, command: string): Promise<string> {
  return (await exec(["debugfs", "-R", command, image])).stdout;
}

Deno.test("replaceFolder() swaps a folder's content and leaves the rest alone", () =>
  inFolder(async (work) => {
    const image = await makeImage(work, 256);
    await Deno.writeTextFile(join(work, "new envd"), "new content");
    await Deno.chown(join(work, "new envd"), 1234, 1234);
    const files = [
      { source: join(work, "new envd"), path: "envd.js", mode: 0o644 },
      { source: "/bin/sh", path: "bin/sh", mode: 0o755 },
    ];
    for (let i = 0; i < 2; i++) {
      await replaceFolder(image, "/opt/wrenn", files, work, undefined);
      assertEquals(await debugfs(image, "cat /opt/wrenn/envd.js"), "new content");
      const listing = await debugfs(image, "ls -p /opt/wrenn");
      assertEquals(/\/100644\/0\/0\/envd\.js\/11\//.test(listing), true, listing);
      assertEquals(/\/lib\//.test(listing), false, listing);
    }
    const home = await debugfs(image, "ls -p /home");
    assertEquals(/\/104750\/1000\/1001\/note\/4\//.test(home), true, home);
    assertEquals((await exec(["e2fsck", "-f", "-n", image])).code, 0);
  }));

Deno.test("replaceFolder() fails when the files do not fit", () =>
  inFolder(async (work) => {
    const image = await makeImage(work, 256);
    const big = join(work, "big");
    await exec(["dd", "if=/dev/urandom", `of=${big}`, "bs=1M", "count=260", "status=none"]);
    const files = [{ source: big, path: "big", mode: 0o644 }];
    await assertRejects(() => replaceFolder(image, "/opt/wrenn", files, work, undefined), Error);
  }));

Deno.test("makeExt4() leaves the guest no inode tables to initialise", () =>
  inFolder(async (work) => {
    const image = await makeImage(work, 1024);
    const { stdout } = await exec(["dumpe2fs", image]);
    const groups = stdout.match(/^Group \d+:.*$/gm) ?? [];
    assertEquals(groups.length > 1, true);
    assertEquals(groups.every((line) => line.includes("ITABLE_ZEROED")), true);
    const { blocks } = await Deno.stat(image);
    assertEquals((blocks ?? Infinity) * 512 < 40 * 1024 * 1024, true);
  }));
