/**
 * What the agent writes down about its sandboxes: `{data}/records/{id}.json`, one per sandbox that lives. After the
 * agent's death it tells which machines are to be taken over and which sandboxes are files alone.
 */
import { join } from "node:path";
import { isSandboxId, logger, type SandboxId, type SnapshotId } from "@wrenn/common";
import { z } from "zod";
import { type MemoryFile, spaceError } from "../snapshot/mod.ts";
import type { HostSecret } from "./host_secret.ts";
import type { EndReason, Generation, SandboxSpec } from "./types.ts";

/** A machine as the record has it. */
export interface RecordedMachine {
  readonly vmId: string;
  /** Index of its network slot. */
  readonly slot: number;
  readonly booted: boolean;
  readonly origin: string | null;
  /** Hash of the image that its disk began with. */
  readonly templateHash: string;
  readonly memory: readonly MemoryFile[];
}

/** A sandbox as it is written down. Times are wall-clock milliseconds. */
export interface SandboxRecord {
  readonly id: SandboxId;
  readonly executionId: string;
  readonly state: "running" | "paused" | "hibernated";
  readonly spec: SandboxSpec;
  readonly createdAt: number;
  readonly startedAt: number;
  readonly generations: readonly Generation[];
  /** Last generation that was given out. */
  readonly generation: number;
  /** Present while it has a machine. */
  readonly machine: RecordedMachine | undefined;
  /** Snapshot that a hibernated sandbox comes back from; undefined when only its disk is left. */
  readonly wakesFrom: SnapshotId | undefined;
  readonly reason: EndReason | undefined;
}

const FORMAT = 1;
const text = z.string();
const generation = z.object({
  generation: z.int(),
  snapshotId: z.custom<SnapshotId>((v) => typeof v === "string"),
  digest: text,
  bytes: z.int(),
  durableAt: z.number(),
  named: z.boolean(),
});
const memoryFile = z.object({
  file: text,
  bytes: z.int(),
  digest: text,
  kind: z.enum(["base", "diff"]),
  pages: z.int(),
});
const fileSchema = z.object({
  format: z.literal(FORMAT),
  id: z.custom<SandboxId>((v) => typeof v === "string" && isSandboxId(v)),
  executionId: text,
  state: z.enum(["running", "paused", "hibernated"]),
  spec: z.object({
    template: text,
    vcpus: z.int(),
    memoryMb: z.int(),
    diskMb: z.int(),
    timeoutSec: z.int(),
    onTimeout: z.enum(["destroy", "pause", "hibernate"]),
    /** Sealed with the host's secret: it may hold secrets of the user. */
    env: text,
    network: z.object({ internet: z.boolean(), allowOut: z.array(text), denyOut: z.array(text) }),
  }),
  createdAt: z.number(),
  startedAt: z.number(),
  generations: z.array(generation),
  generation: z.int(),
  machine: z.object({
    vmId: text,
    slot: z.int(),
    booted: z.boolean(),
    origin: text.nullable(),
    templateHash: text,
    memory: z.array(memoryFile),
  }).optional(),
  wakesFrom: z.custom<SnapshotId>((v) => v === undefined || typeof v === "string").optional(),
  reason: z.object({ code: text, message: text }).optional(),
});

/** Reads and writes records. */
export class SandboxRecords {
  readonly #folder: string;
  readonly #secret: HostSecret;

  /** @param dataDir The agent's data folder. @param secret Seals environments. */
  constructor(dataDir: string, secret: HostSecret) {
    this.#folder = join(dataDir, "records");
    this.#secret = secret;
    Deno.mkdirSync(this.#folder, { recursive: true, mode: 0o700 });
  }

  /**
   * Writes a record, whole or not at all. `durable` waits until it survives a crash of the host, too. Synchronous,
   * since a file in the page cache takes a tenth of a millisecond and a claim waits for it.
   *
   * @throws {WrennError} `no_space`; the record is as it was then.
   */
  write(record: SandboxRecord, options: { durable?: boolean } = {}): void {
    try {
      this.#write(record, options.durable ?? false);
    } catch (error) {
      throw spaceError(error);
    }
  }

  #write(record: SandboxRecord, durable: boolean): void {
    const { spec, ...rest } = record;
    const env = this.#secret.seal(JSON.stringify(spec.env), record.id);
    const content = JSON.stringify({ format: FORMAT, ...rest, spec: { ...spec, env } });
    const path = this.#path(record.id);
    {
      using file = Deno.openSync(`${path}.new`, {
        create: true,
        write: true,
        truncate: true,
        mode: 0o600,
      });
      const bytes = new TextEncoder().encode(content);
      for (let at = 0; at < bytes.length;) at += file.writeSync(bytes.subarray(at));
      if (durable) file.syncSync();
    }
    Deno.renameSync(`${path}.new`, path);
    if (durable) {
      using folder = Deno.openSync(this.#folder);
      folder.syncSync();
    }
  }

  /** Forgets a sandbox. Idempotent. */
  remove(id: SandboxId): void {
    try {
      Deno.removeSync(this.#path(id));
    } catch (error) {
      if (!(error instanceof Deno.errors.NotFound)) throw error;
    }
  }

  /** Every record. One that cannot be read is told in the log, and kept for the operator. */
  async list(): Promise<SandboxRecord[]> {
    const records: SandboxRecord[] = [];
    for await (const { name } of Deno.readDir(this.#folder)) {
      if (name.endsWith(".new")) {
        await Deno.remove(join(this.#folder, name));
        continue;
      }
      try {
        records.push(this.#parse(await Deno.readTextFile(join(this.#folder, name))));
      } catch (error) {
        logger("agent", "records").error("Cannot read a record", { name, error });
      }
    }
    return records;
  }

  #parse(content: string): SandboxRecord {
    const { format: _, spec, machine, wakesFrom, reason, ...rest } = fileSchema.parse(
      JSON.parse(content),
    );
    const env: Record<string, string> = JSON.parse(this.#secret.open(spec.env, rest.id));
    return { ...rest, spec: { ...spec, env }, machine, wakesFrom, reason };
  }

  #path(id: SandboxId): string {
    return join(this.#folder, `${id}.json`);
  }
}
