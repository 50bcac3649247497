import { assertEquals, assertRejects } from "@std/assert";
import { WrennError } from "@wrenn/common/errors";
import { Users } from "../linux/users.ts";
import { FakeMachine } from "../testing/server.ts";
import { Initializer } from "./init.ts";
import { quiesce } from "./quiesce.ts";
import { GuestState } from "./state.ts";

function setUp(sealed = false) {
  const machine = new FakeMachine();
  const state = new GuestState(new Users(), sealed);
  const initializer = new Initializer(state, machine);
  const init = (body: unknown, token: string | null = null) =>
    initializer.apply(typeof body === "string" ? body : JSON.stringify(body), token);
  return { machine, state, init };
}

const at = (ms: number): string => new Date(ms).toISOString();
const NOW = 1_800_000_000_000;

Deno.test("the first init sets the token, later ones must show it", async () => {
  const { state, init } = setUp(true);
  await assertRejects(() => init({ envVars: {} }), WrennError, "accessToken");
  assertEquals(state.sealed, true);
  await init({ accessToken: "one", envVars: { A: "1" }, defaultUser: "u", defaultWorkdir: "/w" });
  assertEquals([state.sealed, state.accessToken, state.defaultUser], [false, "one", "u"]);
  await assertRejects(() => init({ accessToken: "evil" }), WrennError, "does not match");
  await assertRejects(() => init({ accessToken: "evil" }, "two"), WrennError, "does not match");
  await init({ accessToken: "two" }, "one");
  assertEquals([state.accessToken, state.envVars["A"]], ["two", "1"]);
  await assertRejects(() => init({}, "one"), WrennError);
});

Deno.test("a replay is accepted and changes nothing", async () => {
  const { machine, state, init } = setUp();
  await init({ timestamp: at(NOW), envVars: { A: "new" } });
  await init({ timestamp: at(NOW), envVars: { A: "same" }, entropy: "AAEC" });
  await init({ timestamp: at(NOW - 60_000), envVars: { A: "old" }, accessToken: "x" });
  assertEquals([state.envVars["A"], state.accessToken, machine.calls], ["new", undefined, []]);
  await init({ timestamp: at(NOW + 1), envVars: { A: "newer" } });
  assertEquals(state.envVars["A"], "newer");
});

Deno.test("entropy comes first, then the clock, then the name", async () => {
  const { machine, init } = setUp();
  await init({ hostname: "sb-1", timestamp: at(NOW + 3_600_000), entropy: "AAEC" });
  assertEquals(machine.calls, [
    "entropy 000102",
    `clock ${BigInt(NOW + 3_600_000) * 1_000_000n}`,
    "hostname sb-1",
  ]);
});

Deno.test("a copy tells of its original's connections and goes on last of all", async () => {
  const { machine, state, init } = setUp();
  await init({ accessToken: "old", timestamp: at(NOW) });
  await quiesce({ state, machine }, { sync: false });
  assertEquals([state.frozen, machine.calls.slice(-2)], [true, ["freeze", "count connections"]]);
  machine.calls.length = 0;
  const body = {
    accessToken: "new",
    timestamp: at(NOW + 1),
    entropy: "AAEC",
    hostname: "sb-2",
    machineId: "0123456789abcdef0123456789abcdef",
    bootId: "01234567-89ab-cdef-0123-456789abcdef",
    fork: true,
    report: true,
  };
  assertEquals(await init(body, "old"), {
    entropy_reseeded: true,
    clock_set: true,
    hostname: "sb-2",
    machine_id: "0123456789abcdef0123456789abcdef",
    connections_dropped: 2,
    hooks: [],
  });
  assertEquals(machine.calls, [
    "entropy 000102",
    `clock ${BigInt(NOW + 1) * 1_000_000n}`,
    "hostname sb-2",
    "machine-id 0123456789abcdef0123456789abcdef",
    "boot-id 01234567-89ab-cdef-0123-456789abcdef",
    "thaw",
  ]);
  // C-3: the token of the original is dead.
  await assertRejects(() => init({ accessToken: "x" }, "old"), WrennError, "does not match");
});

Deno.test("the clock of a guest that stood still is set to the point", async () => {
  const { machine, state, init } = setUp();
  state.frozen = true;
  await init({ timestamp: at(NOW + 1) });
  assertEquals(machine.calls, [`clock ${BigInt(NOW + 1) * 1_000_000n}`, "thaw"]);
  assertEquals(state.frozen, false);
});

Deno.test("a clock that is nearly right is left alone", async () => {
  const { machine, init } = setUp();
  await init({ timestamp: at(NOW + 40) });
  assertEquals(machine.calls, []);
});

Deno.test("inits that come at once are applied one after the other", async () => {
  const { state, init } = setUp();
  const both = await Promise.allSettled([init({ accessToken: "a" }), init({ accessToken: "b" })]);
  assertEquals(both.map(({ status }) => status), ["fulfilled", "rejected"]);
  assertEquals(state.accessToken, "a");
});
