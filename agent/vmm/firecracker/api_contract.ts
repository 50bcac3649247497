/**
 * What Wrenn counts on when it calls Firecracker's API, as tests: against the stand-in always, and against the real
 * binary where there is one. What takes a guest is in `api_contract_guest.ts`.
 */
import { assert, assertEquals, assertRejects } from "@std/assert";
import {
  callName,
  putBalloon,
  putBootSource,
  putMachineConfig,
} from "../../core/firecracker_calls.ts";
import { FirecrackerApi } from "./api_client.ts";
import { FirecrackerError } from "./firecracker_error.ts";
import { openFresh } from "./open_machine.ts";
import { outputCalls, setupCalls, TAP } from "./testing/contract_calls.ts";
import { type ContractFiles, makeContractFiles } from "./testing/contract_files.ts";
import {
  configuredRefusals,
  freshRefusals,
  load,
  malformed,
  type Refusal,
} from "./testing/contract_refusals.ts";
import { rawRequest } from "./testing/raw_request.ts";
import { LOAD_NOT_ALLOWED } from "./testing/stand_in_fault.ts";

/** A program that serves Firecracker's API. */
export interface ContractProgram {
  /** Shows in the tests' names. */
  readonly name: string;
  /** True for the stand-in, which starts a kernel that is none, and refuses what is not certain. */
  readonly standIn: boolean;
  /** Starts it and answers when it listens. */
  start(files: ContractFiles): Promise<ContractProcess>;
}

/** A running program. */
export interface ContractProcess extends AsyncDisposable {
  /** Path of its socket. */
  readonly socket: string;
  /** Settles with the exit code. */
  readonly ended: Promise<number>;
}

/** A test: what is to be done with a process that was just started. */
export type ContractTest = (
  api: FirecrackerApi,
  files: ContractFiles,
  process: ContractProcess,
) => Promise<void>;

/** Registers a test. */
export function contractTest(program: ContractProgram, what: string, body: ContractTest): void {
  Deno.test(`${program.name} ${what}`, async () => {
    await using files = await makeContractFiles();
    await using process = await program.start(files);
    using api = new FirecrackerApi(process.socket);
    await body(api, files, process);
  });
}

/** Checks that a call is refused, with Firecracker's own words where they are certain. */
export async function expectRefusal(api: FirecrackerApi, refusal: Refusal): Promise<void> {
  const { what, call, fault } = refusal;
  const error = await api.send(call).then(() => undefined, (error) => error);
  assert(error instanceof FirecrackerError, `Accepted: ${what}`);
  assertEquals([error.failure, error.status], ["refused", 400], what);
  assertEquals(error.call, callName(call));
  assert(error.fault !== undefined && error.fault !== "", what);
  if (fault !== undefined) assertEquals(error.fault, fault, what);
}

/** Checks that calls are refused; what is not certain, by the stand-in alone. */
export async function expectRefusals(
  program: ContractProgram,
  api: FirecrackerApi,
  refusals: readonly Refusal[],
): Promise<void> {
  for (const refusal of refusals) {
    if (!refusal.strict || program.standIn) await expectRefusal(api, refusal);
  }
}

/** Registers the tests that need no guest. */
export function apiContract(program: ContractProgram): void {
  const test = (what: string, body: ContractTest): void => contractTest(program, what, body);
  const refuses = (api: FirecrackerApi, refusals: readonly Refusal[]): Promise<void> =>
    expectRefusals(program, api, refusals);

  test("says what it is", async (api) => {
    const { state, app_name, vmm_version } = await api.info();
    assertEquals([state, app_name], ["Not started", "Firecracker"]);
    assert(/^\d+\.\d+\.\d+/.test(vmm_version), vmm_version);
  });

  test("accepts everything that Wrenn can say of a machine", async (api, files) => {
    for (const call of [...outputCalls(files), ...setupCalls(files)]) await api.send(call);
    assertEquals((await api.info()).state, "Not started");
    await refuses(api, configuredRefusals(files));
  });

  test("refuses malformed calls and calls before their time", async (api, files) => {
    await refuses(api, freshRefusals(files));
    assertEquals((await api.info()).state, "Not started");
  });

  test("weighs balloon, memory and huge pages against each other", async (api, files) => {
    const size = { vcpu_count: 1, mem_size_mib: 64 };
    const balloon = putBalloon({ amount_mib: 100, deflate_on_oom: true });
    await api.send(balloon);
    await refuses(api, [{ what: "less memory than the balloon", call: putMachineConfig(size) }]);
    const huge = putMachineConfig({ ...size, mem_size_mib: 128, huge_pages: "2M" });
    await refuses(api, [{ what: "huge pages with a balloon", call: huge, strict: true }]);
    await using other = await program.start(files);
    using second = new FirecrackerApi(other.socket);
    await second.send(huge);
    const boot = { kernel_image_path: files.kernel, initrd_path: files.initrd };
    await refuses(second, [
      { what: "an initrd with huge pages", call: putBootSource(boot), strict: true },
      { what: "a balloon with huge pages", call: balloon, strict: true },
    ]);
  });

  test("loads no snapshot once anything but its output was configured", async (_, files) => {
    for (const { path } of setupCalls(files)) {
      await using own = await makeContractFiles();
      await using process = await program.start(own);
      using api = new FirecrackerApi(process.socket);
      // A call that is refused counts as well: that of the metadata service, whose interface is not there.
      const call = setupCalls(own).find((one) => one.path === path);
      assert(call);
      for (const output of outputCalls(own)) await api.send(output);
      await api.send(call).catch(() => {});
      // Firecracker does not count the console as part of the machine.
      const strict = path === "/serial" ? { strict: true as const } : {};
      const what = `after ${callName(call)}`;
      await refuses(api, [{ what, call: load(own), fault: LOAD_NOT_ALLOWED, ...strict }]);
      assertEquals((await api.info()).state, "Not started", what);
    }
  });

  test("speaks HTTP with small bodies of known length", async (api, _, { socket }) => {
    const body = (bytes: number): string => `{"level":"${"x".repeat(bytes - 12)}"}`;
    const put = (rest: string): Promise<string> =>
      rawRequest(socket, `PUT /logger HTTP/1.1\r\nHost: localhost\r\n${rest}`);
    const sized = (text: string): string => `Content-Length: ${text.length}\r\n\r\n${text}`;
    const large = await put(sized(body(51_201)));
    assert(large.startsWith("HTTP/1.1 400"), large);
    assert(large.includes("size 51201 is larger than the limit of 51200"), large);
    const fits = await put(sized(body(51_200)));
    assert(fits.startsWith("HTTP/1.1 400") && !fits.includes("larger"), fits);
    const chunked = await put("Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n");
    assert(chunked.startsWith("HTTP/1.1 400"), chunked);
    const empty = await put("Content-Length: 0\r\n\r\n");
    assert(empty.includes('{"fault_message":"Empty PUT request."}'), empty);
    assert((await put(sized("{"))).startsWith("HTTP/1.1 400"));
    const done = await put(sized('{"level":"Info"}'));
    assert(done.startsWith("HTTP/1.1 204"), done);
    assertEquals(done.split("\r\n\r\n")[1], "", "204 has no body");
    const ask = (line: string, rest: string = "\r\n"): Promise<string> =>
      rawRequest(socket, `${line} HTTP/1.1\r\nHost: localhost\r\n${rest}`);
    const asked = await ask("GET /", sized("{}"));
    assert(asked.includes("GET request cannot have a body."), asked);
    assert((await ask("GET /other")).startsWith("HTTP/1.1 400"));
    assert((await ask("POST /")).startsWith("HTTP/1.1 400"));
    assertEquals((await api.info()).state, "Not started");
  });

  test("ends itself when a snapshot does not load", async (_, files, { socket, ended }) => {
    using fresh = await openFresh(socket);
    for (const call of outputCalls(files)) await fresh.setOutput(call);
    const error = await assertRejects(
      () =>
        fresh.load({
          snapshot_path: files.missing,
          mem_backend: { backend_type: "File", backend_path: files.missing },
        }),
      FirecrackerError,
    );
    assertEquals([error.failure, error.call], ["refused", "PUT /snapshot/load"]);
    assertEquals(await ended, 1);
    const after = await assertRejects(() => fresh.info(), FirecrackerError);
    assertEquals(after.failure, "phase");
  });

  test("goes on when a load is malformed", async (api, files) => {
    const full = load(files, {
      resume_vm: false,
      track_dirty_pages: false,
      network_overrides: [{ iface_id: "eth0", host_dev_name: TAP }],
      clock_realtime: true,
    });
    const change = (body: object): typeof full => ({ ...full, body: { ...full.body, ...body } });
    const backend = { backend_type: "File", backend_path: files.path("memory") };
    const more = { iface_id: "eth0", host_dev_name: TAP, wrenn: 1 };
    await refuses(api, [
      ...malformed(full),
      { what: "a memory with more", call: change({ mem_backend: { ...backend, wrenn: 1 } }) },
      { what: "a memory that is none", call: change({ mem_backend: { backend_type: "File" } }) },
      {
        what: "a kind of memory",
        call: change({ mem_backend: { ...backend, backend_type: "x" } }),
      },
      {
        what: "an override without a TAP",
        call: change({ network_overrides: [{ iface_id: "a" }] }),
      },
      { what: "more overrides", call: change({ network_overrides: [more] }), strict: true },
    ]);
    assertEquals((await api.info()).state, "Not started");
  });
}
