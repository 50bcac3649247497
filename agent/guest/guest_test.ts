import { assertEquals, assertRejects } from "@std/assert";
import { WrennError } from "@wrenn/common";
import { FakeEnvd } from "../testing/fake_envd.ts";
import { Guest } from "./guest.ts";

const IDENTITY = { token: "t".repeat(64), env: {}, hostname: "h", defaultUser: "user" };
const ENDED = new WrennError("sandbox_not_running", "Ended");
const never = new AbortController().signal;

async function codeOf(promise: Promise<unknown>): Promise<string> {
  return (await assertRejects(() => promise, WrennError)).code;
}

Deno.test("untilHealthy() waits until the guest answers well", async () => {
  await using envd = new FakeEnvd({ sick: true });
  const guest = new Guest(envd.url);
  const waiting = guest.untilHealthy(never);
  const early = await Promise.race([waiting, new Promise((r) => setTimeout(r, 60, "waits"))]);
  assertEquals(early, "waits");
  envd.faults.sick = false;
  await waiting;
  guest.close(ENDED);
});

Deno.test("untilHealthy() gives up with its signal", async () => {
  const guest = new Guest("http://127.0.0.1:1");
  const stop = new AbortController();
  const waiting = guest.untilHealthy(stop.signal);
  stop.abort(new Error("Enough"));
  await assertRejects(() => waiting, Error, "Enough");
  guest.close(ENDED);
});

Deno.test("init() gives the identity, and again with the token before", async () => {
  await using envd = new FakeEnvd();
  const guest = new Guest(envd.url);
  await guest.init(IDENTITY, { now: () => 1000 }, never);
  const next = { ...IDENTITY, token: "another", machineId: "m" };
  const options = { now: () => 2000, previousToken: IDENTITY.token, fork: true, report: true };
  const report = await guest.init(next, options, never);
  assertEquals(report?.machineId, "m");
  assertEquals(envd.inits.map((init) => init.timestamp), [
    "1970-01-01T00:00:01.000Z",
    "1970-01-01T00:00:02.000Z",
  ]);
  assertEquals(envd.inits.map((init) => init.accessToken), [IDENTITY.token, "another"]);
  assertEquals(envd.inits[0]?.entropy === envd.inits[1]?.entropy, false);
  const stale = { ...options, previousToken: IDENTITY.token };
  assertEquals(await codeOf(guest.init(next, stale, never)), "guest_unavailable");
  guest.close(ENDED);
});

Deno.test("quiesce() freezes until the next init(), seal() makes the guest nobody's", async () => {
  await using envd = new FakeEnvd();
  const guest = new Guest(envd.url);
  await guest.untilRestored(never);
  await guest.init(IDENTITY, { now: () => 1000 }, never);
  assertEquals(await guest.quiesce({ sync: true }, never), { frozen: 0, synced: true });
  assertEquals(envd.frozen, true);
  await guest.init(IDENTITY, { now: () => 2000, previousToken: IDENTITY.token }, never);
  assertEquals(envd.frozen, false);
  await guest.seal(never);
  assertEquals(envd.token, undefined);
  assertEquals(await codeOf(guest.quiesce({ sync: true }, never)), "guest_unavailable");
  await guest.init(IDENTITY, { now: () => 3000 }, never);
  guest.close(ENDED);
});

Deno.test("A closed guest ends what is under way and refuses what comes, with the reason", async () => {
  await using envd = new FakeEnvd();
  const guest = new Guest(envd.url);
  await guest.init(IDENTITY, { now: () => 1000 }, never);
  const command = { cmd: "sleep", args: [], cwd: "", env: {}, user: "", timeoutSec: 0 };
  const process = await guest.processes.start(command, { stdin: false }, never);
  const reading = codeOf((async () => {
    for await (const _ of process.output()) { /* nothing is said */ }
  })());
  const watching = await guest.tree.watch({ path: "/", user: "" }, false, never);
  const seeing = codeOf(watching.next());
  guest.close(ENDED);
  guest.close(new WrennError("internal", "Second"));
  assertEquals(await reading, "sandbox_not_running");
  assertEquals(await seeing, "sandbox_not_running");
  assertEquals(
    await codeOf(guest.tree.stat({ path: "/", user: "" }, never)),
    "sandbox_not_running",
  );
  const file = { path: "/x", user: "" };
  assertEquals(
    await codeOf(guest.files.read(file, { offset: 0, length: 0 }, never)),
    "sandbox_not_running",
  );
});

Deno.test("A guest that announces a huge message is cut off", async () => {
  // An envelope of the Connect protocol: no flags, a length of 4 GiB, and bytes without an end.
  let sent = 0;
  const server = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen() {} }, () =>
    new Response(
      new ReadableStream({
        start: (c) => c.enqueue(new Uint8Array([0, 0xff, 0xff, 0xff, 0xff])),
        pull(controller) {
          sent += 65536;
          controller.enqueue(new Uint8Array(65536));
        },
      }),
      { headers: { "content-type": "application/connect+proto" } },
    ));
  const guest = new Guest(`http://127.0.0.1:${server.addr.port}`);
  const command = { cmd: "x", args: [], cwd: "", env: {}, user: "", timeoutSec: 0 };
  const start = guest.processes.start(command, { stdin: false }, never);
  assertEquals(await codeOf(start), "guest_unavailable");
  guest.close(ENDED);
  await server.shutdown();
  assertEquals(sent < 64 * 1024 * 1024, true);
});
