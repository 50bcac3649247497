import { assertEquals, assertThrows } from "@std/assert";
import { create } from "@bufbuild/protobuf";
import {
  CommandSchema,
  FileRefSchema,
  NetworkPolicySchema,
  OnTimeout,
  SandboxSpecSchema,
} from "@wrenn/proto/agent";
import { WrennError } from "@wrenn/common";
import {
  byteCount,
  executionId,
  fileRef,
  guestCommand,
  sandboxOrder,
  signalNumber,
  terminalSize,
} from "./validate.ts";

const ID = "sb-00000001";
const SPEC = { template: "base", vcpus: 1, memoryMb: 512 };

function codeOf(fn: () => unknown, field: string): string {
  return assertThrows(fn, WrennError, `'${field}'`).code;
}

Deno.test("sandboxOrder() reads a spec with its defaults", () => {
  const spec = create(SandboxSpecSchema, SPEC);
  assertEquals(sandboxOrder({ id: ID, executionId: "e1", spec }), {
    id: ID,
    executionId: "e1",
    spec: {
      ...SPEC,
      diskMb: 0,
      timeoutSec: 0,
      onTimeout: "destroy",
      env: {},
      network: { internet: true, allowOut: [], denyOut: [] },
    },
  });
  const closed = create(SandboxSpecSchema, {
    ...SPEC,
    onTimeout: OnTimeout.PAUSE,
    network: create(NetworkPolicySchema, { allowOut: ["8.8.8.0/24"] }),
  });
  const order = sandboxOrder({ id: ID, executionId: "e1", spec: closed });
  assertEquals(order.spec.onTimeout, "pause");
  assertEquals(order.spec.network, { internet: false, allowOut: ["8.8.8.0/24"], denyOut: [] });
});

Deno.test("sandboxOrder() names the wrong field", () => {
  const wrong: [string, Record<string, unknown>][] = [
    ["spec.template", { template: "../etc" }],
    ["spec.template", { template: "" }],
    ["spec.vcpus", { vcpus: 0 }],
    ["spec.vcpus", { vcpus: 65 }],
    ["spec.memory_mb", { memoryMb: 63 }],
    ["spec.memory_mb", { memoryMb: 0xffffffff }],
    ["spec.disk_mb", { diskMb: 0xffffffff }],
    ["spec.env", { env: { "A=B": "x" } }],
    ["spec.env", { env: { "": "x" } }],
    ["spec.env", { env: { A: "x\0y" } }],
    ["spec.env", { env: { A: "x".repeat(200_000) } }],
    ["spec.network.deny_out", { network: { denyOut: ["1.2.3.4"] } }],
    ["spec.network.allow_out", { network: { allowOut: ["1.2.3.400/8"] } }],
    ["spec.network.allow_out", { network: { allowOut: ["1.2.3.4/33"] } }],
    ["spec.network.allow_out", { network: { allowOut: ["::/0"] } }],
  ];
  for (const [field, change] of wrong) {
    const spec = create(SandboxSpecSchema, { ...SPEC, ...change });
    const code = codeOf(() => sandboxOrder({ id: ID, executionId: "e1", spec }), field);
    assertEquals(code, "invalid_request");
  }
  codeOf(() => sandboxOrder({ id: ID, executionId: "e1" }), "spec");
  codeOf(() => sandboxOrder({ id: "sb-1", executionId: "e1" }), "id");
  codeOf(() => sandboxOrder({ id: `${ID}\n`, executionId: "e1" }), "id");
  codeOf(() => sandboxOrder({ id: ID, executionId: "" }), "execution_id");
  assertEquals(executionId("", { optional: true }), "");
});

Deno.test("guestCommand() names the wrong field", () => {
  const wrong: [string, string, Record<string, unknown>][] = [
    ["command.cmd", "invalid_request", { cmd: "" }],
    ["command.cmd", "invalid_request", { cmd: "a\0" }],
    ["command.cmd", "invalid_request", { cmd: "a".repeat(5000) }],
    ["command.args", "invalid_request", { args: ["a\0"] }],
    ["command.args", "invalid_request", { args: ["a".repeat(128 * 1024)] }],
    ["command.args", "invalid_request", { args: Array(20).fill("a".repeat(60_000)) }],
    ["command.cwd", "invalid_path", { cwd: "/a\0" }],
    ["command.cwd", "invalid_path", { cwd: "/".repeat(4097) }],
    ["command.env", "invalid_request", { env: { "1A": "" } }],
    ["command.user", "invalid_user", { user: "a:b" }],
    ["command.user", "invalid_user", { user: "a\nb" }],
    ["command.timeout_sec", "invalid_request", { timeoutSec: 2_000_001 }],
  ];
  for (const [field, expected, change] of wrong) {
    const command = create(CommandSchema, { cmd: "true", ...change });
    assertEquals(codeOf(() => guestCommand(command), field), expected);
  }
  codeOf(() => guestCommand(undefined), "command");
});

Deno.test("fileRef() checks id, path and user", () => {
  const file = { id: ID, path: "a/../b", user: "root" };
  assertEquals(fileRef(create(FileRefSchema, file)), { ...file, id: ID });
  const code = (change: Record<string, string>, field: string): string =>
    codeOf(() => fileRef(create(FileRefSchema, { ...file, ...change })), field);
  assertEquals(code({ id: "x" }, "file.id"), "invalid_request");
  assertEquals(code({ path: "" }, "file.path"), "invalid_path");
  assertEquals(code({ path: "a\0" }, "file.path"), "invalid_path");
  assertEquals(code({ path: "é".repeat(2049) }, "file.path"), "invalid_path");
  assertEquals(code({ user: "a/b" }, "file.user"), "invalid_user");
  codeOf(() => fileRef(undefined), "file");
});

Deno.test("signalNumber(), terminalSize() and byteCount() keep to their ranges", () => {
  assertEquals(signalNumber(31), 31);
  codeOf(() => signalNumber(0), "signal");
  codeOf(() => signalNumber(32), "signal");
  const size = { cols: 80, rows: 0 } as Parameters<typeof terminalSize>[0];
  codeOf(() => terminalSize(size, "pty"), "pty.rows");
  codeOf(() => byteCount(2n ** 63n, "offset"), "offset");
});
