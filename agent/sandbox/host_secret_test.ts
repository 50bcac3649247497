import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { ConfigError } from "@wrenn/common";
import { HostSecret } from "./host_secret.ts";

const one = new HostSecret(new Uint8Array(32).fill(1));
const two = new HostSecret(new Uint8Array(32).fill(2));

Deno.test("tokens and machine ids differ by host and by id, and are always the same", () => {
  assertEquals(one.token("a"), one.token("a"));
  assertEquals(new Set([one.token("a"), one.token("b"), two.token("a")]).size, 3);
  assert(/^[0-9a-f]{64}$/.test(one.token("a")));
  assert(/^[0-9a-f]{32}$/.test(one.machineId("sb-00000001")));
  assert(one.machineId("x") !== one.token("x").slice(0, 32));
});

Deno.test("seal() hides a text that only the same host and purpose open", () => {
  const sealed = one.seal("A=päss", "sb-1");
  assert(!atob(sealed).includes("A=p"));
  assertEquals(one.open(sealed, "sb-1"), "A=päss");
  assert(sealed !== one.seal("A=päss", "sb-1"));
  assertThrows(() => two.open(sealed, "sb-1"));
  assertThrows(() => one.open(sealed, "sb-2"));
  assertThrows(() => one.open(`${sealed.slice(0, -4)}AAA=`, "sb-1"));
  assertEquals(one.open(one.seal("", "x"), "x"), "");
});

Deno.test("load() makes a secret once and refuses a damaged one", async () => {
  const folder = await Deno.makeTempDir();
  try {
    const token = (await HostSecret.load(folder)).token("t");
    assertEquals((await HostSecret.load(folder)).token("t"), token);
    assertEquals(((await Deno.stat(`${folder}/host-secret`)).mode ?? 0) & 0o777, 0o600);
    await Deno.truncate(`${folder}/host-secret`, 5);
    await assertRejects(() => HostSecret.load(folder), ConfigError);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});
