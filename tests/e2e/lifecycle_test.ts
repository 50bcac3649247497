import { assert, assertEquals, assertMatch, assertRejects } from "@std/assert";
import { AuthenticationError, ConflictError, NotFoundError, Sandbox } from "@wrenn/sdk";
import { assertError, call, callJson } from "./lib/http.ts";
import { platform } from "./lib/platform.ts";
import { createSandbox } from "./lib/sandbox.ts";
import { until } from "./lib/wait.ts";
import { test } from "./lib/test.ts";

const FIELDS = [
  "created_at",
  "disk_mb",
  "expires_at",
  "host_id",
  "host_ip",
  "id",
  "last_active_at",
  "memory_mb",
  "metadata",
  "on_timeout",
  "started_at",
  "status",
  "template",
  "timeout_sec",
  "vcpus",
];

test("A sandbox is created, read, listed and destroyed over plain HTTP", async () => {
  const metadata = { run: crypto.randomUUID() };
  const created = await callJson("POST", "/v1/sandboxes", { template: "minimal", metadata });
  assertEquals(created.status, 201, created.text);
  const sandbox = created.json as Record<string, unknown>;
  const id = String(sandbox["id"]);
  try {
    assertEquals(Object.keys(sandbox).sort(), FIELDS);
    assertMatch(id, /^sb-[0-9a-f]{8}$/);
    assertMatch(String(sandbox["host_id"]), /^host-[0-9a-f]{8}$/);
    assertMatch(String(sandbox["host_ip"]), /^10\.\d+\.\d+\.\d+$/);
    assertEquals([sandbox["status"], sandbox["template"]], ["running", "minimal"]);
    const read = await call("GET", `/v1/sandboxes/${id}`);
    assertEquals([read.status, (read.json as { id: string }).id], [200, id]);
    const query = `metadata=${encodeURIComponent(`run=${metadata.run}`)}`;
    const list = await call("GET", `/v1/sandboxes?${query}`);
    const page = list.json as { sandboxes: { id: string }[]; next_cursor: string | null };
    assertEquals(page.sandboxes.map((s) => s.id), [id]);
    assertEquals(page.next_cursor, null);
  } finally {
    const gone = await call("DELETE", `/v1/sandboxes/${id}`);
    assertEquals([gone.status, gone.text], [204, ""]);
  }
  assertEquals((await call("DELETE", `/v1/sandboxes/${id}`)).status, 204);
  const after = await call("GET", `/v1/sandboxes/${id}`);
  assertEquals((after.json as { status: string }).status, "stopped");
  const exec = await callJson("POST", `/v1/sandboxes/${id}/exec`, { cmd: "true" });
  assertError(exec, 409, "sandbox_not_running");
});

test("Lists are cut into pages and know states", async () => {
  const metadata = { run: crypto.randomUUID() };
  const made = await Promise.all(
    [1, 2].map(() => createSandbox({ template: "minimal", metadata })),
  );
  try {
    const find = async (status?: "running" | "stopped"): Promise<string[]> => {
      const ids: string[] = [];
      const filter = { ...platform(), metadata, pageSize: 1 };
      for await (
        const info of Sandbox.list({ ...filter, ...(status ? { status: [status] } : {}) })
      ) {
        ids.push(info.id);
      }
      return ids.sort();
    };
    assertEquals(await find(), made.map((s) => s.id).sort());
    await made[0]?.destroy();
    assertEquals(await find(), [made[1]?.id ?? ""]);
    assertEquals(await find("stopped"), [made[0]?.id ?? ""]);
  } finally {
    await Promise.all(made.map((sandbox) => sandbox.destroy()));
  }
});

test("A paused sandbox stands still and goes on where it was", async () => {
  const sandbox = await createSandbox({ template: "minimal", env: { GREETING: "hello" } });
  try {
    assertEquals((await sandbox.commands.run("echo $GREETING")).stdout, "hello\n");
    await sandbox.commands.run("mkdir -p /dev/shm; echo kept > /dev/shm/note", { user: "root" });
    assertEquals((await sandbox.pause()).status, "paused");
    assertEquals((await sandbox.pause()).status, "paused");
    const error = await assertRejects(() => sandbox.commands.run("true"), ConflictError);
    assertEquals(error.code, "sandbox_paused");
    await assertRejects(() => sandbox.files.read("/dev/shm/note"), ConflictError);
    await assertRejects(
      () => sandbox.commands.run("true", { background: true }),
      ConflictError,
    );
    assertEquals((await sandbox.resume()).status, "running");
    assertEquals((await sandbox.resume()).status, "running");
    assertEquals(await sandbox.files.read("/dev/shm/note"), "kept\n");
    const before = await sandbox.info();
    const after = await sandbox.ping();
    assert(after.lastActiveAt >= before.lastActiveAt);
  } finally {
    await sandbox.destroy();
  }
});

test("An idle sandbox is destroyed, or paused where that was asked for", async () => {
  const timeoutMs = 2000;
  const made = await Promise.all(
    (["destroy", "pause"] as const).map((onTimeout) =>
      createSandbox({ template: "minimal", timeoutMs, onTimeout })
    ),
  );
  try {
    const [first, second] = made;
    const became = (sandbox: Sandbox | undefined, status: string): Promise<Date | undefined> =>
      until(`'${status}'`, async () => {
        const info = await sandbox?.info();
        return info?.status === status ? info.createdAt : undefined;
      });
    await became(first, "stopped");
    await became(second, "paused");
    const info = await first?.info();
    assertEquals(info?.error?.code, "timeout");
    assertEquals(info?.expiresAt, undefined);
  } finally {
    await Promise.all(made.map((sandbox) => sandbox.destroy()));
  }
});

test("What cannot be made is refused with a code", async () => {
  const missing = await assertRejects(() => createSandbox({ template: "no-such" }), NotFoundError);
  assertEquals(missing.code, "template_not_found");
  const { apiUrl } = platform();
  const wrong = { apiUrl, apiKey: `wrn_${"0".repeat(32)}` };
  await assertRejects(() => Sandbox.create(wrong), AuthenticationError);
  const unknown = await assertRejects(
    () => Sandbox.connect("sb-00000000", platform()),
    NotFoundError,
  );
  assertEquals(unknown.code, "sandbox_not_found");
});
