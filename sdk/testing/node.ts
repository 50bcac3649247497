/** Runs {@linkcode file://./node_program.ts} on Node: bundled into one file, without Deno. */
import { fileURLToPath } from "node:url";

/** A finished program. */
export interface NodeRun {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Bundles the SDK with its program and runs it on Node. Throws when there is no Node 20 or later. */
export async function runOnNode(...args: string[]): Promise<NodeRun> {
  await requireNode();
  const folder = await Deno.makeTempDir({ prefix: "wrenn-sdk-" });
  try {
    const program = fileURLToPath(new URL("./node_program.ts", import.meta.url));
    const bundle = `${folder}/program.mjs`;
    const bundled = await run(Deno.execPath(), "bundle", "--quiet", "-o", bundle, program);
    if (bundled.code !== 0) throw new Error(`Cannot bundle the SDK: ${bundled.stderr}`);
    return await run("node", bundle, ...args);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

async function requireNode(): Promise<void> {
  const found = await run("node", "--version").catch((cause) => {
    if (!(cause instanceof Deno.errors.NotFound)) throw cause;
    throw new Error("Node is missing: the SDK is tested on Node 20 or later, install it", {
      cause,
    });
  });
  const major = Number(/^v(\d+)/.exec(found.stdout)?.[1] ?? 0);
  if (major < 20) throw new Error(`Node is too old: 20 or later is needed, found ${found.stdout}`);
}

async function run(cmd: string, ...args: string[]): Promise<NodeRun> {
  const out = await new Deno.Command(cmd, { args, stdin: "null" }).output();
  const text = (bytes: Uint8Array): string => new TextDecoder().decode(bytes);
  return { code: out.code, stdout: text(out.stdout), stderr: text(out.stderr) };
}
