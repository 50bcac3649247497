/** A device-mapper store with fresh folders for tests, and what it has on the host. */
import { assert, assertEquals } from "@std/assert";
import { resolve } from "node:path";
import { type RunCommand, runCommand } from "@wrenn/common";
import type { DmDevice } from "../../../core/dm_devices.ts";
import type { BlockDevice } from "../../store.ts";
import type { StoreFixture } from "../../store_contract.ts";
import { installTemplate, listing, sameBytes } from "../../testing/template_files.ts";
import { DeviceMapper } from "../device_mapper.ts";
import { DmStore, type DmStoreOptions } from "../dm_store.ts";
import { Loops } from "../loops.ts";
import { deviceMapperFault } from "../support.ts";

/** Why tests with device-mapper cannot run here; undefined when they can. */
export const fault: string | undefined = await deviceMapperFault();

/** Registers a test that runs where there is device-mapper. */
export function dmTest(name: string, fn: () => Promise<void>): void {
  const why = fault === undefined ? "" : ` (needs device-mapper: ${fault})`;
  Deno.test({ name: name + why, ignore: fault !== undefined, fn });
}

/** A store for the contract's tests and those of its own. */
export interface DmFixture extends StoreFixture {
  readonly store: DmStore;
  readonly dataDir: string;
  reopen(options?: Partial<DmStoreOptions>): DmStore;
  /** Names of the store's devices without what they begin with. */
  devices(): Promise<string[]>;
  /** Files under loop devices. */
  loops(): Promise<string[]>;
}

/** Opens a fixture. What is left over when it is disposed of fails the test. */
export async function openDm(options: Partial<DmStoreOptions> = {}): Promise<DmFixture> {
  const dataDir = await Deno.makeTempDir({ prefix: "wrenn-dm-" });
  await Deno.mkdir(`${dataDir}/sandboxes`, { mode: 0o711 });
  return fixtureIn(dataDir, options, () => Deno.remove(dataDir, { recursive: true }));
}

/** A fixture in a folder that has `sandboxes/`. */
export function fixtureIn(
  dataDir: string,
  options: Partial<DmStoreOptions>,
  removeFolder: () => Promise<void>,
): DmFixture {
  const reopen = (more: Partial<DmStoreOptions> = {}) =>
    new DmStore({ dataDir, closeMs: 500, reserveMb: 1, ...options, ...more });
  const store = reopen();
  const prefix = `wrenn-${store.instance}-`;
  const devices = async () => {
    const names = [...(await new DeviceMapper().devices()).keys()];
    return names.filter((n) => n.startsWith(prefix)).map((n) => n.slice(prefix.length)).sort();
  };
  const loops = async () => (await new Loops().under(resolve(dataDir))).map(({ file }) => file);
  return {
    store,
    dataDir,
    reopen,
    devices,
    loops,
    addTemplate: (name, sizeMb, fill) => installTemplate(dataDir, { name, sizeMb, fill }),
    baseBytes: (name) => Deno.readFile(`${dataDir}/images/${name}.ext4`),
    write: writeDisk,
    holds: diskHolds,
    putInForce: (next) => reopen().switchTo(next, undefined),
    layerOwner: () => 0,
    check: async ({ folder }) => {
      assertEquals(await reopen().health.stateIn(folder), "ok");
    },
    snapshotFolder: () => Deno.makeTempDir({ dir: dataDir, prefix: "snap-" }),
    picture: async () => [
      ...await listing(dataDir),
      ...await devices(),
      ...(await loops()).sort(),
    ],
    [Symbol.asyncDispose]: async () => {
      await reopen().sweep(new Set());
      const left = [...await devices(), ...await loops()];
      await removeFolder();
      assertEquals(left, []);
    },
  };
}

/** Writes a byte value into a disk and has it on the host's side of the device. */
export async function writeDisk(
  { path }: BlockDevice,
  offset: number,
  length: number,
  fill: number,
): Promise<void> {
  using device = await Deno.open(path, { write: true });
  await device.seek(offset, Deno.SeekMode.Start);
  const bytes = new Uint8Array(length).fill(fill);
  for (let done = 0; done < length;) done += await device.write(bytes.subarray(done));
  await device.sync();
}

/** True when a range of a disk holds that byte value alone. */
export async function diskHolds(
  { path }: Pick<BlockDevice, "path">,
  offset: number,
  length: number,
  fill: number,
): Promise<boolean> {
  using device = await Deno.open(path);
  await device.seek(offset, Deno.SeekMode.Start);
  const bytes = new Uint8Array(Math.min(length, 1 << 20));
  const expected = new Uint8Array(bytes.length).fill(fill);
  for (let done = 0; done < length;) {
    const read = await device.read(bytes.subarray(0, Math.min(bytes.length, length - done)));
    if (read === null) return false;
    if (!sameBytes(bytes.subarray(0, read), expected.subarray(0, read))) return false;
    done += read;
  }
  return true;
}

/** Lets no page of a device stay in memory, so that what is read next comes from the layers. */
export async function dropCache({ path }: BlockDevice): Promise<void> {
  await runCommand(["blockdev", "--flushbufs", path]);
}

/** A command runner for an agent that dies: before command `at`, counted from 0, it waits for ever. */
export function dyingRun(at: number): { run: RunCommand; died: Promise<void> } {
  let count = 0;
  const { promise: died, resolve: die } = Promise.withResolvers<void>();
  const run: RunCommand = async (argv, options) => {
    if (count++ < at) return await runCommand(argv, options);
    die();
    return await new Promise(() => {});
  };
  return { run, died };
}

/** A device of this host by its full name. */
export async function deviceNamed(name: string): Promise<DmDevice> {
  const found = (await new DeviceMapper().devices()).get(name);
  assert(found, `No device '${name}'`);
  return found;
}
