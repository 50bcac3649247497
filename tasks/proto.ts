/**
 * Generates `proto/gen` with buf and protoc-gen-es, both from npm. With `--check` it generates into a
 * temporary folder and fails when the committed code differs.
 */
import { join } from "node:path";
import { npmFolder } from "./lib/npm_files.ts";
import { fail, repoRoot, run } from "./lib/shell.ts";

const BUF = { name: "@bufbuild/buf-linux-x64", version: "1.75.0" };
const PLUGIN = "npm:@bufbuild/protoc-gen-es@2.17.0";

const check = Deno.args.includes("--check");
const root = repoRoot();
const work = await Deno.makeTempDir({ prefix: "wrenn-proto-" });
try {
  const plugin = join(work, "protoc-gen-es");
  await Deno.writeTextFile(
    plugin,
    `#!/bin/sh\nexec "${Deno.execPath()}" run -A --no-config ${PLUGIN} "$@"\n`,
    { mode: 0o755 },
  );
  const out = join(work, "out");
  const buf = join(await npmFolder(BUF.name, BUF.version), "bin", "buf");
  await run([buf, "generate", "--output", out], {
    cwd: join(root, "proto"),
    env: { PATH: `${work}:${Deno.env.get("PATH") ?? ""}` },
  });
  const committed = join(root, "proto", "gen");
  if (check) {
    const diff = await run(["diff", "-r", committed, join(out, "gen")], { allowFailure: true });
    if (diff.code !== 0) fail("Generated code is out of date: run `deno task proto`");
  } else {
    await Deno.remove(committed, { recursive: true }).catch(() => {});
    await run(["cp", "-r", join(out, "gen"), committed]);
  }
} finally {
  await Deno.remove(work, { recursive: true });
}
