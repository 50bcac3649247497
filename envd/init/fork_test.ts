import { assertEquals } from "@std/assert";
import { runForkHooks } from "./fork.ts";

async function withFolder(test: (folder: string) => Promise<void>): Promise<void> {
  const folder = await Deno.makeTempDir({ prefix: "hooks-test-" });
  try {
    await test(folder);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

Deno.test("hooks run one after the other in name order and tell how they ended", () =>
  withFolder(async (folder) => {
    const hook = async (name: string, script: string, mode = 0o755): Promise<void> => {
      await Deno.writeTextFile(`${folder}/${name}`, `#!/bin/sh\n${script}\n`, { mode });
      await Deno.chmod(`${folder}/${name}`, mode);
    };
    await hook("20-second", `cat ${folder}/order; echo 2 >> ${folder}/order; exit 3`);
    await hook("10-first", `sleep 0.1; echo 1 >> ${folder}/order`);
    await hook("30-not", "echo never", 0o644);
    await Deno.writeTextFile(`${folder}/40-broken`, "#!/no/such/shell\n", { mode: 0o755 });
    await Deno.chmod(`${folder}/40-broken`, 0o755);
    await Deno.mkdir(`${folder}/folder`);
    assertEquals(await runForkHooks(folder), [
      { name: "10-first", exit_code: 0, timed_out: false },
      { name: "20-second", exit_code: 3, timed_out: false },
      { name: "40-broken", exit_code: 126, timed_out: false },
    ]);
    assertEquals(await Deno.readTextFile(`${folder}/order`), "1\n2\n");
  }));

Deno.test("a guest without hooks has nothing to run", () =>
  withFolder(async (folder) => {
    assertEquals(await runForkHooks(`${folder}/none`), []);
  }));
