/** The part of the contract with Firecracker's API that takes a machine that was started. */
import { assert, assertEquals, assertRejects } from "@std/assert";
import { patchVm, putAction } from "../../core/firecracker_calls.ts";
import {
  type ContractProgram,
  type ContractTest,
  contractTest,
  expectRefusals,
} from "./api_contract.ts";
import type { FirecrackerApi } from "./api_client.ts";
import { FirecrackerError } from "./firecracker_error.ts";
import { openFresh, openMachine } from "./open_machine.ts";
import { leastCalls, outputCalls, setupCalls, updateCalls } from "./testing/contract_calls.ts";
import type { ContractFiles } from "./testing/contract_files.ts";
import {
  pausedRefusals,
  pluggableRefusals,
  type Refusal,
  runningRefusals,
  snapshotPaths,
  startedRefusals,
} from "./testing/contract_refusals.ts";

/** Registers the tests. */
export function guestContract(program: ContractProgram): void {
  const test = (what: string, body: ContractTest): void => contractTest(program, what, body);
  const refuses = (api: FirecrackerApi, refusals: readonly Refusal[]): Promise<void> =>
    expectRefusals(program, api, refusals);

  test("starts only what can start", async (api, files) => {
    const [, boot, drive] = leastCalls(files);
    assert(boot && drive);
    const begin = { what: "a start", call: putAction("InstanceStart") };
    await api.send(drive);
    await refuses(api, [begin]);
    await api.send({ ...boot, body: { kernel_image_path: files.disk } });
    await refuses(api, [{ ...begin, what: "a kernel that is none" }]);
    await api.send(boot);
    await api.send({ ...drive, body: { ...drive.body, is_root_device: false } });
    await refuses(api, [{ ...begin, what: "no root drive" }]);
    await api.send(drive);
    await Deno.rename(files.kernel, files.path("gone"));
    await refuses(api, [{ ...begin, what: "a kernel that is gone", strict: true }]);
    await Deno.rename(files.path("gone"), files.kernel);
    await Deno.rename(files.disk, files.path("gone"));
    await refuses(api, [{ ...begin, what: "a disk that is gone", strict: true }]);
    await Deno.rename(files.path("gone"), files.disk);
    assertEquals((await api.info()).state, "Not started");
    await api.send(begin.call);
    assertEquals((await api.info()).state, "Running");
  });

  test("refuses what a started machine does not take, running or paused", async (api, files) => {
    for (const call of [...outputCalls(files), ...setupCalls(files)]) await api.send(call);
    await api.send(putAction("InstanceStart"));
    await refuses(api, startedRefusals(files));
    for (const call of updateCalls(files)) await api.send(call);
    assertEquals((await api.info()).state, "Running");
    await api.send(patchVm("Paused"));
    await refuses(api, [...startedRefusals(files), ...pluggableRefusals(files)]);
    for (const call of updateCalls(files)) await api.send(call);
    assertEquals((await api.info()).state, "Paused");
  });

  test("pauses and resumes, again and again", async (api, files) => {
    await startLeast(api, files);
    await refuses(api, runningRefusals(files));
    for (const state of ["Resumed", "Paused", "Paused", "Resumed", "Resumed"] as const) {
      await api.send(patchVm(state));
      assertEquals((await api.info()).state, state === "Paused" ? "Paused" : "Running");
    }
    await api.send(patchVm("Paused"));
    await refuses(api, pausedRefusals(files));
    assertEquals((await api.info()).state, "Paused");
  });

  test("writes metrics only when there is a file for them", async (api, files) => {
    await startLeast(api, files);
    const call = putAction("FlushMetrics");
    await refuses(api, [{ what: "metrics for nobody", call, strict: true }]);
  });

  test("ends with the guest that the keys end", async (api, files, { ended }) => {
    await startLeast(api, files);
    await api.send(putAction("SendCtrlAltDel"));
    assertEquals(await ended, 0);
    const error = await assertRejects(() => api.info(), FirecrackerError);
    assertEquals(error.failure, "closed");
  });

  test("leads a machine through all of its phases", async (_, files, { socket }) => {
    const fresh = await openFresh(socket);
    const configured = await fresh.configure([]);
    await configured.configure(leastCalls(files, true));
    const running = await configured.start();
    const paused = await running.pause();
    const paths = snapshotPaths(files);
    await paused.createSnapshot(paths);
    await paused.createSnapshot({ ...paths, snapshot_type: "Diff" });
    using last = await paused.resume();
    await last.patchDrive({ drive_id: "rootfs", path_on_host: files.otherDisk });
    await last.patchNetworkInterface({ iface_id: "eth0" });
    for (const old of [fresh, configured, running, paused]) {
      const error = await assertRejects(() => old.info(), FirecrackerError);
      assertEquals(error.failure, "phase");
      old[Symbol.dispose]();
    }
    assertEquals((await last.info()).state, "Running");
    using again = await openMachine(socket);
    assertEquals(again.phase, "running");
    await assertRejects(() => openFresh(socket), FirecrackerError, "running already");
    assertEquals((await Deno.stat(paths.mem_file_path)).size, 128 * 1024 * 1024);
  });
}

/** Starts a machine with what it needs at least. */
export async function startLeast(
  api: FirecrackerApi,
  files: ContractFiles,
  trackDirtyPages: boolean = false,
): Promise<void> {
  for (const call of leastCalls(files, trackDirtyPages)) await api.send(call);
  await api.send(putAction("InstanceStart"));
}
