/** Files that calls name in tests. */
import { fakeKernel } from "./stand_in_files.ts";

/** A folder with everything that a machine is described by. */
export interface ContractFiles extends AsyncDisposable {
  readonly folder: string;
  /** A kernel that the stand-in starts. */
  readonly kernel: string;
  readonly initrd: string;
  readonly disk: string;
  readonly otherDisk: string;
  readonly log: string;
  readonly metrics: string;
  readonly serial: string;
  /** Nothing is there, and nothing can be made. */
  readonly missing: string;
  /** A path in the folder where nothing is yet. */
  path(name: string): string;
}

/** Makes the folder. */
export async function makeContractFiles(): Promise<ContractFiles> {
  const folder = await Deno.makeTempDir({ prefix: "fc-" });
  const make = async (name: string, bytes: Uint8Array<ArrayBuffer>): Promise<string> => {
    await Deno.writeFile(`${folder}/${name}`, bytes);
    return `${folder}/${name}`;
  };
  return {
    folder,
    kernel: await make("vmlinux", fakeKernel()),
    initrd: await make("initrd.img", new Uint8Array(512)),
    disk: await make("disk", new Uint8Array(4096)),
    otherDisk: await make("other-disk", new Uint8Array(8192)),
    log: await make("log", new Uint8Array()),
    metrics: await make("metrics", new Uint8Array()),
    serial: await make("serial", new Uint8Array()),
    missing: `${folder}/nowhere/file`,
    path: (name) => `${folder}/${name}`,
    [Symbol.asyncDispose]: async () => await Deno.remove(folder, { recursive: true }),
  };
}
