import { assertEquals } from "@std/assert";
import { fileMode, FileStamp } from "./stat.ts";

Deno.test("fileMode() tells directories, files and programs apart, through links", async () => {
  const folder = await Deno.makeTempDir({ prefix: "stat-test-" });
  try {
    const file = `${folder}/file`;
    await Deno.writeTextFile(file, "x", { mode: 0o644 });
    await Deno.symlink(folder, `${folder}/link`);
    const plain = { isDirectory: false, isFile: true, isExecutable: false };
    assertEquals(fileMode(file), plain);
    await Deno.chmod(file, 0o755);
    assertEquals(fileMode(file), { ...plain, isExecutable: true });
    assertEquals(fileMode(`${folder}/link`)?.isDirectory, true);
    assertEquals(fileMode("/dev/null")?.isFile, false);
    assertEquals(fileMode(`${folder}/none`), undefined);
    assertEquals(fileMode(`${file}/none`), undefined);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("FileStamp sees a file come, change, be replaced and go", async () => {
  const folder = await Deno.makeTempDir({ prefix: "stat-test-" });
  try {
    const path = `${folder}/file`;
    const stamp = new FileStamp(path);
    const looks = () => [stamp.changed(), stamp.changed()];
    assertEquals(looks(), [true, false]);
    await Deno.writeTextFile(path, "one");
    assertEquals(looks(), [true, false]);
    await Deno.writeTextFile(path, "three");
    assertEquals(looks(), [true, false]);
    await Deno.utime(path, 1, 1);
    assertEquals(looks(), [true, false]);
    await Deno.writeTextFile(`${folder}/other`, "three");
    await Deno.utime(`${folder}/other`, 1, 1);
    await Deno.rename(`${folder}/other`, path);
    assertEquals(looks(), [true, false]);
    await Deno.remove(path);
    assertEquals(looks(), [true, false]);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});
