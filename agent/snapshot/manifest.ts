/** What a snapshot says about itself: `manifest.json`, written last into its folder (docs/snapshots.md). */
import type { SnapshotId } from "@wrenn/common";
import { z } from "zod";
import { digestOfText } from "./digest.ts";

/** Version of the format. Another one is refused, never guessed at. */
export const FORMAT = 1;

/** A file of a snapshot. */
export interface SnapshotFile {
  /** Name in the snapshot's folder. */
  readonly file: string;
  readonly bytes: number;
  /** `sha256:` and hex, over the SHA-256 of its 4 MiB pieces. */
  readonly digest: string;
}

/** One link of the memory chain. */
export interface MemoryFile extends SnapshotFile {
  /** `base`: the whole memory. `diff`: pages over what is below. */
  readonly kind: "base" | "diff";
  /** Pages of 4 KiB that it holds. */
  readonly pages: number;
}

/** One layer of the disk. */
export interface DiskFile extends SnapshotFile {
  /** `whole`: the digest covers the file. `head`: its first MiB, for files above 64 MiB. */
  readonly digested: "whole" | "head";
}

/** What must be the same where a snapshot is loaded. */
export interface SnapshotEnvironment {
  /** `qemu 7.2.22`. */
  readonly vmm: string;
  readonly accelerator: "kvm" | "tcg";
  /** As the VMM was told: `Nehalem,-spec-ctrl,+arat`. */
  readonly cpu_model: string;
  /** Rate of the guest's time stamp counter. */
  readonly tsc_khz: number;
  /** SHA-256 of the guest's kernel. */
  readonly kernel_hash: string;
  /** What the kernel was told: a golden snapshot is made anew when that changes, others do not mind. */
  readonly boot_line?: string | undefined;
}

/** A manifest as its file has it. */
export interface SnapshotManifest {
  readonly format: typeof FORMAT;
  readonly id: string;
  /** `sandbox`: a generation. `named`: somebody asked for it. `fork`: only for as long as copies are made. */
  readonly kind: "golden" | "sandbox" | "named" | "fork";
  /** Sandbox that it is a moment of; null for a golden one. */
  readonly sandbox_id: string | null;
  /** Snapshot that the machine was restored from. */
  readonly parent: string | null;
  /** 0 for a golden one; counts up in the life of a sandbox. */
  readonly generation: number;
  readonly environment: SnapshotEnvironment;
  readonly template: { readonly name: string; readonly hash: string };
  readonly vcpus: number;
  readonly memory_mb: number;
  readonly disk_mb: number;
  /** The guest's processes were frozen and its file systems synced. */
  readonly quiesced: boolean;
  /** Which of the host's derived tokens opens the guest; null while it is sealed. */
  readonly token_id: string | null;
  readonly created_at: string;
  /** `agent 0.1.0 on host-0123abcd`. */
  readonly created_by: string;
  /** Bytes that this snapshot added: its state and whatever it does not share. */
  readonly bytes: number;
  /** Over all else that the manifest says, the digests of its files among it. */
  readonly digest: string;
  readonly state: SnapshotFile;
  /** Base first. */
  readonly memory: readonly MemoryFile[];
  /** The template's image first. */
  readonly disk: readonly DiskFile[];
}

/** A snapshot that is whole. */
export interface Snapshot {
  readonly id: SnapshotId;
  /** Its folder. */
  readonly dir: string;
  readonly manifest: SnapshotManifest;
}

/** The `digest` of a manifest, as it is made or as its file has it. */
export function manifestDigest(manifest: object): string {
  return digestOfText(JSON.stringify({ ...manifest, digest: "" }));
}

const digest = z.string().regex(/^sha256:[0-9a-f]{64}$/);
const count = z.int().min(0);
const size = z.int().min(1);
const file = {
  /** A plain name: nothing in a manifest leaves its folder. */
  file: z.string().regex(/^[a-z0-9][a-z0-9.-]{0,99}$/),
  bytes: count,
  digest,
};

/** The schema. */
export const manifestSchema: z.ZodType<SnapshotManifest> = z.object({
  format: z.literal(FORMAT),
  id: z.string().regex(/^snap-[0-9a-f]{16}$/),
  kind: z.enum(["golden", "sandbox", "named", "fork"]),
  sandbox_id: z.string().nullable(),
  parent: z.string().nullable(),
  generation: count,
  environment: z.object({
    vmm: z.string(),
    accelerator: z.enum(["kvm", "tcg"]),
    cpu_model: z.string(),
    tsc_khz: size,
    kernel_hash: z.string(),
    boot_line: z.string().optional(),
  }),
  template: z.object({ name: z.string(), hash: z.string() }),
  vcpus: size,
  memory_mb: size,
  disk_mb: size,
  quiesced: z.boolean(),
  token_id: z.string().nullable(),
  created_at: z.iso.datetime(),
  created_by: z.string(),
  bytes: count,
  digest,
  state: z.object(file),
  memory: z.array(z.object({ ...file, kind: z.enum(["base", "diff"]), pages: count })).min(1),
  disk: z.array(z.object({ ...file, digested: z.enum(["whole", "head"]) })).min(1),
});
