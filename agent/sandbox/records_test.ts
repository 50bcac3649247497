import { assert, assertEquals } from "@std/assert";
import { HostSecret } from "./host_secret.ts";
import { type SandboxRecord, SandboxRecords } from "./records.ts";

const RECORD: SandboxRecord = {
  id: "sb-00000001",
  executionId: "e1",
  state: "running",
  spec: {
    template: "base",
    vcpus: 1,
    memoryMb: 512,
    diskMb: 8192,
    timeoutSec: 60,
    onTimeout: "hibernate",
    env: { TOKEN: "hush-hush" },
    network: { internet: false, allowOut: ["1.2.3.0/24"], denyOut: [] },
  },
  createdAt: 1,
  startedAt: 2,
  generations: [{
    generation: 1,
    snapshotId: "snap-0123456789abcdef",
    digest: "sha256:x",
    bytes: 5,
    durableAt: 3,
    named: true,
  }],
  generation: 1,
  machine: {
    vmId: "00000000000000aa",
    slot: 7,
    booted: false,
    origin: "snap-0123456789abcdef",
    templateHash: "h",
    memory: [{ file: "memory-a.base", bytes: 9, digest: "sha256:y", kind: "base", pages: 1 }],
  },
  wakesFrom: undefined,
  reason: undefined,
};

async function withRecords(
  test: (records: SandboxRecords, folder: string) => Promise<void>,
): Promise<void> {
  const folder = await Deno.makeTempDir({ prefix: "records-test-" });
  try {
    await test(new SandboxRecords(folder, new HostSecret(new Uint8Array(32))), folder);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

Deno.test("records come back as they were written, the newest of each", () =>
  withRecords(async (records) => {
    records.write(RECORD);
    const hibernated: SandboxRecord = {
      ...RECORD,
      state: "hibernated",
      machine: undefined,
      wakesFrom: "snap-0123456789abcdef",
      reason: { code: "timeout", message: "Idle" },
    };
    records.write({ ...RECORD, id: "sb-00000002" });
    records.write({ ...hibernated, id: "sb-00000002" }, { durable: true });
    const read = (await records.list()).sort((a, b) => a.id < b.id ? -1 : 1);
    assertEquals(read, [RECORD, { ...hibernated, id: "sb-00000002" }]);
    records.remove("sb-00000001");
    records.remove("sb-00000001");
    assertEquals((await records.list()).map(({ id }) => id), ["sb-00000002"]);
  }));

Deno.test("S-28: an environment is not readable in a record's file", () =>
  withRecords(async (records, folder) => {
    records.write(RECORD);
    const path = `${folder}/records/sb-00000001.json`;
    assert(!(await Deno.readTextFile(path)).includes("hush"));
    assertEquals(((await Deno.stat(path)).mode ?? 0) & 0o777, 0o600);
  }));

Deno.test("a torn or foreign record is told and skipped, a half-written one removed", () =>
  withRecords(async (records, folder) => {
    records.write(RECORD);
    await Deno.writeTextFile(`${folder}/records/sb-00000003.json`, '{"format":1');
    await Deno.writeTextFile(`${folder}/records/sb-00000004.json.new`, "{");
    assertEquals((await records.list()).map(({ id }) => id), ["sb-00000001"]);
    const names = await Array.fromAsync(Deno.readDir(`${folder}/records`), ({ name }) => name);
    assertEquals(names.sort(), ["sb-00000001.json", "sb-00000003.json"]);
  }));
