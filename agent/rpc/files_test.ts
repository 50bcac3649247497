import { assert, assertEquals } from "@std/assert";
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import {
  FileType,
  WatchEventType,
  type WriteFileRequest,
  WriteFileRequestSchema,
} from "@wrenn/proto/agent";
import { type AgentFixture, codeOf, startFixture } from "../testing/agent_fixture.ts";

const ID = "sb-00000001";
const PIECE = 64 * 1024;

async function* pieces(
  path: string,
  data: readonly Uint8Array<ArrayBuffer>[],
  done: () => void = () => {},
): AsyncGenerator<WriteFileRequest> {
  const message = (event: MessageInitShape<typeof WriteFileRequestSchema>["event"]) =>
    create(WriteFileRequestSchema, event ? { event } : {});
  try {
    yield message({ case: "start", value: { id: ID, path, user: "user" } });
    for (const value of data) yield message({ case: "data", value });
  } finally {
    done();
  }
}

async function read(
  { client }: AgentFixture,
  path: string,
  offset: bigint = 0n,
  length: bigint = 0n,
): Promise<{ size: number; sizes: number[]; data: Uint8Array }> {
  const parts: Uint8Array<ArrayBuffer>[] = [];
  let size: number | undefined;
  for await (const m of client.readFile({ file: { id: ID, path }, offset, length })) {
    if (size === undefined) {
      size = Number(m.size);
      assertEquals(m.data.length, 0);
    } else parts.push(new Uint8Array(m.data));
  }
  const data = await new Blob(parts).bytes();
  return { size: size ?? -1, sizes: parts.map((p) => p.length), data };
}

Deno.test("writeFile() and readFile() carry bytes unchanged, in pieces", async () => {
  await using fixture = await startFixture();
  const { vm } = await fixture.create(1);
  const data = new Uint8Array(1_000_003);
  for (let i = 0; i < data.length; i++) data[i] = (i * 31) >> 3;
  const chunks = [data.slice(0, 10), data.slice(10, 500_000), data.slice(500_000)];
  const written = await fixture.client.writeFile(pieces("a.bin", chunks));
  assertEquals([written.path, written.size], ["/home/user/a.bin", BigInt(data.length)]);
  assertEquals(vm.envd.users, ["user"]);
  const back = await read(fixture, "a.bin");
  assertEquals(back.size, data.length);
  assert(back.sizes.slice(0, -1).every((size) => size === PIECE));
  assertEquals(back.data, data);
});

Deno.test("readFile() reads ranges, empty files and files without a size", async () => {
  await using fixture = await startFixture();
  const { vm } = await fixture.create(1);
  const bytes = (text: string): Uint8Array<ArrayBuffer> => new TextEncoder().encode(text);
  vm.envd.files.contents.set("/f", bytes("0123456789"));
  vm.envd.files.contents.set("/empty", bytes(""));
  vm.envd.files.contents.set("/proc/x", bytes("abcdef"));
  const text = async (path: string, offset?: bigint, length?: bigint): Promise<string> => {
    const { size, data } = await read(fixture, path, offset, length);
    return `${size} ${new TextDecoder().decode(data)}`;
  };
  assertEquals(await text("/f", 2n, 3n), "3 234");
  assertEquals(await text("/f", 8n), "2 89");
  assertEquals(await text("/f", 8n, 100n), "2 89");
  assertEquals(await text("/f", 0n, 1n), "1 0");
  assertEquals(await text("/empty"), "0 ");
  assertEquals(await text("/empty", 0n, 5n), "0 ");
  assertEquals(await text("/proc/x"), "6 abcdef");
  assertEquals(await text("/proc/x", 1n, 2n), "2 bc");
  const code = (path: string, offset: bigint): Promise<string> =>
    codeOf(fixture.client.readFile({ file: { id: ID, path }, offset }));
  assertEquals(await code("/f", 10n), "range_not_satisfiable");
  assertEquals(await code("/proc/x", 7n), "range_not_satisfiable");
  assertEquals(await code("/f", 2n ** 60n), "invalid_request");
});

Deno.test("File calls refuse with the guest's codes", async () => {
  await using fixture = await startFixture();
  await fixture.create(1);
  const { client } = fixture;
  const file = (path: string) => ({ file: { id: ID, path } });
  assertEquals(await codeOf(client.readFile(file("/none"))), "file_not_found");
  assertEquals(await codeOf(client.readFile(file("/home/user"))), "is_directory");
  assertEquals(await codeOf(client.writeFile(pieces("/home/user", []))), "is_directory");
  assertEquals(await codeOf(client.writeFile(pieces("/full", []))), "no_space");
  assertEquals(await codeOf(client.writeFile(pieces("a\0b", []))), "invalid_path");
  assertEquals(await codeOf(client.stat(file("/none"))), "file_not_found");
  assertEquals(await codeOf(client.listDir(file("/none"))), "not_directory");
  assertEquals(await codeOf(client.makeDir(file("/home/user"))), "already_exists");
  assertEquals(
    await codeOf(client.move({ ...file("/none"), destination: "/b" })),
    "file_not_found",
  );
  assertEquals(await codeOf(client.move({ ...file("/none"), destination: "" })), "invalid_path");
  assertEquals(await codeOf(client.watchDir(file("/none"))), "file_not_found");
});

Deno.test("writeFile() tells an early refusal to a client that is still sending", async () => {
  await using fixture = await startFixture();
  await fixture.create(1);
  const much = Array.from({ length: 400 }, () => new Uint8Array(PIECE));
  for (const [path, code] of [["a\0b", "invalid_path"], ["/home/user", "is_directory"]] as const) {
    const sent = Promise.withResolvers<void>();
    const upload = pieces(path, much, sent.resolve);
    assertEquals(await codeOf(fixture.client.writeFile(upload)), code);
    // The sender is told to end, or what it sends is dropped: it does not hang.
    await sent.promise;
  }
});

Deno.test("Entries are listed, made, moved and removed", async () => {
  await using fixture = await startFixture();
  await fixture.create(1);
  const { client } = fixture;
  const file = (path: string) => ({ file: { id: ID, path } });
  const made = await client.makeDir(file("/home/user/d"));
  assertEquals([made.entry?.path, made.entry?.type], ["/home/user/d", FileType.DIRECTORY]);
  await client.writeFile(pieces("d/f", [new Uint8Array(5)]));
  const entry = (await client.stat(file("d/f"))).entry;
  assertEquals([entry?.name, entry?.size, entry?.mode, entry?.owner], ["f", 5n, 0o644, "user"]);
  const names = async (depth: number): Promise<string[]> =>
    (await client.listDir({ ...file("/home/user"), depth })).entries.map((e) => e.name);
  assertEquals(await names(0), ["d"]);
  assertEquals(await names(2), ["d", "f"]);
  assertEquals((await client.move({ ...file("d/f"), destination: "g" })).entry?.name, "g");
  await client.remove(file("g"));
  await client.remove(file("g"));
  assertEquals(await names(5), ["d"]);
});

Deno.test("watchDir() says when it watches, and stops watching when the client leaves", async () => {
  await using fixture = await startFixture();
  const { vm } = await fixture.create(1);
  const request = { file: { id: ID, path: "/home/user" }, recursive: true };
  const stop = new AbortController();
  const events = fixture.client.watchDir(request, { signal: stop.signal })[Symbol.asyncIterator]();
  assertEquals((await events.next()).value?.name, "");
  await fixture.client.writeFile(pieces("new", []));
  const { value } = await events.next();
  assertEquals([value?.type, value?.name], [WatchEventType.WRITE, "new"]);
  assertEquals(vm.envd.files.watchers, 1);
  stop.abort();
  await events.next().catch(() => {});
  while (vm.envd.files.watchers > 0) await new Promise((resolve) => setTimeout(resolve, 2));
});
