import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import fc from "fast-check";
import { delay, type ErrorCode, type SandboxId, WrennError } from "@wrenn/common";
import { FakeHost, FAULT_STEPS, type FaultStep } from "../testing/fake_host.ts";
import { REMEMBER_MS } from "./manager.ts";
import type { SandboxInfo, SandboxOrder, SandboxSpec } from "./types.ts";

const SPEC: SandboxSpec = {
  template: "base",
  vcpus: 1,
  memoryMb: 256,
  diskMb: 0,
  timeoutSec: 0,
  onTimeout: "destroy",
  env: { A: "1" },
  network: { internet: true, allowOut: [], denyOut: [] },
};

function order(n: number, spec: Partial<SandboxSpec> = {}, execution: string = "e1"): SandboxOrder {
  return { id: idOf(n), executionId: execution, spec: { ...SPEC, ...spec } };
}

function idOf(n: number): SandboxId {
  return `sb-${n.toString(16).padStart(8, "0")}`;
}

async function codeOf(promise: Promise<unknown>): Promise<ErrorCode> {
  return (await assertRejects(() => promise, WrennError)).code;
}

Deno.test("create() answers when the guest has its identity", async () => {
  await using host = new FakeHost();
  const manager = host.manager();
  const { info, startTiming } = await manager.create(order(1, { diskMb: 0 }));
  assertEquals(Object.keys(startTiming), ["restore", "policy", "resume", "init"]);
  assertEquals(info.state, "running");
  assertEquals(info.spec.diskMb, 1024);
  // The first slot was the golden snapshot's.
  assertEquals(info.hostIp, "10.11.0.2");
  const vm = host.vm(idOf(1));
  assertEquals(vm.spec.uid, 300_002);
  const [init] = vm.envd.inits;
  assertEquals(init?.envVars, { A: "1" });
  assertEquals(init?.hostname, idOf(1));
  assertEquals(init?.defaultUser, "user");
  assertEquals(init?.accessToken.length, 64);
  assertEquals(init?.machineId?.length, 32);
  assertEquals(host.policies.get(2), SPEC.network);
  assertEquals(((await Deno.stat(vm.spec.runDir)).mode ?? 0) & 0o777, 0o700);
  await manager.stop();
  assertEquals(host.left(), []);
});

Deno.test("A guest that took long to take its identity is told the time again", async () => {
  await using host = new FakeHost();
  host.initDelayMs = 60;
  const manager = host.manager();
  await manager.create(order(1));
  const { inits, clocks } = host.vm(idOf(1)).envd;
  while (clocks.length === 0) await delay(5);
  const [told = ""] = clocks;
  const ahead = Date.parse(told) - Date.parse(inits[0]?.timestamp ?? "");
  assert(ahead >= 60, `${ahead} ms`);
  await manager.stop();
});

Deno.test("create() undoes everything, whatever step fails, and tells why", async () => {
  const expected: Record<FaultStep, ErrorCode> = {
    acquireBase: "internal",
    overlay: "no_space",
    claim: "capacity_exhausted",
    applyPolicy: "internal",
    boot: "internal",
    sick: "guest_unavailable",
    initFails: "guest_unavailable",
    dies: "guest_unavailable",
  };
  await using host = new FakeHost();
  const manager = host.manager({ guestTimeoutMs: 500 });
  await manager.create(order(98));
  await manager.destroy(idOf(98), "");
  for (const [n, step] of FAULT_STEPS.entries()) {
    host.fault = step;
    assertEquals(await codeOf(manager.create(order(n))), expected[step], step);
    assertEquals(host.left(), [], step);
    const { info } = manager.get(idOf(n));
    assertEquals(info.state, "error");
    assertEquals(info.reason?.code, expected[step]);
    assertEquals(info.hostIp, "");
    // The same execution fails again the same way; another one may try.
    host.fault = undefined;
    assertEquals(await codeOf(manager.create(order(n))), expected[step]);
    assertEquals((await manager.create(order(n, {}, "e2"))).info.state, "running");
    await manager.destroy(idOf(n), "e2");
  }
  assertEquals(await codeOf(manager.create(order(99, { template: "no" }))), "template_not_found");
  await manager.stop();
  assertEquals(host.left(), []);
});

Deno.test("create() boots when a restored machine does not live", async () => {
  await using host = new FakeHost();
  const manager = host.manager();
  await manager.create(order(1));
  host.fault = "initFails";
  host.beforeBoot = () => {
    // The restore is broken, the boot that stands in for it is not.
    if (host.machine(idOf(2)) === undefined && tries++ > 0) host.fault = undefined;
    return Promise.resolve();
  };
  let tries = 0;
  assertEquals((await manager.create(order(2))).info.state, "running");
  assertEquals(host.boots, 2);
  await manager.stop();
  assertEquals(host.left(), []);
});

Deno.test("create() is one start for all who ask for the same execution", async () => {
  await using host = new FakeHost();
  const manager = host.manager();
  const all = await Promise.all([1, 1, 1].map((n) => manager.create(order(n))));
  assertEquals(all.map((box) => box.info.state), ["running", "running", "running"]);
  assertEquals(host.machines.size, 1);
  assertEquals((await manager.create(order(1))).info.state, "running");
  assertEquals(await codeOf(manager.create(order(1, {}, "e2"))), "conflict");
  await manager.destroy(idOf(1), "");
  assertEquals(await codeOf(manager.create(order(1))), "conflict");
  await manager.stop();
});

Deno.test("create() starts no more machines at once than there are places", async () => {
  await using host = new FakeHost();
  const manager = host.manager({ places: 2 });
  await manager.create(order(99));
  const two = Promise.withResolvers<void>();
  let started = 0;
  host.beforeBoot = async () => {
    if (++started === 2) two.resolve();
    await two.promise;
    await delay(2);
  };
  await Promise.all(Array.from({ length: 8 }, (_, n) => manager.create(order(n))));
  assertEquals(host.mostBooting, 2);
  await manager.stop();
  assertEquals(host.left(), []);
});

Deno.test("create() refuses what does not fit", async () => {
  await using host = new FakeHost();
  const manager = host.manager({ maxSandboxes: 2 });
  const results = await Promise.allSettled([1, 2, 3, 4].map((n) => manager.create(order(n))));
  assertEquals(results.filter((r) => r.status === "fulfilled").length, 2);
  assertEquals(await codeOf(manager.create(order(5))), "capacity_exhausted");
  assertEquals(manager.list().length, 2);
  await manager.stop();
});

Deno.test("destroy() while it starts gives the start up and leaves nothing", async () => {
  await using host = new FakeHost();
  const booting = Promise.withResolvers<void>();
  const goOn = Promise.withResolvers<void>();
  host.beforeBoot = () => {
    booting.resolve();
    return goOn.promise;
  };
  const manager = host.manager({ places: 1 });
  const first = codeOf(manager.create(order(1)));
  await booting.promise;
  const waiting = codeOf(manager.create(order(2)));
  const gone = Promise.all([manager.destroy(idOf(1), "e1"), manager.destroy(idOf(2), "")]);
  goOn.resolve();
  await gone;
  assertEquals(await first, "canceled");
  assertEquals(await waiting, "canceled");
  assertEquals(manager.list().map((info) => info.state), ["stopped", "stopped"]);
  assertEquals(host.left(), []);
  await manager.stop();
});

Deno.test("destroy() is idempotent, spares other executions and forgives unknown ids", async () => {
  await using host = new FakeHost();
  const manager = host.manager();
  await manager.create(order(1));
  assertEquals(await codeOf(manager.destroy(idOf(1), "e2")), "conflict");
  assertEquals(host.machines.size, 1);
  await Promise.all([manager.destroy(idOf(1), "e1"), manager.destroy(idOf(1), "")]);
  await manager.destroy(idOf(1), "e1");
  await manager.destroy(idOf(7), "");
  assertEquals(manager.get(idOf(1)).info.reason?.code, "canceled");
  assertEquals(host.left(), []);
  await manager.stop();
});

Deno.test("pause() and resume() are idempotent and keep commands out meanwhile", async () => {
  await using host = new FakeHost();
  const manager = host.manager();
  const box = await manager.create(order(1));
  await Promise.all([box.pause(), box.pause()]);
  await box.pause();
  assertEquals(box.info.state, "paused");
  assertEquals(host.vm(idOf(1)).isRunning, false);
  assertEquals(host.vm(idOf(1)).envd.frozen, true);
  assertEquals(assertThrows(() => manager.use(idOf(1)), WrennError).code, "sandbox_paused");
  assertEquals(assertThrows(() => manager.ping(idOf(1)), WrennError).code, "sandbox_paused");
  assertEquals((await box.resume()).from, "paused");
  assertEquals((await box.resume()).from, "running");
  // The clock of the guest was set again, and its processes go on.
  assertEquals(host.vm(idOf(1)).envd.inits.length, 2);
  assertEquals(host.vm(idOf(1)).envd.frozen, false);
  await manager.destroy(idOf(1), "");
  assertEquals(await codeOf(box.pause()), "sandbox_not_running");
  assertEquals(assertThrows(() => manager.get(idOf(9)), WrennError).code, "sandbox_not_found");
  await manager.stop();
});

Deno.test("A machine that ends by itself becomes an error and frees everything", async () => {
  await using host = new FakeHost();
  const manager = host.manager();
  const stop = new AbortController();
  const changes = manager.watch(stop.signal);
  await manager.create(order(1));
  await host.vm(idOf(1)).end({ code: undefined, signal: "SIGKILL", tail: "" });
  const states: SandboxInfo[] = [];
  for await (const info of changes) {
    states.push(info);
    if (info.state === "error") break;
  }
  assertEquals(states.map((info) => info.state), ["starting", "running", "error"]);
  assertEquals(states.at(-1)?.reason?.code, "guest_unavailable");
  assertEquals(host.left(), []);
  await manager.destroy(idOf(1), "e1");
  assertEquals(manager.get(idOf(1)).info.state, "error");
  stop.abort();
  await manager.stop();
});

Deno.test("tick() ends idle sandboxes and spares those in use", async () => {
  await using host = new FakeHost();
  const manager = host.manager();
  await manager.create(order(1, { timeoutSec: 60 }));
  await manager.create(order(2, { timeoutSec: 60 }));
  await manager.create(order(3));
  using _lease = manager.use(idOf(2));
  manager.tick(performance.now() + 59_000);
  manager.tick(performance.now() + 61_000);
  // The loop looks again with its own clock, by which nothing has expired.
  await Promise.resolve();
  assertEquals(manager.list().map((info) => info.state), ["running", "running", "running"]);
  await manager.stop();
});

Deno.test("tick() pauses or destroys at the deadline and forgets ended ones later", async () => {
  await using host = new FakeHost();
  let ahead = 0;
  const clock = { now: () => Date.now(), monotonic: () => performance.now() + ahead };
  const manager = host.manager({ parts: { clock } });
  const tick = (): void => manager.tick(performance.now() + ahead);
  await manager.create(order(1, { timeoutSec: 60 }));
  await manager.create(order(2, { timeoutSec: 60, onTimeout: "pause" }));
  await manager.create(order(3, { timeoutSec: 60 }));
  const stop = new AbortController();
  const changes = manager.watch(stop.signal);
  const lease = manager.use(idOf(3));
  ahead = 61_000;
  tick();
  const seen = [(await changes.next()).value, (await changes.next()).value]
    .map((info) => `${info?.id} ${info?.state} ${info?.reason?.code}`);
  assertEquals(seen.sort(), ["sb-00000001 stopped timeout", "sb-00000002 paused timeout"]);
  assertEquals(manager.get(idOf(3)).info.state, "running");
  lease[Symbol.dispose]();
  tick();
  assertEquals(manager.get(idOf(3)).info.state, "running");
  assertEquals((await manager.get(idOf(2)).resume()).from, "paused");
  assertEquals(manager.get(idOf(2)).info.reason, undefined);
  ahead += REMEMBER_MS + 1000;
  tick();
  assertThrows(() => manager.get(idOf(1)), WrennError, "not found");
  stop.abort();
  await manager.stop();
  assertEquals(host.left(), []);
});

Deno.test("usage() counts and skips what has ended", async () => {
  await using host = new FakeHost();
  const manager = host.manager();
  await manager.create(order(1));
  await manager.create(order(2));
  await manager.get(idOf(2)).pause();
  await manager.create(order(3));
  await manager.destroy(idOf(3), "");
  const usage = await manager.usage();
  assertEquals([usage.live, usage.running, usage.paused, usage.slotsInUse], [2, 1, 1, 2]);
  assertEquals(usage.sandboxes.map((s) => s.id), [idOf(1), idOf(2)]);
  assertEquals(usage.sandboxes[0], { id: idOf(1), cpuMs: 12, memoryRssMb: 100, diskUsedMb: 3 });
  await manager.stop();
});

Deno.test("stop() ends everything and takes no more", async () => {
  await using host = new FakeHost();
  const manager = host.manager();
  const changes = manager.watch(new AbortController().signal);
  const starting = manager.create(order(1)).catch(() => {});
  await manager.create(order(2));
  await manager.get(idOf(2)).pause();
  await manager.stop();
  await starting;
  assertEquals(host.left(), []);
  assertEquals(await codeOf(manager.create(order(3))), "unavailable");
  for await (const info of changes) assert(info.id !== idOf(3));
});

const OPERATIONS = [
  "create",
  "create",
  "destroy",
  "pause",
  "hibernate",
  "resume",
  "rollback",
  "fork",
  "crash",
  "use",
] as const;

Deno.test("Any sequence of operations leaves nothing behind and publishes legal states alone", async () => {
  const legal: Record<string, string[]> = {
    new: ["starting"],
    starting: ["running", "error", "stopped"],
    running: ["paused", "error", "stopped"],
    paused: ["running", "hibernated", "error", "stopped"],
    hibernated: ["running", "error", "stopped"],
    stopped: ["starting"],
    error: ["starting"],
  };
  const operation = fc.record({
    what: fc.constantFrom(...OPERATIONS),
    box: fc.integer({ min: 0, max: 2 }),
    execution: fc.constantFrom("e1", "e2", "e3"),
    fault: fc.option(fc.constantFrom(...FAULT_STEPS), { nil: undefined, freq: 4 }),
    wait: fc.boolean(),
  });
  await fc.assert(
    fc.asyncProperty(fc.array(operation, { maxLength: 12 }), async (operations) => {
      await using host = new FakeHost();
      const manager = host.manager({ guestTimeoutMs: 200 });
      const changes = manager.watch(new AbortController().signal);
      const pending: Promise<unknown>[] = [];
      for (const { what, box, execution, fault, wait } of operations) {
        const id = idOf(box);
        const work = async (): Promise<unknown> => {
          switch (what) {
            case "create":
              host.fault = fault;
              return await manager.create(order(box, {}, execution));
            case "destroy":
              return await manager.destroy(id, "");
            case "pause":
              return await manager.get(id).pause();
            case "hibernate":
              return await manager.get(id).hibernate();
            case "resume":
              return await manager.get(id).resume();
            case "rollback":
              return await manager.rollback(id, 1);
            case "fork":
              return await manager.fork(id, [{ id: idOf(3), executionId: execution }]);
            case "crash":
              return await host.machine(id)?.end({ code: 1, signal: undefined, tail: "" });
            case "use":
              return manager.use(id)[Symbol.dispose]();
          }
        };
        // Refusals are part of the game; what is not a refusal is a fault of ours.
        const done = work().catch((error) => assert(error instanceof WrennError, `${error}`));
        if (wait) await done;
        else pending.push(done);
      }
      await Promise.all(pending);
      for (const { id } of manager.list()) await manager.destroy(id, "");
      await manager.stop();
      assertEquals(host.left(), []);
      const last = new Map<string, string>();
      for await (const { id, state } of changes) {
        const before = last.get(id) ?? "new";
        assert(legal[before]?.includes(state), `${before} -> ${state}`);
        last.set(id, state);
      }
      for (const state of last.values()) assert(state === "stopped" || state === "error", state);
    }),
    { numRuns: 40 },
  );
});
