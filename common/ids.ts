/** Public identifiers: a prefix and random hex, checked by pattern before any lookup. */

/** `sb-` and 8 hex digits. */
export type SandboxId = `sb-${string}`;
/** `host-` and 8 hex digits. */
export type HostId = `host-${string}`;
/** `snap-` and 16 hex digits: one per snapshot, never used again. */
export type SnapshotId = `snap-${string}`;

const SANDBOX_ID = /^sb-[0-9a-f]{8}$/;
const HOST_ID = /^host-[0-9a-f]{8}$/;
const SNAPSHOT_ID = /^snap-[0-9a-f]{16}$/;
const API_KEY = /^wrn_[0-9A-Za-z]{32}$/;
const API_KEY_ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/** Fills and returns an array of random bytes; `crypto.getRandomValues` outside tests. */
export type RandomBytes = (bytes: Uint8Array<ArrayBuffer>) => Uint8Array<ArrayBuffer>;

const systemRandom: RandomBytes = (bytes) => crypto.getRandomValues(bytes);

/** Random bytes as hex, for names that never repeat. */
export function randomHex(bytes: number, random: RandomBytes = systemRandom): string {
  return random(new Uint8Array(bytes)).toHex();
}

/** True for a well-formed sandbox id. */
export function isSandboxId(text: string): text is SandboxId {
  return SANDBOX_ID.test(text);
}

/** True for a well-formed host id. */
export function isHostId(text: string): text is HostId {
  return HOST_ID.test(text);
}

/** True for a well-formed snapshot id. */
export function isSnapshotId(text: string): text is SnapshotId {
  return SNAPSHOT_ID.test(text);
}

/** True for a well-formed API key of ours: `wrn_` and 32 letters or digits. */
export function isApiKey(text: string): boolean {
  return API_KEY.test(text);
}

/** A new sandbox id. */
export function newSandboxId(random: RandomBytes = systemRandom): SandboxId {
  return `sb-${randomHex(4, random)}`;
}

/** A new host id. */
export function newHostId(random: RandomBytes = systemRandom): HostId {
  return `host-${randomHex(4, random)}`;
}

/** A new snapshot id. */
export function newSnapshotId(random: RandomBytes = systemRandom): SnapshotId {
  return `snap-${randomHex(8, random)}`;
}

/** A new execution id: 16 hex digits, one per start of a sandbox. */
export function newExecutionId(random: RandomBytes = systemRandom): string {
  return randomHex(8, random);
}

/** A new API key with about 190 bits of randomness. Bytes that would favour some letters are drawn again. */
export function newApiKey(random: RandomBytes = systemRandom): string {
  let key = "";
  while (key.length < 32) {
    for (const byte of random(new Uint8Array(32))) {
      if (byte < 248 && key.length < 32) key += API_KEY_ALPHABET[byte % 62];
    }
  }
  return `wrn_${key}`;
}
