import { assertEquals, assertRejects } from "@std/assert";
import { delimiter } from "node:path";
import { buildCommand, findRunsc, RUNSC_VERSION, runscCommand } from "./runsc.ts";

/** A folder, a PATH with nothing in it but what a shell needs, and what is put there. */
async function sandboxed(work: (folder: string, bin: string) => Promise<void>): Promise<void> {
  const folder = await Deno.makeTempDir();
  const path = Deno.env.get("PATH") ?? "";
  const bin = `${folder}/bin`;
  await Deno.mkdir(bin);
  for (const name of ["sh", "sleep", "cat"]) await Deno.symlink(`/bin/${name}`, `${bin}/${name}`);
  Deno.env.set("PATH", [bin].join(delimiter));
  try {
    await work(folder, bin);
  } finally {
    Deno.env.set("PATH", path);
    await Deno.remove(folder, { recursive: true });
  }
}

async function program(path: string, script: string): Promise<void> {
  await Deno.writeTextFile(path, `#!/bin/sh\n${script}\n`, { mode: 0o755 });
}

Deno.test("findRunsc() takes the one given, then the one installed, then the one built earlier", async () => {
  await sandboxed(async (folder, bin) => {
    const options = { given: undefined, cacheDir: folder, build: false, say: () => {} };
    const missing = await findRunsc(options);
    assertEquals("missing" in missing && missing.missing.startsWith("not installed"), true);
    const cached = `${folder}/peers/runsc-${RUNSC_VERSION}`;
    await Deno.mkdir(cached, { recursive: true });
    await program(`${cached}/runsc`, "");
    assertEquals(await findRunsc(options), { path: `${cached}/runsc` });
    await program(`${bin}/runsc`, "");
    assertEquals(await findRunsc(options), { path: `${bin}/runsc` });
    const given = `${folder}/mine`;
    await program(given, "");
    assertEquals(await findRunsc({ ...options, given }), { path: given });
    const gone = await findRunsc({ ...options, given: `${folder}/gone` });
    assertEquals("missing" in gone && gone.missing.includes("names no file"), true);
  });
});

Deno.test("findRunsc() builds it once, without cgo, and says so", async () => {
  await sandboxed(async (folder, bin) => {
    await program(
      `${bin}/go`,
      `[ "$CGO_ENABLED" = 0 ] || exit 9; echo "$@" >> ${folder}/calls; echo built > "$GOBIN/runsc"`,
    );
    const said: string[] = [];
    const options = {
      given: undefined,
      cacheDir: folder,
      build: true,
      say: (line: string) => void said.push(line),
    };
    const found = await findRunsc(options);
    const path = `${folder}/peers/runsc-${RUNSC_VERSION}/runsc`;
    assertEquals([found, await Deno.readTextFile(path)], [{ path }, "built\n"]);
    assertEquals(await findRunsc(options), found);
    const calls = await Deno.readTextFile(`${folder}/calls`);
    assertEquals(calls, `${buildCommand().slice(1).join(" ")}\n`);
    assertEquals(said.length, 2);
  });
});

Deno.test("findRunsc() leaves nothing of a build that fails, and needs go to build", async () => {
  await sandboxed(async (folder, bin) => {
    const options = { given: undefined, cacheDir: folder, build: true, say: () => {} };
    const none = await findRunsc(options);
    assertEquals("missing" in none && none.missing.includes("no go"), true);
    await program(`${bin}/go`, `echo half > "$GOBIN/runsc"; echo "no such module" >&2; exit 1`);
    await assertRejects(() => findRunsc(options), Error, "no such module");
    const left: string[] = [];
    for await (const { name } of Deno.readDir(`${folder}/peers`)) left.push(name);
    assertEquals(left, []);
  });
});

Deno.test("runscCommand() runs on this machine's files, without network", () => {
  const line = (cgroups: boolean): string =>
    runscCommand("/opt/runsc", ["true"], { cgroups }).join(" ");
  assertEquals(line(true), "/opt/runsc --network=none do true");
  assertEquals(line(false), "/opt/runsc --network=none --ignore-cgroups do true");
});
