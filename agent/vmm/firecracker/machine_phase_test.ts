import { assertEquals, assertRejects } from "@std/assert";
import { putBootSource, putEntropy, putLogger } from "../../core/firecracker_calls.ts";
import type { SnapshotLoad } from "./api_types.ts";
import { FirecrackerError, type FirecrackerFailure } from "./firecracker_error.ts";
import { openFresh, openMachine } from "./open_machine.ts";
import type { RunningMachine } from "./started_machine.ts";
import { leastCalls } from "./testing/contract_calls.ts";
import { type ContractFiles, makeContractFiles } from "./testing/contract_files.ts";
import { answering, inProcessStandIn } from "./testing/in_process.ts";
import type { StandInAnswer } from "./testing/stand_in_machine.ts";

const snapshot: Pick<SnapshotLoad, "snapshot_path" | "mem_backend"> = {
  snapshot_path: "/state",
  mem_backend: { backend_type: "File", backend_path: "/memory" },
};

async function failure(work: Promise<unknown>): Promise<FirecrackerFailure> {
  return (await assertRejects(() => work, FirecrackerError) as FirecrackerError).failure;
}

/** A running machine whose calls are answered by `answer`. */
async function running(
  files: ContractFiles,
  answer: (method: string, path: string) => Promise<StandInAnswer>,
): Promise<{ machine: RunningMachine } & AsyncDisposable> {
  const body = { id: "a", state: "Running", vmm_version: "1.15.1", app_name: "Firecracker" };
  const process = answering(
    files,
    (method, path) =>
      method === "GET" ? Promise.resolve({ status: 200, body }) : answer(method, path),
  );
  const machine = await openMachine(process.socket);
  if (machine.phase !== "running") throw new Error("Not running");
  return {
    machine,
    [Symbol.asyncDispose]: async () => {
      machine[Symbol.dispose]();
      await process[Symbol.asyncDispose]();
    },
  };
}

Deno.test("MachinePhase sends nothing once the next phase is reached", async () => {
  await using files = await makeContractFiles();
  await using process = await inProcessStandIn.start(files);
  const fresh = await openFresh(process.socket);
  using configured = await fresh.configure(leastCalls(files));
  assertEquals(await failure(fresh.configure([])), "phase");
  assertEquals(await failure(fresh.load(snapshot)), "phase");
  assertEquals(await failure(fresh.setOutput(putLogger({ level: "Info" }))), "phase");
  fresh[Symbol.dispose]();
  assertEquals((await configured.info()).state, "Not started", "the connection is the next one's");
});

Deno.test("MachinePhase stays when Firecracker refuses the way to the next", async () => {
  await using files = await makeContractFiles();
  await using process = await inProcessStandIn.start(files);
  const fresh = await openFresh(process.socket);
  const configured = await fresh.configure([putEntropy()]);
  assertEquals(await failure(configured.start()), "refused");
  await configured.configure(leastCalls(files));
  using machine = await configured.start();
  assertEquals(machine.phase, "running");
});

Deno.test("MachinePhase allows one way out at a time", async () => {
  await using files = await makeContractFiles();
  await using subject = await running(files, () => Promise.resolve({ status: 204 }));
  const [first, second] = await Promise.allSettled([
    subject.machine.pause(),
    subject.machine.pause(),
  ]);
  assertEquals([first.status, second.status], ["fulfilled", "rejected"]);
  if (first.status === "fulfilled") first.value[Symbol.dispose]();
});

Deno.test("MachinePhase ends when nobody knows what became of the call", async () => {
  await using files = await makeContractFiles();
  const late = Promise.withResolvers<StandInAnswer>();
  await using subject = await running(files, () => late.promise);
  assertEquals(await failure(subject.machine.pause({ timeoutMs: 20 })), "timeout");
  assertEquals(await failure(subject.machine.info()), "phase");
  late.resolve({ status: 204 });
});

Deno.test("MachinePhase can be disposed of while it leaves", async () => {
  await using files = await makeContractFiles();
  const answer = Promise.withResolvers<StandInAnswer>();
  const asked = Promise.withResolvers<void>();
  await using subject = await running(files, () => {
    asked.resolve();
    return answer.promise;
  });
  const pausing = failure(subject.machine.pause({ timeoutMs: 1000 }));
  await asked.promise;
  subject.machine[Symbol.dispose]();
  answer.resolve({ status: 204 });
  assertEquals(await pausing, "closed");
});

Deno.test("FreshMachine.configure() ends the phase when a call is refused", async () => {
  await using files = await makeContractFiles();
  await using process = await inProcessStandIn.start(files);
  const fresh = await openFresh(process.socket);
  const bad = putBootSource({ kernel_image_path: files.missing });
  assertEquals(await failure(fresh.configure([putEntropy(), bad])), "refused");
  assertEquals(await failure(fresh.info()), "phase");
});

Deno.test("openMachine() leaves nothing open when nobody answers", async () => {
  assertEquals(await failure(openMachine("/nonexistent/api.sock")), "closed");
  assertEquals(await failure(openFresh("/nonexistent/api.sock")), "closed");
});
