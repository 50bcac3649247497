/** Root disks: a shared read-only base per template and a copy-on-write layer per sandbox. */
import type { RootfsKind } from "../core/platform_choice.ts";

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
  /** The disk's folder, `{data}/sandboxes/{diskId}`, root's: the top layer and hard links to all below it. */
  readonly folder: string;
  /** Names in the folder: the base first, the writable layer last. */
  readonly layers: readonly string[];
}

/** Layers that nobody writes any more, linked into a folder. */
export interface FrozenDisk {
  /** Folder that holds all of them. */
  readonly folder: string;
  /** Names in the folder, the base first. */
  readonly layers: readonly string[];
  /** Virtual size, MiB. */
  readonly sizeMb: number;
}

/** A folder that a VMM has as its root before there is a disk in it. */
export interface VmmRoot {
  /** A disk without layers. */
  readonly disk: BlockDevice;
  /** Unprivileged uid of that VMM. */
  readonly uid: number;
  /** Its group, which all such VMMs share. */
  readonly gid: number;
}

/** A running VMM's control of the layers of its disk, where it reads the layered format itself. */
export interface LayerControl {
  /** Continues on another top layer of the same disk; the old top is not written any more. */
  switchTo(disk: BlockDevice): Promise<void>;
  /** File name, in the disk's folder, of the layer that is written. */
  topLayer(): Promise<string>;
  /** Takes everything above `layer`, a file name in the disk's folder, into the top layer. The guest may run. */
  flatten(layer: string): Promise<void>;
}

/**
 * Makes and removes disks. A disk id is a sandbox's id, or `warm-`, `gold-` or `spare-` and 16 hex digits for a
 * machine that is nobody's yet.
 */
export interface RootfsStore {
  /** What its disks are. */
  readonly kind: RootfsKind;
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
  /**
   * Creates a disk over frozen layers: links to them in a folder of its own and an empty layer on top. On failure
   * nothing is left.
   *
   * @param root Of {@linkcode reserve}: its folder becomes the disk's, and a VMM that has it as its root folder can open
   * all of the layers.
   * @throws {WrennError} `no_space`, `already_exists`
   */
  overlayOn(diskId: string, frozen: FrozenDisk, root?: VmmRoot): Promise<BlockDevice>;
  /**
   * Makes the folder of a disk that is yet to come: a disk without layers. Absent where a VMM that runs already cannot
   * be given a disk.
   *
   * @throws {WrennError} `no_space`, `already_exists`
   */
  reserve?(diskId: string, sizeMb: number): Promise<BlockDevice>;
  /**
   * Adds an empty layer over the present top, owned by `uid`. The answer is the disk as it is once the VMM writes
   * to the new layer; until then the old one is in force.
   *
   * @throws {WrennError} `no_space`
   */
  addLayer(disk: BlockDevice, uid: number): Promise<BlockDevice>;
  /**
   * Puts an added layer into force while a VMM has the disk open. Its vCPUs stand still. When it fails the layer is
   * gone, or the machine is.
   *
   * @param control Of that VMM.
   */
  switchTo(next: BlockDevice, control: LayerControl | undefined): Promise<void>;
  /** The disk as the VMM that has it open writes it: a layer that was never put into force is removed. */
  asWritten(disk: BlockDevice, control: LayerControl | undefined): Promise<BlockDevice>;
  /**
   * Takes the layers between `layer` and the top into the top one, or into a new one below it, and removes them. The
   * guest may run meanwhile. Answers the disk as it is then.
   */
  flatten(
    disk: BlockDevice,
    layer: string,
    control: LayerControl | undefined,
  ): Promise<BlockDevice>;
  /**
   * Links layers into `folder`, which may be of a draft, and makes them read-only: `disk.layers`, or without the
   * top when `below` is set. Nothing may write to them any more.
   */
  freeze(disk: BlockDevice, folder: string, options?: { below?: boolean }): Promise<FrozenDisk>;
  /**
   * Takes the layers above `layer` into a new one, in a folder of links that no disk lies over: a draft's. The links to
   * those that it replaces are removed. What they hold together stays the same.
   */
  mergeLayers(frozen: FrozenDisk, layer: string): Promise<FrozenDisk>;
  /**
   * For a VMM that does not end: the kernel does not end a process whose disk I/O waits for room on the host. Lets that
   * I/O fail; nothing where none waits. The disk keeps what was confirmed.
   */
  failHeld(disk: BlockDevice): Promise<void>;
  /** Gives a disk another id, also while a VMM has it open. */
  rename(disk: BlockDevice, diskId: string): Promise<BlockDevice>;
  /** The disk of an id as its folder has it. @throws {WrennError} `sandbox_not_found` */
  find(diskId: string): Promise<BlockDevice>;
  /** Deletes a sandbox's layer. Idempotent. */
  remove(sandboxId: string): Promise<void>;
  /**
   * Bytes on the host that a sandbox's layer takes, in MiB.
   *
   * @throws {WrennError} `sandbox_not_found` when it has no layer
   */
  usedMb(sandboxId: string): Promise<number>;
  /**
   * Writes what a disk holds now as a raw image for a new template: as large as the disk, holes where there are only
   * zeros. Nobody may write to the disk meanwhile. On failure nothing is left.
   *
   * @param target Path of a file that does not exist.
   * @throws {WrennError} `already_exists`, `no_space`
   */
  exportImage(disk: BlockDevice, target: string): Promise<void>;
  /** Usable templates on this host, by name. None of them is held. */
  templates(): Promise<Base[]>;
  /** Deletes every layer but those of the given sandboxes. Returns how many. */
  sweep(keep: ReadonlySet<string>): Promise<number>;
}
