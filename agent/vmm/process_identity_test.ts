import { assert, assertEquals } from "@std/assert";
import { qmpArgument } from "../core/qemu_args.ts";
import { findVmms, identify, killVmm, readFigures, type VmmProcess } from "./process_identity.ts";
import { QEMU_MARKS } from "./qemu/qemu_marks.ts";

/** A launcher that carries the mark of a VMM in its arguments and ends with its input. */
function marked(runDir: string): Deno.ChildProcess {
  return new Deno.Command("sh", {
    args: ["-c", "read x", "wrenn-vmm", qmpArgument(runDir)],
    stdin: "piped",
  }).spawn();
}

async function whenIdentified(pid: number): Promise<VmmProcess> {
  for (;;) {
    const vmm = await identify(pid, QEMU_MARKS);
    if (vmm) return vmm;
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
}

async function end(child: Deno.ChildProcess): Promise<void> {
  await child.stdin.close().catch(() => {});
  await child.status;
}

Deno.test("readFigures() reads this process and nothing of one that is gone", async () => {
  const figures = await readFigures(Deno.pid);
  assert(figures !== undefined && figures.rssBytes > 1_000_000 && figures.cpuMs > 0);
  assertEquals(await readFigures(2 ** 22 + 1), undefined);
});

Deno.test("identify() knows a launcher that carries our mark, and no process without it", async () => {
  const child = marked("/run/test-a/sb-1");
  try {
    const vmm = await whenIdentified(child.pid);
    assertEquals(vmm.runDir, "/run/test-a/sb-1");
    assertEquals(await identify(Deno.pid, QEMU_MARKS), undefined);
  } finally {
    await end(child);
  }
  assertEquals(await identify(child.pid, QEMU_MARKS), undefined);
});

Deno.test("identify() denies a process that only mentions our mark", async () => {
  const grep = new Deno.Command("grep", {
    args: ["-F", qmpArgument("/run/test-b/sb-1"), "-"],
    stdin: "piped",
  }).spawn();
  try {
    while (!(await Deno.readTextFile(`/proc/${grep.pid}/cmdline`)).includes("test-b")) {
      await new Promise((resolve) => setTimeout(resolve, 2));
    }
    assertEquals(await identify(grep.pid, QEMU_MARKS), undefined);
    assertEquals(await findVmms("/run/test-b", QEMU_MARKS), []);
  } finally {
    await end(grep);
  }
});

Deno.test("findVmms() finds those under its run root and no neighbour's", async () => {
  const mine = marked("/run/test-c/sb-1");
  const other = marked("/run/test-c2/sb-1");
  try {
    await Promise.all([whenIdentified(mine.pid), whenIdentified(other.pid)]);
    assertEquals((await findVmms("/run/test-c", QEMU_MARKS)).map((vmm) => vmm.pid), [mine.pid]);
    assertEquals((await findVmms("/run/test-c/", QEMU_MARKS)).map((vmm) => vmm.pid), [mine.pid]);
  } finally {
    await Promise.all([end(mine), end(other)]);
  }
});

Deno.test("killVmm() kills the process it was given and never another under the same pid", async () => {
  const child = marked("/run/test-d/sb-1");
  const vmm = await whenIdentified(child.pid);
  assertEquals(await killVmm({ ...vmm, startTicks: "1" }, QEMU_MARKS), false);
  assertEquals(await killVmm({ ...vmm, runDir: "/run/test-d/sb-2" }, QEMU_MARKS), false);
  assertEquals((await identify(child.pid, QEMU_MARKS))?.pid, child.pid);
  assertEquals(await killVmm(vmm, QEMU_MARKS), true);
  await end(child);
  assertEquals(await killVmm(vmm, QEMU_MARKS), false);
});
