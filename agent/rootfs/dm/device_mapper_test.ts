import { CommandError, type RunCommand } from "@wrenn/common";
import { assertEquals, assertRejects } from "@std/assert";
import { DeviceMapper } from "./device_mapper.ts";
import { deviceMapperFault } from "./support.ts";

/** Answers each command from a table of its words; others fail with the text as their error. */
function fakeRun(answers: Record<string, string>, seen: string[] = []): RunCommand {
  return (argv, options) => {
    const command = argv.join(" ").replace("env DM_DISABLE_UDEV=1 ", "");
    seen.push(options?.stdin === undefined ? command : `${command} < ${options.stdin}`);
    const stdout = answers[command];
    if (stdout !== undefined) return Promise.resolve({ code: 0, stdout, stderr: "" });
    const result = { code: 1, stdout: "", stderr: answers["fails"] ?? "" };
    if (options?.allowFailure) return Promise.resolve(result);
    return Promise.reject(new CommandError(argv, result));
  };
}

Deno.test("DeviceMapper gives tables on standard input and nodes to root alone", async () => {
  const seen: string[] = [];
  const create = "dmsetup create --uid 0 --gid 0 --mode 0600 --readonly x";
  const dm = new DeviceMapper(fakeRun({ [create]: "", "dmsetup suspend a b": "" }, seen));
  await dm.create("x", "0 8 zero", { readOnly: true });
  await dm.suspend(["a", "b"]);
  await dm.suspend([]);
  await dm.resume([]);
  await dm.remove([]);
  assertEquals(seen, [`${create} < 0 8 zero`, "dmsetup suspend a b"]);
});

Deno.test("removeIfClosed() tells an open device from one that cannot be removed", async () => {
  const busy = "device-mapper: remove ioctl on x  failed: Device or resource busy";
  assertEquals(await new DeviceMapper(fakeRun({ fails: busy })).removeIfClosed("x"), false);
  assertEquals(
    await new DeviceMapper(fakeRun({ "dmsetup remove x": "" })).removeIfClosed("x"),
    true,
  );
  const dm = new DeviceMapper(fakeRun({ fails: "No such device or address" }));
  await assertRejects(() => dm.removeIfClosed("x"), CommandError, "No such device");
});

Deno.test("deviceMapperFault() names what is missing", async () => {
  const version = { "losetup --version": "losetup from util-linux 2.38.1" };
  const targets = (text: string) => ({ ...version, "dmsetup targets": text });
  const all = "zero             v1.2.0\nsnapshot         v1.16.0\nlinear           v1.4.0\n";
  assertEquals(await deviceMapperFault(fakeRun(targets(all))), undefined);
  assertEquals(
    await deviceMapperFault(fakeRun(targets("snapshot-merge v1.5.0\nlinear  v1.4.0\n"))),
    "No device-mapper target 'zero', 'snapshot'",
  );
  assertEquals(
    await deviceMapperFault(fakeRun({ ...version, fails: "/dev/mapper/control: open failed\n" })),
    "/dev/mapper/control: open failed",
  );
  const none: RunCommand = () => Promise.reject(new Deno.errors.NotFound("losetup"));
  assertEquals(await deviceMapperFault(none), "Not installed: losetup");
});
