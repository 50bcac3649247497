import { assert, assertEquals } from "@std/assert";
import { exec } from "../images/exec.ts";
import { writeOrder } from "./order_drive.ts";

Deno.test("writeOrder() brings the checkout, the script and this host's Firecracker", async () => {
  const root = await Deno.makeTempDir();
  const before = Deno.env.get("WRENN_FIRECRACKER_BIN");
  try {
    await Deno.writeTextFile(`${root}/fc`, "#!/bin/sh\n");
    Deno.env.set("WRENN_FIRECRACKER_BIN", `${root}/fc`);
    await Deno.mkdir(`${root}/work`);
    const programs = await writeOrder({ argv: ["true"] }, `${root}/order.tar`, `${root}/work`);
    assert(programs.includes("firecracker"));
    const { stdout } = await exec(["tar", "--list", "--verbose", "--file", `${root}/order.tar`]);
    const names = stdout.split("\n");
    assert(names.some((line) => line.endsWith(" order.sh")));
    assert(names.some((line) => line.endsWith(" project/tasks/lab/start.sh")));
    assert(!names.some((line) => line.includes(" project/.git/")));
    const [program] = names.filter((line) => line.endsWith(" usr/local/bin/firecracker"));
    assertEquals(program?.slice(0, 10), "-rwxr-xr-x");
    assertEquals((await Deno.stat(`${root}/order.tar`)).size % 512, 0);
  } finally {
    if (before === undefined) Deno.env.delete("WRENN_FIRECRACKER_BIN");
    else Deno.env.set("WRENN_FIRECRACKER_BIN", before);
    await Deno.remove(root, { recursive: true });
  }
});
