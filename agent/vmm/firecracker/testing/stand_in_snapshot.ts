/**
 * The stand-in's snapshots: a line of JSON that describes the machine, and after it the state of an engine's devices.
 * Without an engine there is no guest whose memory could be told by its content, so two pages stand for it: every
 * snapshot writes the first one anew, a Full one alone the second. A memory that belongs to another state, or that a
 * Diff was not laid over, does not load.
 */
import { z } from "zod";
import type { Drive, MachineConfig, NetworkInterface, Vsock } from "../api_types.ts";
import * as bodies from "./stand_in_bodies.ts";
import { StandInFault } from "./stand_in_fault.ts";

/** Version that the stand-in claims to be. */
export const STAND_IN_VERSION = "1.15.1";

const PAGE = 4096;
const MIB = 1 << 20;
const LINE_FEED = 10;
const mark = z.string().regex(/^[0-9a-f-]{36}$/);

/** What stands for the memory of a machine without a guest. */
export interface MemoryMarks {
  /** Content of the page that a Full snapshot writes. */
  readonly full: string;
  /** Content of the page that every snapshot writes. */
  readonly last: string;
}

/** What a snapshot holds of a machine. */
export interface SnapshotState {
  readonly vmm_version: string;
  readonly machine: MachineConfig;
  readonly drives: readonly Drive[];
  readonly interfaces: readonly NetworkInterface[];
  readonly vsock?: Vsock;
  readonly entropy?: boolean;
  /** Absent with an engine. */
  readonly marks?: MemoryMarks;
  /** The engine that the devices' state is for. */
  readonly engine?: string;
}

const state: z.ZodType<SnapshotState> = z.strictObject({
  vmm_version: z.string(),
  machine: bodies.machineConfig,
  drives: z.array(bodies.drive),
  interfaces: z.array(bodies.networkInterface),
  vsock: bodies.vsock.exactOptional(),
  entropy: z.boolean().exactOptional(),
  marks: z.strictObject({ full: mark, last: mark }).exactOptional(),
  engine: z.string().exactOptional(),
});

/**
 * Writes the state.
 *
 * @param path Path on the host, as all are here. @param devices State of an engine's devices.
 */
export async function writeState(
  path: string,
  content: SnapshotState,
  devices: Uint8Array<ArrayBuffer> = new Uint8Array(),
): Promise<void> {
  const line = new TextEncoder().encode(`${JSON.stringify(content)}\n`);
  await Deno.writeFile(path, new Blob([line, devices]).stream(), { mode: 0o600 });
}

/**
 * Opens the memory's file as Firecracker does: made when it is missing, emptied when it has another size, and else
 * written over. It has the size of the whole memory then.
 */
export async function openMemoryFile(
  path: string,
  { mem_size_mib }: MachineConfig,
): Promise<Deno.FsFile> {
  const file = await Deno.open(path, { write: true, create: true, mode: 0o600 });
  const bytes = mem_size_mib * MIB;
  if ((await file.stat()).size !== bytes) await file.truncate(0);
  await file.truncate(bytes);
  return file;
}

/** Writes the pages that stand for the memory of a machine without a guest. */
export async function writeMarks(
  file: Deno.FsFile,
  marks: MemoryMarks,
  kind: "Full" | "Diff",
): Promise<void> {
  await file.write(page(marks.last));
  if (kind === "Full") await file.write(page(marks.full));
  await file.sync();
}

/**
 * Reads a snapshot and checks that its memory has its size and is its own as far as anybody can tell.
 *
 * @param engine Name of the engine that will load it.
 * @throws {StandInFault}
 */
export async function readSnapshot(
  statePath: string,
  memoryPath: string,
  engine: string | undefined,
): Promise<SnapshotState> {
  const content = await readState(statePath);
  if (content.engine !== engine) {
    throw refused(`it is for the engine '${content.engine}', not '${engine}'`);
  }
  const bytes = content.machine.mem_size_mib * MIB;
  using memory = await Deno.open(memoryPath, { read: true });
  const { size } = await memory.stat();
  if (size !== bytes) throw refused(`the memory has ${size} bytes, the machine ${bytes}`);
  const { marks } = content;
  for (const expected of marks ? [marks.last, marks.full] : []) {
    const got = new Uint8Array(PAGE);
    await memory.read(got);
    if (!page(expected).every((byte, n) => byte === got[n])) {
      throw refused("the memory is that of another snapshot");
    }
  }
  return content;
}

async function readState(path: string): Promise<SnapshotState> {
  let content: SnapshotState;
  try {
    const bytes = await Deno.readFile(path);
    const line = new TextDecoder().decode(bytes.subarray(0, bytes.indexOf(LINE_FEED)));
    content = state.parse(JSON.parse(line));
  } catch {
    throw refused("the state cannot be read");
  }
  if (content.vmm_version !== STAND_IN_VERSION) {
    throw refused(`the state is of version ${content.vmm_version}`);
  }
  return content;
}

function refused(why: string): StandInFault {
  return new StandInFault(`Load snapshot error: Failed to restore from snapshot: ${why}`);
}

function page(content: string): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(PAGE);
  bytes.set(new TextEncoder().encode(content));
  return bytes;
}
