/** The part of the contract with Firecracker's API that takes snapshots. */
import { assert, assertEquals } from "@std/assert";
import { patchVm, putAction, putSnapshotCreate, putVsock } from "../../core/firecracker_calls.ts";
import {
  type ContractProgram,
  type ContractTest,
  contractTest,
  expectRefusal,
} from "./api_contract.ts";
import { startLeast } from "./api_contract_guest.ts";
import { FirecrackerApi } from "./api_client.ts";
import type { SnapshotCreate, SnapshotLoad } from "./api_types.ts";
import { openFresh } from "./open_machine.ts";
import { leastCalls, outputCalls, TAP } from "./testing/contract_calls.ts";
import { type ContractFiles, makeContractFiles } from "./testing/contract_files.ts";
import { create, load, snapshotPaths } from "./testing/contract_refusals.ts";
import { POST_BOOT } from "./testing/stand_in_fault.ts";

/** How a snapshot is spoiled, or loaded in a wrong way. */
type Spoil = (files: ContractFiles) => Promise<Partial<SnapshotLoad> | void>;

/** Snapshots that do not load. The process ends itself. */
const SPOILED: Readonly<Record<string, Spoil>> = {
  "no state": (files) => Deno.remove(files.path("state")),
  "no memory": (files) => Deno.remove(files.path("memory")),
  "a state that is none": (files) => Deno.writeTextFile(files.path("state"), "{}"),
  "a state that is cut": (files) => Deno.truncate(files.path("state"), 100),
  "a state of another version": (files) =>
    edit(files.path("state"), (text) => text.replace(/"1\.\d+\.\d+"/, '"1.14.0"')),
  "a memory that is cut": (files) => Deno.truncate(files.path("memory"), 127 << 20),
  "a memory that is too long": (files) => Deno.truncate(files.path("memory"), 129 << 20),
  "the memory of another machine": (files) =>
    writePages(files.path("memory"), 2, new Uint8Array(2 * 4096)),
  "no disk": (files) => Deno.remove(files.disk),
  "an interface that is none": () => override("eth1", TAP),
  "a TAP that is none": () => override("eth0", "wrenn-none"),
  "a handler of page faults": (files) =>
    Promise.resolve({ mem_backend: { backend_type: "Uffd", backend_path: files.path("memory") } }),
};

/** Registers the tests. */
export function snapshotContract(program: ContractProgram): void {
  const test = (what: string, body: ContractTest): void => contractTest(program, what, body);
  const another = async (files: ContractFiles, body: ContractTest): Promise<void> => {
    await using process = await program.start(files);
    using api = new FirecrackerApi(process.socket);
    await body(api, files, process);
  };

  test("brings a machine back, any number of times", async (api, files) => {
    await startLeast(api, files);
    await api.send(patchVm("Paused"));
    await api.send(create(files));
    await another(files, async (_api, _files, { socket }) => {
      const fresh = await openFresh(socket);
      for (const call of outputCalls(files)) await fresh.setOutput(call);
      const paused = await fresh.load(loadBody(files));
      assertEquals((await paused.info()).state, "Paused");
      using running = await paused.resume();
      assertEquals((await running.info()).state, "Running");
    });
    await another(files, async (_api, _files, { socket }) => {
      const fresh = await openFresh(socket);
      using running = await fresh.load({ ...loadBody(files), resume_vm: true });
      assertEquals((await running.info()).state, "Running");
    });
  });

  test("loads into a fresh process alone", async (api, files) => {
    await startLeast(api, files);
    await api.send(patchVm("Paused"));
    await api.send(create(files));
    await another(files, async (api) => {
      await api.send(load(files, { network_overrides: [], clock_realtime: true }));
      await expectRefusal(api, { what: "a second load", call: load(files), fault: POST_BOOT });
      assertEquals((await api.info()).state, "Paused");
    });
  });

  test("brings a vsock device back when its socket's place is free", async (api, files) => {
    const vsock = { guest_cid: 3, uds_path: files.path("vsock.sock") };
    await api.send(putVsock(vsock));
    await startLeast(api, files);
    await api.send(patchVm("Paused"));
    await api.send(create(files));
    await another(files, async (api, _files, { ended }) => {
      await expectRefusal(api, { what: "a socket that is left", call: load(files) });
      assertEquals(await ended, 1);
    });
    await Deno.remove(vsock.uds_path);
    await another(files, async (api) => {
      await api.send(load(files));
      assert((await Deno.lstat(vsock.uds_path)).isSocket);
    });
  });

  test("brings no huge pages back from a file", async (api, files) => {
    const [machine, ...rest] = leastCalls(files);
    assert(machine);
    const huge = { ...machine, body: { ...machine.body, huge_pages: "2M" } };
    for (const call of [huge, ...rest, putAction("InstanceStart")]) await api.send(call);
    await api.send(patchVm("Paused"));
    await api.send(create(files));
    await another(files, async (api) => {
      await expectRefusal(api, { what: "huge pages", call: load(files) });
    });
  });

  test("takes a Diff only of tracked pages", async (api, files) => {
    await startLeast(api, files, true);
    await api.send(patchVm("Paused"));
    await api.send(create(files));
    const diff = putSnapshotCreate({ ...diffPaths(files), snapshot_type: "Diff" });
    for (const track_dirty_pages of [true, false]) {
      await another(files, async (api) => {
        await api.send(load(files, { track_dirty_pages }));
        if (track_dirty_pages) await api.send(diff);
        else await expectRefusal(api, { what: "a Diff of untracked pages", call: diff });
      });
    }
  });

  test("loads a Diff only when it lies over its base", async (api, files) => {
    await startLeast(api, files, true);
    await api.send(patchVm("Paused"));
    await api.send(create(files));
    const diff = diffPaths(files);
    await api.send(putSnapshotCreate({ ...diff, snapshot_type: "Diff" }));
    const { size, blocks } = await Deno.stat(diff.mem_file_path);
    assertEquals(size, 128 << 20);
    assert(blocks !== null && blocks < 1000, "it is sparse");
    const alone = load(files, {
      snapshot_path: diff.snapshot_path,
      mem_backend: { backend_type: "File", backend_path: diff.mem_file_path },
    });
    await another(files, async (api) => {
      await expectRefusal(api, { what: "a Diff without its base", call: alone });
    });
    await writePages(files.path("memory"), 1, await firstPage(diff.mem_file_path));
    await another(files, async (api) => {
      await expectRefusal(api, { what: "a state older than its memory", call: load(files) });
    });
    await another(files, async (api) => {
      await api.send(load(files, { snapshot_path: diff.snapshot_path }));
      assertEquals((await api.info()).state, "Paused");
    });
  });

  for (const [what, spoil] of Object.entries(SPOILED)) {
    test(`refuses a snapshot and ends: ${what}`, async (api) => {
      await using files = await makeContractFiles();
      await startLeast(api, files);
      await api.send(patchVm("Paused"));
      await api.send(create(files));
      const change = await spoil(files) ?? {};
      await another(files, async (api, _files, { ended }) => {
        await expectRefusal(api, { what, call: load(files, change) });
        // What is malformed is not tried, and the process goes on.
        if (change.mem_backend === undefined) assertEquals(await ended, 1);
      });
    });
  }
}

function loadBody(files: ContractFiles): Pick<SnapshotLoad, "snapshot_path" | "mem_backend"> {
  const { snapshot_path, mem_file_path } = snapshotPaths(files);
  return { snapshot_path, mem_backend: { backend_type: "File", backend_path: mem_file_path } };
}

function diffPaths(files: ContractFiles): SnapshotCreate {
  return { snapshot_path: files.path("diff-state"), mem_file_path: files.path("diff") };
}

function override(iface_id: string, host_dev_name: string): Promise<Partial<SnapshotLoad>> {
  return Promise.resolve({ network_overrides: [{ iface_id, host_dev_name }] });
}

async function edit(path: string, change: (text: string) => string): Promise<void> {
  const text = await Deno.readTextFile(path);
  const next = change(text);
  assert(next !== text, "there is something to change");
  await Deno.writeTextFile(path, next);
}

async function firstPage(path: string): Promise<Uint8Array> {
  using file = await Deno.open(path);
  const page = new Uint8Array(4096);
  await file.read(page);
  return page;
}

/** Overwrites the first pages of a memory. */
async function writePages(path: string, pages: number, from: Uint8Array): Promise<void> {
  using file = await Deno.open(path, { write: true });
  await file.write(from.subarray(0, pages * 4096));
}
