import { delay, runCommand } from "@wrenn/common";
import { assert, assertEquals, assertRejects } from "@std/assert";
import type { OutputCall, SetupCall } from "../../../core/firecracker_calls.ts";
import { bootCalls, DEFAULT_SETTINGS, restoreCalls } from "../../../core/firecracker_requests.ts";
import type { BootSpec, MachineSpec, RestoreSpec } from "../../driver.ts";
import { answers, processesWith, VmHost } from "../../testing/vm_host.ts";
import type { SnapshotCreate } from "../api_types.ts";
import { FirecrackerError } from "../firecracker_error.ts";
import { openFresh } from "../open_machine.ts";
import { FirecrackerProcess } from "./firecracker_process.ts";
import { installStandIn } from "./stand_in_executable.ts";

const settings = { ...DEFAULT_SETTINGS, trackDirtyPages: true };

/** A host with raw disks and a stand-in that runs guests. */
async function withHost(
  work: (
    host: VmHost,
    launch: (spec: MachineSpec) => Promise<FirecrackerProcess>,
  ) => Promise<void>,
): Promise<void> {
  await using host = await VmHost.open("minimal", "raw");
  const folder = await Deno.makeTempDir({ dir: host.dataDir });
  const program = await installStandIn(folder, {});
  await work(host, ({ slot, runDir }) => {
    const argv = ["nsenter", `--net=/run/netns/${slot.namespace}`, "--", program] as const;
    return FirecrackerProcess.start({ argv }, `${runDir}/api.sock`);
  });
  assertEquals(await processesWith("wrenn-engine-"), []);
}

/** Calls that describe the machine by its files on the host. */
function described(spec: BootSpec, serial?: string): (OutputCall | SetupCall)[] {
  const { kernel, initrd, disk } = spec;
  const paths = { kernel, initrd, disk: disk.path };
  return bootCalls(spec, serial === undefined ? paths : { ...paths, serial }, settings);
}

Deno.test("The engine boots, pauses and resumes a guest, and ends with its process", async () => {
  await withHost(async (host, launch) => {
    const spec = await host.spec();
    await using process = await launch(spec);
    const fresh = await openFresh(process.socket);
    const running = await (await fresh.configure(described(spec))).start();
    assert(await answers(spec), "the guest answers");
    const paused = await running.pause();
    assertEquals(await answers(spec, 1000), false, "a paused guest is silent");
    using _ = await paused.resume();
    assert(await answers(spec), "it answers again");
    assertEquals((await processesWith("wrenn-engine-")).length, 1);
    process.kill("SIGKILL");
    assertEquals((await process.status).signal, "SIGKILL");
    for (let n = 0; n < 100 && (await processesWith("wrenn-engine-")).length > 0; n++) {
      await delay(20);
    }
    assertEquals(await processesWith("wrenn-engine-"), [], "nothing outlives the process");
  });
});

Deno.test("The engine's process ends with a guest that panics, whose words go to a file", async () => {
  await withHost(async (host, launch) => {
    const spec = await host.spec({ initArgs: ["rdinit=/nonexistent", "root=/dev/nonexistent"] });
    const serial = `${spec.runDir}/serial`;
    await Deno.writeTextFile(serial, "");
    await using process = await launch(spec);
    const fresh = await openFresh(process.socket);
    using _ = await (await fresh.configure(described(spec, serial))).start();
    const { code, signal } = await process.status;
    assertEquals([code, signal], [0, null]);
    const said = await Deno.readTextFile(serial);
    assert(said.includes("Kernel panic"), said);
  });
});

Deno.test("The engine brings a guest back from memory that Diffs were laid over", async () => {
  await withHost(async (host, launch) => {
    const spec = await host.spec();
    const path = (name: string): string => `${host.runRoot}/${name}`;
    const state = path("state");
    const create = (memory: string, snapshot_type: "Full" | "Diff"): SnapshotCreate => ({
      snapshot_path: state,
      mem_file_path: path(memory),
      snapshot_type,
    });
    await using process = await launch(spec);
    const fresh = await openFresh(process.socket);
    const running = await (await fresh.configure(described(spec))).start();
    assert(await answers(spec), "the guest answers");
    const paused = await running.pause();
    await paused.createSnapshot(create("first", "Full"));
    const bytes = spec.memoryMb << 20;
    assertEquals((await Deno.stat(path("first"))).size, bytes);
    const again = await paused.resume();
    assert(await answers(spec));
    using last = await again.pause();
    await Deno.copyFile(path("first"), path("merged"));
    await last.createSnapshot(create("merged", "Diff"));
    await last.createSnapshot(create("nothing", "Diff"));
    await last.createSnapshot(create("whole", "Full"));
    assertEquals(await sameContent(path("merged"), path("whole")), true, "a Diff has what changed");
    assertEquals(await sameContent(path("first"), path("whole")), false);
    const { size, blocks } = await Deno.stat(path("nothing"));
    assertEquals([size, blocks], [bytes, 0], "nothing changed since the last time");
    process.kill("SIGKILL");
    await process.status;

    await using second = await launch({ ...spec, runDir: host.runRoot });
    const from: RestoreSpec = { ...spec, memoryBase: path("merged"), state };
    const { load } = restoreCalls(from, { state, memory: path("merged") }, settings);
    const restored = await (await openFresh(second.socket)).load(load);
    assertEquals(await answers(spec, 500), false, "its vCPUs stand still");
    const goes = await restored.resume();
    assert(await answers(spec), "it answers");
    using stands = await goes.pause();
    await stands.createSnapshot(create("diff", "Diff"));
    const written = (await Deno.stat(path("diff"))).blocks ?? 0;
    assert(written > 0 && written * 512 < bytes / 4, `${written} blocks`);
    assertEquals(await sameContent(path("merged"), path("whole")), true, "the base is as it was");
    await Deno.utime(path("merged"), new Date(), new Date());
    await assertRejects(() => stands.createSnapshot(create("late", "Diff")), FirecrackerError);
  });
});

async function sameContent(one: string, other: string): Promise<boolean> {
  return (await runCommand(["cmp", "-s", "--", one, other], { allowFailure: true })).code === 0;
}
