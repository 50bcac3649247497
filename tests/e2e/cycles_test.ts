import { assertEquals } from "@std/assert";
import { Sandbox } from "@wrenn/sdk";
import { platform, platformHost } from "./lib/platform.ts";
import { waitingProcesses } from "./lib/waiting_processes.ts";
import { createSandbox } from "./lib/sandbox.ts";
import { until } from "./lib/wait.ts";
import { test } from "./lib/test.ts";

test("Twenty sandboxes one after the other leave nothing", async () => {
  for (let i = 0; i < 20; i++) {
    await using sandbox = await createSandbox({ template: "minimal" });
    assertEquals((await sandbox.commands.run(["echo", String(i)])).stdout, `${i}\n`);
  }
  await nothingLeft();
}, 5 * 60_000);

test("Five sandboxes at once are five machines, and leave nothing", async () => {
  const made = await Promise.all(Array.from({ length: 5 }, () => createSandbox()));
  try {
    const names = await Promise.all(made.map(async (sandbox, i) => {
      await sandbox.files.write("/tmp/number", String(i));
      const { stdout } = await sandbox.commands.run("hostname; cat /tmp/number");
      return stdout;
    }));
    assertEquals(names, made.map((sandbox, i) => `${sandbox.id}\n${i}`));
  } finally {
    await Promise.all(made.map((sandbox) => sandbox.destroy()));
  }
  await nothingLeft();
});

/** Other files of this run have ended their sandboxes: the host must be empty. */
async function nothingLeft(): Promise<void> {
  const { dataDir, runDir } = platformHost();
  const alive: string[] = [];
  for await (const { id } of Sandbox.list(platform())) alive.push(id);
  assertEquals(alive, []);
  await until("a host without records, folders and processes but those that wait", async () => {
    const left = [
      ...await sandboxNames(`${dataDir}/sandboxes`),
      ...await sandboxNames(`${dataDir}/records`),
      ...await sandboxNames(runDir),
      ...await sandboxNames(`${runDir}/vm`),
    ];
    const [running, waiting] = await Promise.all([machines(dataDir), waitingProcesses()]);
    return left.length === 0 && running.length === waiting ? true : undefined;
  });
}

async function sandboxNames(folder: string): Promise<string[]> {
  try {
    const names = await Array.fromAsync(Deno.readDir(folder));
    return names.map((entry) => entry.name).filter((name) => name.startsWith("sb-"));
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return [];
    throw error;
  }
}

/** Processes of virtual machines whose disks are in this platform's data folder. */
async function machines(dataDir: string): Promise<string[]> {
  const found: string[] = [];
  for await (const { name } of Deno.readDir("/proc")) {
    if (!/^\d+$/.test(name)) continue;
    const command = await Deno.readTextFile(`/proc/${name}/cmdline`).catch(() => ""); // it has ended
    if (command.includes("qemu-system") && command.includes(dataDir)) found.push(name);
  }
  return found;
}
