import { logger, runCommand } from "@wrenn/common";
import { assert, assertEquals } from "@std/assert";
import { z } from "zod";
import { CONSOLE_BYTES, runFiles } from "../../core/qemu_args.ts";
import { driverContract } from "../driver_contract.ts";
import { bootInAnotherAgent } from "../testing/another_agent.ts";
import { SLOWNESS } from "../../testing/slowness.ts";
import { filesIn, VmHost } from "../testing/vm_host.ts";
import { startsGuest } from "./accelerator.ts";
import { QemuDriver, type QemuDriverOptions } from "./driver.ts";
import { readQemuVersion, tscKhzOf } from "./host_facts.ts";

const log = logger("agent", "test");
const accelerators = z.enum(["auto", "kvm", "tcg"]).default("auto");

function options(host: VmHost): QemuDriverOptions {
  const kernels = `${host.dataDir}/kernels`;
  return {
    // Whether KVM works is found out once where a folder outlives the tests.
    dataDir: Deno.env.get("WRENN_TEST_DATA_DIR") ?? host.runRoot,
    kernel: `${kernels}/vmlinux`,
    initrd: `${kernels}/initrd.img`,
    accelerator: accelerators.parse(Deno.env.get("WRENN_ACCEL")),
  };
}

driverContract({
  name: "QemuDriver",
  disks: "qcow2",
  open: (host) => QemuDriver.open(options(host)),
  bootElsewhere: (host, spec) =>
    bootInAnotherAgent({ driver: "qemu", options: options(host), spec }),
});

/** Fields of /proc/{path}/status. */
async function status(path: string): Promise<Record<string, string>> {
  const text = await Deno.readTextFile(`/proc/${path}/status`);
  return Object.fromEntries(
    text.trim().split("\n").map((line) => {
      const [name = "", value = ""] = line.split(":\t");
      return [name, value.replaceAll("\t", " ").trim()];
    }),
  );
}

Deno.test("QemuDriver jails every thread of QEMU", async () => {
  await using host = await VmHost.open();
  const driver = await QemuDriver.open(options(host));
  const spec = await host.spec({ vcpus: 2 });
  const vm = await driver.boot(spec);
  try {
    const ids = Array(4).fill(spec.uid).join(" ");
    for (const thread of await filesIn(`/proc/${vm.pid}/task`)) {
      const of = await status(`${vm.pid}/task/${thread}`);
      const seen = [
        of["Uid"],
        of["Gid"],
        of["CapEff"],
        of["CapPrm"],
        of["Seccomp"],
        of["NoNewPrivs"],
      ];
      const none = "0000000000000000";
      assertEquals(seen, [ids, ids, none, none, "2", "1"], of["Name"]);
      // SETUID, SETGID, SYS_CHROOT, DAC_OVERRIDE: what it had before it dropped them.
      assertEquals(of["CapBnd"], "00000000000400c2");
    }
    // Its root folder is the disk's, in which it may write to its layer and its state alone.
    const root = await filesIn(`/proc/${vm.pid}/root`);
    assertEquals(root, await filesIn(spec.disk.folder));
    const [base] = spec.disk.layers;
    for (const name of root.filter((n) => n !== "vm-state" && n !== base)) {
      const { uid, mode } = await Deno.stat(`${spec.disk.folder}/${name}`);
      assertEquals([uid, (mode ?? 0) & 0o077], [0, 0], name);
    }
    for (const kind of ["net", "mnt", "ipc", "uts"]) {
      const [its, ours] = await Promise.all(
        [vm.pid, Deno.pid].map((pid) => Deno.readLink(`/proc/${pid}/ns/${kind}`)),
      );
      assert(its !== ours, kind);
    }
    const limits = await Deno.readTextFile(`/proc/${vm.pid}/limits`);
    assert(/Max core file size +0 +0 /.test(limits), limits);
    assert(/Max open files +1024 +1024 /.test(limits), limits);
    assert(/Max processes +256 +256 /.test(limits), limits);
    assertEquals(await Deno.readTextFile(`/proc/${vm.pid}/oom_score_adj`), "600\n");
    const environment = await Deno.readTextFile(`/proc/${vm.pid}/environ`);
    assert(environment.split("\0").every((v) => /^(PATH|LC_ALL|PWD|SHLVL|_|OLDPWD)=|^$/.test(v)));
    const stat = await Deno.readTextFile(`/proc/${vm.pid}/stat`);
    assertEquals(Number(stat.split(") ")[1]?.split(" ")[3]), vm.pid, "a session of its own");
  } finally {
    await vm.kill();
  }
});

Deno.test("QemuDriver keeps the control socket out of other users' reach", async () => {
  await using host = await VmHost.open();
  const driver = await QemuDriver.open(options(host));
  const spec = await host.spec();
  const vm = await driver.boot(spec);
  try {
    const { qmp } = runFiles(spec.runDir);
    for (const uid of [spec.uid, 65534]) {
      const asUser = (command: string) =>
        runCommand(
          ["setpriv", `--reuid=${uid}`, `--regid=${uid}`, "--clear-groups", "sh", "-c", command],
          { allowFailure: true },
        );
      assertEquals((await asUser("true")).code, 0);
      assert((await asUser(`test -S '${qmp}'`)).code !== 0);
      assert((await asUser(`ls '${spec.runDir}'`)).code !== 0);
    }
    assertEquals(((await Deno.stat(qmp)).mode ?? 0) & 0o777, 0o700);
  } finally {
    await vm.kill();
  }
});

Deno.test("QemuDriver bounds what a guest's console takes on the host", async () => {
  await using host = await VmHost.open();
  const driver = await QemuDriver.open(options(host));
  // PID 1 prints this many zeroes, then ends: the kernel panics and the VM is gone.
  const bytes = Number(Deno.env.get("WRENN_TEST_FLOOD_BYTES") ?? 8 << 20);
  const spec = await host.spec({
    initArgs: ["rdinit=/bin/busybox", "--", "printf", `%0${bytes}d`, "7"],
  });
  const vm = await driver.boot(spec);
  assertEquals((await vm.exited).code, 0);
  const kept = await Deno.readTextFile(runFiles(spec.runDir).console);
  assert(kept.includes("000007") && kept.includes("Kernel panic"), kept.slice(-500));
  let total = 0;
  for (const name of await filesIn(spec.runDir)) {
    total += (await Deno.stat(`${spec.runDir}/${name}`)).size;
  }
  assert(total <= CONSOLE_BYTES + 4096, `${total} bytes`);
  log.debug("A console of {bytes} bytes took {total}", { bytes, total });
});

Deno.test("startsGuest() starts the real kernel and tells why another does not start", async () => {
  await using host = await VmHost.open();
  const version = await readQemuVersion("qemu-system-x86_64", runCommand);
  const probe = {
    ...options(host),
    qemuBin: "qemu-system-x86_64",
    version,
    tscKhz: tscKhzOf(await Deno.readTextFile("/proc/cpuinfo")),
  };
  assertEquals(await startsGuest("tcg", probe, 60_000 * SLOWNESS), undefined);
  const failure = await startsGuest("tcg", { ...probe, initrd: "/nonexistent/initrd.img" });
  assert(failure?.includes("initrd"), failure);
});
