/**
 * The stand-in's snapshots. There is no guest whose memory could be told by its content, so two pages stand for it:
 * every snapshot writes the first one anew, a Full one alone the second. A memory that belongs to another state, or
 * that a Diff was not laid over, does not load.
 */
import { z } from "zod";
import type { Drive, MachineConfig, NetworkInterface, Vsock } from "../api_types.ts";
import * as bodies from "./stand_in_bodies.ts";
import { StandInFault } from "./stand_in_fault.ts";

/** Version that the stand-in claims to be. */
export const STAND_IN_VERSION = "1.15.1";

const PAGE = 4096;
const mark = z.string().regex(/^[0-9a-f-]{36}$/);

/** What a snapshot holds of a machine. */
export interface SnapshotState {
  readonly vmm_version: string;
  readonly machine: MachineConfig;
  readonly drives: readonly Drive[];
  readonly interfaces: readonly NetworkInterface[];
  readonly vsock?: Vsock;
  /** Content of the page that a Full snapshot writes. */
  readonly full: string;
  /** Content of the page that every snapshot writes. */
  readonly last: string;
}

const state: z.ZodType<SnapshotState> = z.strictObject({
  vmm_version: z.string(),
  machine: bodies.machineConfig,
  drives: z.array(bodies.drive),
  interfaces: z.array(bodies.networkInterface),
  vsock: bodies.vsock.exactOptional(),
  full: mark,
  last: mark,
});

/** Writes a snapshot. The memory's file has the size of the whole memory, whatever is written. */
export async function writeSnapshot(
  snapshotPath: string,
  memoryPath: string,
  content: SnapshotState,
  kind: "Full" | "Diff",
): Promise<void> {
  using memory = await Deno.open(memoryPath, {
    write: true,
    create: true,
    truncate: kind === "Full",
    mode: 0o600,
  });
  await memory.truncate(content.machine.mem_size_mib * 1024 * 1024);
  await memory.write(page(content.last));
  if (kind === "Full") await memory.write(page(content.full));
  await memory.sync();
  await Deno.writeTextFile(snapshotPath, JSON.stringify(content), { mode: 0o600 });
}

/** Reads a snapshot and checks that its memory is its own. @throws {StandInFault} */
export async function readSnapshot(
  snapshotPath: string,
  memoryPath: string,
): Promise<SnapshotState> {
  const content = await readState(snapshotPath);
  const bytes = content.machine.mem_size_mib * 1024 * 1024;
  using memory = await Deno.open(memoryPath, { read: true });
  const { size } = await memory.stat();
  if (size !== bytes) throw refused(`the memory has ${size} bytes, the machine ${bytes}`);
  for (const expected of [content.last, content.full]) {
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
    content = state.parse(JSON.parse(await Deno.readTextFile(path)));
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
