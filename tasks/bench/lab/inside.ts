/**
 * Runs in the lab: measures boot, restore, claim, pause, resume, hibernate, wake and fork under both accelerators and
 * leaves the figures in `/out/lab.json`.
 */
import { delay, newExecutionId, newSandboxId, runCommand } from "@wrenn/common";
import type { Accelerator } from "../../../agent/core/qemu_args.ts";
import { startsGuest } from "../../../agent/vmm/qemu/accelerator.ts";
import { QemuDriver } from "../../../agent/vmm/qemu/driver.ts";
import { readQemuVersion, tscKhzOf } from "../../../agent/vmm/qemu/host_facts.ts";
import { answers, VmHost } from "../../../agent/vmm/testing/vm_host.ts";
import { TestAgent } from "../../../tests/host/lib/agent.ts";
import { OUT } from "../../lab/core/lab_order.ts";
import { say } from "../../lib/shell.ts";
import type { LabFigures, LabRow } from "./lab_result.ts";

const TEMPLATE = "minimal";
const SIZE = { vcpus: 1, memoryMb: 512 };
const SLOTS = "58320-58339";
/** Of each row: emulation in emulation takes minutes for a boot. */
const RUNS: Readonly<Record<Accelerator, number>> = { kvm: 3, tcg: 1 };
const LIMIT_MS = 15 * 60_000;
/** The host takes a lab that is silent for one that hangs. */
const WORD_MS = 60_000;
const QEMU = "qemu-system-x86_64";

const [kvm, tcg] = [await measure("kvm"), await measure("tcg")];
await Deno.writeTextFile(`${OUT}/lab.json`, JSON.stringify({ kvm, tcg }));

async function measure(accelerator: Accelerator): Promise<LabFigures> {
  // deno-fmt-ignore
  const rows: Record<LabRow, number[]> = {
    boot: [], restore: [], claim: [], pause: [], resume: [], hibernate: [], wake: [], fork: [],
  };
  const add = async <T>(row: LabRow, work: () => Promise<T>): Promise<T> => {
    const { ms, value } = await timed(`${accelerator}: ${row}`, work);
    rows[row].push(ms);
    say(`${accelerator}: ${row} ${(ms / 1000).toFixed(2)} s`);
    return value;
  };
  const bare = await bareBoot(accelerator);
  say(`${accelerator}: bare boot ${(bare / 1000).toFixed(2)} s`);
  await boot(accelerator, add);
  await live(accelerator, add);
  return { bare, rows };
}

type Add = <T>(row: LabRow, work: () => Promise<T>) => Promise<T>;

/** Times some work, and says of a long one that it goes on. */
async function timed<T>(
  what: string,
  work: () => Promise<T>,
): Promise<{ ms: number; value: T }> {
  const began = performance.now();
  const since = (): number => performance.now() - began;
  const words = setInterval(() => say(`${what} ... ${Math.round(since() / 1000)} s`), WORD_MS);
  try {
    const value = await work();
    return { ms: since(), value };
  } finally {
    clearInterval(words);
  }
}

async function bareBoot(accelerator: Accelerator): Promise<number> {
  await using host = await VmHost.open(TEMPLATE);
  const options = {
    qemuBin: QEMU,
    version: await readQemuVersion(QEMU, runCommand),
    tscKhz: tscKhzOf(await Deno.readTextFile("/proc/cpuinfo")),
    kernel: `${host.dataDir}/kernels/vmlinux`,
    initrd: `${host.dataDir}/kernels/initrd.img`,
  };
  const { ms, value } = await timed(
    `${accelerator}: bare boot`,
    () => startsGuest(accelerator, options, LIMIT_MS),
  );
  if (value !== undefined) throw new Error(`No bare guest starts: ${value}`);
  return ms;
}

/** From nothing to envd's first answer. */
async function boot(accelerator: Accelerator, add: Add): Promise<void> {
  await using host = await VmHost.open(TEMPLATE);
  const kernels = `${host.dataDir}/kernels`;
  const driver = await QemuDriver.open({
    ...{ dataDir: host.runRoot, accelerator },
    ...{ kernel: `${kernels}/vmlinux`, initrd: `${kernels}/initrd.img` },
  });
  const spec = await host.spec(SIZE, TEMPLATE);
  const vm = await add("boot", async () => {
    const vm = await driver.boot(spec);
    if (!await answers(spec, LIMIT_MS)) throw new Error("The guest does not answer");
    return vm;
  });
  await vm.kill();
}

/** The life of sandboxes over the agent's service. */
async function live(accelerator: Accelerator, add: Add): Promise<void> {
  await using agent = await TestAgent.open({
    templates: [TEMPLATE],
    slots: SLOTS,
    env: {
      WRENN_VMM: "qemu",
      WRENN_ACCEL: accelerator,
      WRENN_ROOTFS: "dm",
      WRENN_POOL_TEMPLATES: TEMPLATE,
      WRENN_GUEST_TIMEOUT_SEC: "900",
    },
  });
  const create = async (): Promise<string> => {
    const id = newSandboxId();
    const spec = { template: TEMPLATE, ...SIZE };
    await agent.client.createSandbox({ id, executionId: newExecutionId(), spec });
    return id;
  };
  const runs = RUNS[accelerator];
  // The first one makes the golden snapshot.
  const first = await timed(`${accelerator}: golden snapshot`, create);
  await agent.destroy(first.value);
  for (let run = 0; run < runs; run++) {
    await agent.destroy(await add("restore", create));
  }
  const id = await create();
  for (let run = 0; run < runs; run++) {
    await add("pause", () => agent.client.pauseSandbox({ id }));
    await add("resume", () => agent.client.resumeSandbox({ id }));
    await add("hibernate", () => agent.client.hibernateSandbox({ id }));
    await add("wake", () => agent.client.resumeSandbox({ id }));
    const child = { id: newSandboxId(), executionId: newExecutionId() };
    await add("fork", () => agent.client.forkSandbox({ id, children: [child] }));
    await agent.destroy(child.id);
  }
  await agent.destroy(id);
  await agent.end("SIGTERM");
  await agent.start({ WRENN_POOL_MIN: "1", WRENN_POOL_MAX: "1" });
  for (let run = 0; run < runs; run++) {
    await timed(`${accelerator}: warm machine`, () => untilWarm(agent));
    await agent.destroy(await add("claim", create));
  }
}

async function untilWarm({ client }: TestAgent): Promise<void> {
  const limit = AbortSignal.timeout(LIMIT_MS);
  for (;;) {
    const { pools } = await client.getStats({});
    if (pools.some(({ ready }) => ready > 0)) return;
    await delay(200, limit);
  }
}
