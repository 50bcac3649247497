import { Code, ConnectError } from "@connectrpc/connect";
import { assert, assertEquals, assertRejects } from "@std/assert";
import { EventType, type FilesystemEvent } from "@wrenn/proto/filesystem";
import { eventually, TestEnvd } from "../testing/server.ts";

function text({ type, name }: FilesystemEvent): string {
  return `${EventType[type].toLowerCase()} ${name}`;
}

/** Gathers the events of a stream until it is stopped. */
async function watch(
  envd: TestEnvd,
  options: { path: string; recursive?: boolean; includeEntry?: boolean },
): Promise<{ events: FilesystemEvent[]; has: (event: string) => Promise<void>; stop: () => void }> {
  const events: FilesystemEvent[] = [];
  const gone = new AbortController();
  const started = Promise.withResolvers<void>();
  const read = async (): Promise<void> => {
    for await (const { event } of envd.files().watchDir(options, { signal: gone.signal })) {
      if (event.case === "start") started.resolve();
      if (event.case === "filesystem") events.push(event.value);
    }
  };
  read().catch(() => {});
  await started.promise;
  const has = async (wanted: string): Promise<void> => {
    await eventually(() => events.some((event) => text(event) === wanted), wanted);
  };
  return { events, has, stop: () => gone.abort() };
}

Deno.test("watchDir() tells each kind of change, with entries when asked", async () => {
  await using envd = new TestEnvd();
  const { dir } = envd;
  await Deno.mkdir(`${dir}/w/sub`, { recursive: true });
  const { events, has, stop } = await watch(envd, { path: `${dir}/w`, includeEntry: true });
  await Deno.writeTextFile(`${dir}/w/f`, "abc");
  await has("write f");
  await Deno.chmod(`${dir}/w/f`, 0o600);
  await has("chmod f");
  await Deno.rename(`${dir}/w/f`, `${dir}/w/g`);
  await has("create g");
  await Deno.writeTextFile(`${dir}/w/sub/deep`, "unseen");
  await Deno.remove(`${dir}/w/g`);
  await has("remove g");
  assertEquals(events.map(text).filter((event) => !event.endsWith(" sub")), [
    "create f",
    "write f",
    "chmod f",
    "rename f",
    "create g",
    "remove g",
  ]);
  const withEntry = events.filter(({ entry }) => entry !== undefined).map(text);
  assert(withEntry.includes("write f") && withEntry.includes("create g"));
  assert(!withEntry.includes("remove g") && !withEntry.includes("rename f"));
  stop();
});

Deno.test("watchDir() recursive follows directories as they come and go", async () => {
  await using envd = new TestEnvd();
  const { dir } = envd;
  await Deno.mkdir(`${dir}/w/old`, { recursive: true });
  await Deno.mkdir(`${dir}/outside/inner`, { recursive: true });
  const { events, has, stop } = await watch(envd, { path: `${dir}/w`, recursive: true });
  await Deno.writeTextFile(`${dir}/w/old/f`, "x");
  await has("write old/f");
  await Deno.mkdir(`${dir}/w/n/m`, { recursive: true });
  await has("create n/m");
  await Deno.writeTextFile(`${dir}/w/n/m/k`, "x");
  await has("write n/m/k");
  await Deno.rename(`${dir}/w/n`, `${dir}/w/o`);
  await has("create o");
  await eventually(async () => {
    await Deno.writeTextFile(`${dir}/w/o/m/k2`, "x");
    return events.some((event) => text(event) === "write o/m/k2");
  }, "write o/m/k2");
  await Deno.rename(`${dir}/outside`, `${dir}/w/in`);
  await has("create in");
  assert(!events.some((event) => text(event) === "create in/inner"));
  await Deno.remove(`${dir}/w/o`, { recursive: true });
  await has("remove o");
  assert(!events.some((event) => event.name.startsWith("n/m/k2")));
  stop();
});

Deno.test("a thousand files in new directories are told once each", async () => {
  await using envd = new TestEnvd();
  const { dir } = envd;
  await Deno.mkdir(`${dir}/w`);
  const { events, has, stop } = await watch(envd, { path: `${dir}/w`, recursive: true });
  const script = "for i in $(seq 50); do mkdir d$i; for j in $(seq 20); do : > d$i/f$j; done; done";
  await new Deno.Command("sh", { args: ["-c", `${script}; : > end`], cwd: `${dir}/w` }).output();
  await has("create end");
  await has("create d50/f20");
  const created = events.map(text).filter((event) => /^create d\d+\/f/.test(event));
  assertEquals([created.length, new Set(created).size], [1000, 1000]);
  stop();
});

Deno.test("pollers get what happened since they asked, and share one inotify", async () => {
  await using envd = new TestEnvd();
  const client = envd.files();
  const { watcherId: a } = await client.createWatcher({ path: envd.dir, includeEntry: true });
  const { watcherId: b } = await client.createWatcher({ path: envd.dir });
  await Deno.writeTextFile(`${envd.dir}/f`, "xyz");
  const seen: FilesystemEvent[] = [];
  await eventually(async () => {
    seen.push(...(await client.getWatcherEvents({ watcherId: a })).events);
    return seen.some((event) => text(event) === "write f");
  }, "write f");
  assertEquals(seen.find((event) => text(event) === "write f")?.entry?.size, 3n);
  await client.removeWatcher({ watcherId: a });
  await eventually(
    async () => (await client.getWatcherEvents({ watcherId: b })).events.length > 0,
    "events of the second",
  );
  const error = await assertRejects(
    () => client.getWatcherEvents({ watcherId: a }),
    ConnectError,
    "not found",
  );
  assertEquals(error.code, Code.NotFound);
  await client.removeWatcher({ watcherId: b });
});

Deno.test("a watch of what is no directory is refused; a removed one says so", async () => {
  await using envd = new TestEnvd();
  await Deno.writeTextFile(`${envd.dir}/f`, "");
  const client = envd.files();
  const codes = await Promise.all([`${envd.dir}/none`, `${envd.dir}/f`].map(async (path) => {
    return (await assertRejects(() => client.createWatcher({ path }), ConnectError)).code;
  }));
  assertEquals(codes, [Code.NotFound, Code.InvalidArgument]);
  await Deno.mkdir(`${envd.dir}/w`);
  const { has, stop } = await watch(envd, { path: `${envd.dir}/w`, recursive: true });
  await Deno.remove(`${envd.dir}/w`);
  await has("remove .");
  stop();
});

Deno.test("inotify and its thread are gone when nobody watches", async () => {
  await using envd = new TestEnvd();
  const { has, stop } = await watch(envd, { path: envd.dir });
  await Deno.writeTextFile(`${envd.dir}/f`, "");
  await has("create f");
  stop();
  await eventually(async () => {
    for await (const { name } of Deno.readDir("/proc/self/fd")) {
      const link = await Deno.readLink(`/proc/self/fd/${name}`).catch(() => "");
      if (link.includes("inotify")) return false;
    }
    return true;
  }, "a closed inotify");
});
