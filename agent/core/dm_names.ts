/** Names of device-mapper devices. */

const INSTANCE = /^[0-9a-f]{8}$/;
const HEX = /[0-9a-f]{16}/;

/** The names of one agent's devices. Another agent on the same host has another instance. */
export class DmNames {
  readonly #prefix: string;

  /** @param instance 8 hex digits. */
  constructor(instance: string) {
    if (!INSTANCE.test(instance)) throw new RangeError(`Not 8 hex digits: '${instance}'`);
    this.#prefix = `wrenn-${instance}-`;
  }

  /** The writable device of a disk. */
  disk(device: string): string {
    return this.#prefix + device;
  }

  /** The read-only device of a base image, as large as the disks over it. */
  base(file: string, sizeMb: number): string {
    return `${this.#prefix}base-${hexOf(file)}-${sizeMb}`;
  }

  /** The read-only device of a frozen layer and all below it. Names of layers never repeat. */
  layer(file: string): string {
    return `${this.#prefix}ro-${hexOf(file)}`;
  }

  /** True for every device of this agent. */
  isOurs(name: string): boolean {
    return name.startsWith(this.#prefix);
  }

  /** True for devices of this agent that disks share. */
  isShared(name: string): boolean {
    return this.isOurs(name) && /^(?:base|ro)-/.test(name.slice(this.#prefix.length));
  }
}

function hexOf(file: string): string {
  const [hex] = HEX.exec(file) ?? [];
  if (hex === undefined) throw new Error(`Not a file of a disk: '${file}'`);
  return hex;
}
