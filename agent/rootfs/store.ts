/** Root disks: a shared read-only base per template and a copy-on-write layer per sandbox. */

/** A template's read-only base image in use. */
export interface Base {
  /** Template name. */
  readonly template: string;
  /** Host path of the ext4 image. */
  readonly path: string;
  /** Virtual size, MiB. */
  readonly sizeMb: number;
  /** Content hash from the image's manifest. */
  readonly hash: string;
}

/** A sandbox's writable disk. */
export interface BlockDevice {
  /** Host path to hand to the VMM. */
  readonly path: string;
  /** Format at that path. */
  readonly format: "qcow2" | "raw";
  /** Virtual size, MiB. */
  readonly sizeMb: number;
}

/** Makes and removes disks. */
export interface RootfsStore {
  /**
   * Takes a reference on a template's base.
   *
   * @throws {WrennError} `template_not_found`
   */
  acquireBase(template: string): Promise<Base>;
  /** Gives a reference back. The object is the reference: giving the same one back again does nothing. */
  releaseBase(base: Base): void;
  /** References held on a template's base. */
  references(template: string): number;
  /**
   * Creates the layer of a sandbox over a base that is held. `sizeMb` 0 means the base's size. The layer
   * keeps its content when the template is replaced later. On failure nothing is left.
   *
   * @throws {WrennError} `invalid_request` when smaller than the base, `no_space`, `already_exists`
   */
  overlay(sandboxId: string, base: Base, sizeMb: number): Promise<BlockDevice>;
  /** Deletes a sandbox's layer. Idempotent. */
  remove(sandboxId: string): Promise<void>;
  /**
   * Bytes on the host that a sandbox's layer takes, in MiB.
   *
   * @throws {WrennError} `sandbox_not_found` when it has no layer
   */
  usedMb(sandboxId: string): Promise<number>;
  /** Usable templates on this host, by name. None of them is held. */
  templates(): Promise<Base[]>;
  /** Deletes every layer but those of the given sandboxes. Returns how many. */
  sweep(keep: ReadonlySet<string>): Promise<number>;
}
