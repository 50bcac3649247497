/**
 * `deno task build`: bundles the control plane, the host agent and the guest agent into `dist/`, one file each.
 * With `--compile` it also makes executables, where Deno's runtime for them can be downloaded.
 */
import { join } from "node:path";
import { repoRoot, run, say } from "./lib/shell.ts";

const PARTS = ["api", "agent", "envd"] as const;

const root = repoRoot();
const dist = join(root, "dist");
await Deno.mkdir(dist, { recursive: true });
for (const part of PARTS) {
  const out = join(dist, `${part}.js`);
  const entry = join(root, part, "main.ts");
  await run([Deno.execPath(), "bundle", "--quiet", "--platform", "deno", "-o", out, entry], {
    cwd: root,
  });
  const { size } = await Deno.stat(out);
  say(`dist/${part}.js  ${(size / 1024).toFixed(0)} KiB`);
  if (Deno.args.includes("--compile")) {
    const bin = join(dist, `wrenn-${part}`);
    await run([Deno.execPath(), "compile", "--quiet", "-A", "-o", bin, out], { cwd: root });
    say(`dist/wrenn-${part}`);
  }
}
