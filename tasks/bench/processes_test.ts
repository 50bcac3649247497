import { assertEquals, assertRejects, assertThrows } from "@std/assert";
import { isVmmOf, parseCpuMs, parseRollup, Processes } from "./processes.ts";

const ROLLUP = `55e000000000-7ffd00000000 ---p 00000000 00:00 0    [rollup]
Rss:              200000 kB
Pss:               81920 kB
Pss_Dirty:         60000 kB
Shared_Clean:     100000 kB
Private_Clean:      1024 kB
Private_Dirty:     50176 kB
`;
const QEMU = ["/usr/bin/qemu-system-x86_64", "-chardev", "socket,path=/run/w/vm/a/qmp.sock"];

Deno.test("parseRollup() adds up private pages and keeps the proportional size apart", () => {
  assertEquals(parseRollup(ROLLUP), { privateMb: 50, pssMb: 80 });
  assertThrows(() => parseRollup("Rss: 1 kB\n"), Error, "Private_Clean");
});

Deno.test("parseCpuMs() adds user and system time, whatever the program is called", () => {
  const tail = "S 1 2 2 0 -1 4194560 100 0 0 0 250 17 0 0 20 0 3 0 9000 1 2";
  assertEquals(parseCpuMs(`42 (qemu) ${tail}`), 2670);
  assertEquals(parseCpuMs(`42 (a) b) R ) ${tail}`), 2670);
  assertThrows(() => parseCpuMs("42 (qemu) S 1"), Error, "CPU time");
});

Deno.test("isVmmOf() wants a VMM, and one of this run folder", () => {
  assertEquals(isVmmOf(QEMU, "/run/w/vm"), true);
  assertEquals(isVmmOf(QEMU, "/run/w2/vm"), false);
  assertEquals(isVmmOf(QEMU, "/run/w/v"), false);
  assertEquals(isVmmOf(["grep", "qemu-system-x86_64", "/run/w/vm/a"], "/run/w/vm"), false);
  assertEquals(isVmmOf(["firecracker", "--api-sock", "/run/w/vm/b/fc.sock"], "/run/w/vm"), true);
});

Deno.test("Processes reads a proc file system and passes over what has ended", async () => {
  const proc = await Deno.makeTempDir();
  try {
    const put = async (pid: string, files: Record<string, string>): Promise<void> => {
      await Deno.mkdir(`${proc}/${pid}`);
      for (const [name, text] of Object.entries(files)) {
        await Deno.writeTextFile(`${proc}/${pid}/${name}`, text);
      }
    };
    await put("12", { cmdline: QEMU.join("\0"), smaps_rollup: ROLLUP });
    await put("7", { cmdline: QEMU.join("\0") });
    await put("13", { cmdline: "bash\0/run/w/vm/x" });
    await put("99", {});
    await Deno.mkdir(`${proc}/12/fd`);
    await Deno.symlink("/data/sandboxes/sb-1/layer.qcow2", `${proc}/12/fd/5`);
    await put("self", { cmdline: QEMU.join("\0") });
    const processes = new Processes(proc);
    assertEquals(await processes.vmms("/run/w/vm"), [7, 12]);
    assertEquals(await processes.vmmOf("/run/w/vm", "sb-1"), 12);
    assertEquals(await processes.vmmOf("/run/w/vm", "sb-11"), undefined);
    assertEquals(await processes.vmmOf("/run/v", "sb-1"), undefined);
    assertEquals(await processes.memory(12), { privateMb: 50, pssMb: 80 });
    await assertRejects(() => processes.memory(99), Deno.errors.NotFound);
  } finally {
    await Deno.remove(proc, { recursive: true });
  }
});

Deno.test("Processes reads this process of the real one", async () => {
  const processes = new Processes();
  const { privateMb, pssMb } = await processes.memory(Deno.pid);
  assertEquals(pssMb >= privateMb && privateMb > 1, true);
  assertEquals(await processes.cpuMs(Deno.pid) > 0, true);
});
