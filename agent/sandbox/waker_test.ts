import { assert, assertEquals } from "@std/assert";
import type { SandboxInfo } from "./types.ts";
import { knockByTcp, startWaker } from "./waker.ts";

const sandbox = (state: string, hostIp: string): SandboxInfo =>
  ({ state, hostIp }) as unknown as SandboxInfo;

Deno.test("startWaker() knocks at running sandboxes alone, until it is disposed of", async () => {
  const knocked: string[] = [];
  const list = (): SandboxInfo[] => [
    sandbox("running", "10.11.0.1"),
    sandbox("paused", "10.11.0.2"),
    sandbox("starting", ""),
  ];
  const twice = Promise.withResolvers<void>();
  const waker = startWaker({ list }, (hostIp) => {
    knocked.push(hostIp);
    if (knocked.length === 2) twice.resolve();
    return Promise.resolve();
  }, 1);
  await twice.promise;
  await waker[Symbol.asyncDispose]();
  const { length } = knocked;
  assert(length >= 2);
  assertEquals(new Set(knocked), new Set(["10.11.0.1"]));
  await new Promise((resolve) => setTimeout(resolve, 20));
  assertEquals(knocked.length, length);
});

Deno.test("knockByTcp() takes a refusal for an answer", async () => {
  await knockByTcp("127.0.0.1");
});
