import { assertEquals } from "@std/assert";
import { has } from "../../lib/shell.ts";
import type { Argv } from "../sandbox_api.ts";
import { checkMemory, holdMemory } from "./held_memory.ts";

async function run([cmd, ...args]: Argv): Promise<{ code: number; text: string }> {
  const { code, stdout } = await new Deno.Command(cmd, { args, stderr: "null" }).output();
  return { code, text: new TextDecoder().decode(stdout) };
}

Deno.test({
  name: "holdMemory() leaves a process that proves what it holds, and fails when it is gone",
  ignore: !await has("python3"),
  fn: async () => {
    const folder = await Deno.makeTempDir();
    try {
      const { code, text } = await run(holdMemory(1 << 20, folder));
      assertEquals([code, /^\d+\n$/.test(text)], [0, true]);
      for (let i = 0; i < 2; i++) {
        assertEquals(await run(checkMemory(folder)), { code: 0, text: text.trim() });
      }
      const pid = Number(await Deno.readTextFile(`${folder}/held.pid`));
      Deno.kill(pid, "SIGKILL");
      while (await Deno.stat(`/proc/${pid}/exe`).then(() => true, () => false)) {
        await new Promise((resolve) => setTimeout(resolve, 5));
      }
      assertEquals((await run(checkMemory(folder))).code, 1);
    } finally {
      await Deno.remove(folder, { recursive: true });
    }
  },
});
