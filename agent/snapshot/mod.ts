/** Snapshots: the artifact of docs/snapshots.md. */
export { type SnapshotContent, SnapshotDraft } from "./draft.ts";
export type { MemoryFile, Snapshot, SnapshotEnvironment, SnapshotManifest } from "./manifest.ts";
export { SnapshotStore } from "./store.ts";
export { spaceError } from "./space.ts";
export { VerifiedFiles } from "./verified.ts";
