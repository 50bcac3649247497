/** The contract's checks can fail: each refusal against a program that accepts, each acceptance against one that refuses. */
import { assert, AssertionError, assertRejects } from "@std/assert";
import { expectRefusal } from "./api_contract.ts";
import { FirecrackerApi } from "./api_client.ts";
import { FirecrackerError } from "./firecracker_error.ts";
import { outputCalls, setupCalls, TAP, updateCalls } from "./testing/contract_calls.ts";
import { type ContractFiles, makeContractFiles } from "./testing/contract_files.ts";
import {
  configuredRefusals,
  freshRefusals,
  load,
  malformed,
  pausedRefusals,
  pluggableRefusals,
  type Refusal,
  runningRefusals,
  startedRefusals,
} from "./testing/contract_refusals.ts";
import { answering } from "./testing/in_process.ts";
import { StandInMachine } from "./testing/stand_in_machine.ts";

function everyRefusal(files: ContractFiles): Refusal[] {
  return [
    ...freshRefusals(files),
    ...configuredRefusals(files),
    ...startedRefusals(files),
    ...runningRefusals(files),
    ...pausedRefusals(files),
    ...pluggableRefusals(files),
    ...malformed(load(files)),
  ];
}

Deno.test("expectRefusal() fails for every call when a program accepts all", async () => {
  await using files = await makeContractFiles();
  await using process = answering(files, () => Promise.resolve({ status: 204 }));
  using api = new FirecrackerApi(process.socket);
  const refusals = everyRefusal(files);
  assert(refusals.length > 200, `${refusals.length}`);
  for (const refusal of refusals) {
    await assertRejects(() => expectRefusal(api, refusal), AssertionError, "Accepted");
  }
});

Deno.test("expectRefusal() fails for other words than Firecracker's, and for other statuses", async () => {
  await using files = await makeContractFiles();
  for (const status of [400, 500] as const) {
    const answer = { status, body: { fault_message: "No" } };
    await using process = answering(files, () => Promise.resolve(answer));
    using api = new FirecrackerApi(process.socket);
    const certain = everyRefusal(files).filter(({ fault }) => fault !== undefined);
    assert(certain.length > 30, `${certain.length}`);
    for (const refusal of status === 400 ? certain : everyRefusal(files)) {
      await assertRejects(() => expectRefusal(api, refusal), AssertionError);
    }
  }
});

Deno.test("A program that refuses all fails every acceptance", async () => {
  await using files = await makeContractFiles();
  const answer = { status: 400, body: { fault_message: "No" } } as const;
  await using process = answering(files, () => Promise.resolve(answer));
  using api = new FirecrackerApi(process.socket);
  for (const call of [...outputCalls(files), ...setupCalls(files), ...updateCalls(files)]) {
    await assertRejects(() => api.send(call), FirecrackerError);
  }
});

Deno.test("A program that overlooks unknown fields is found out by each call", async () => {
  await using files = await makeContractFiles();
  using machine = new StandInMachine({ id: "lax", lentTaps: new Set([TAP]) });
  await using process = answering(files, (method, path, text) => {
    const { wrenn: _, ...body } = text === "" ? {} : JSON.parse(text);
    return machine.answer(method, path, text === "" ? "" : JSON.stringify(body));
  });
  using api = new FirecrackerApi(process.socket);
  for (const call of [...outputCalls(files), ...setupCalls(files)]) {
    const unknown = malformed(call).filter(({ what }) => what.endsWith("unknown field"));
    for (const refusal of unknown) {
      await assertRejects(() => expectRefusal(api, refusal), AssertionError, "Accepted");
    }
  }
});

Deno.test("A program that forgets its state is found out", async () => {
  await using files = await makeContractFiles();
  // Every call meets a machine that was never started.
  await using process = answering(files, async (method, path, text) => {
    using machine = new StandInMachine({ id: "lax", lentTaps: new Set([TAP]) });
    return await machine.answer(method, path, text);
  });
  using api = new FirecrackerApi(process.socket);
  for (const refusal of startedRefusals(files).filter(({ what }) => what === "after the start")) {
    await assertRejects(() => expectRefusal(api, refusal), AssertionError);
  }
});
