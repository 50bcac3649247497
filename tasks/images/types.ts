/** Options and results of building guest images. */

/** Receives one line for everything that takes more than a second. */
export type Progress = (line: string) => void;

/** Where to build and what to tell. */
export interface BuildOptions {
  /** Data folder of the host agent; built files are put there. */
  readonly dataDir: string;
  /** Folder of finished builds by content hash. */
  readonly cacheDir: string;
  /** Told about every longer step. */
  readonly progress?: Progress;
  /** Takes the distribution's packages of today although a build with the same inputs is at hand. */
  readonly fresh?: boolean;
  /** Entry module of the guest agent; the repository's `envd/main.ts` unless given. */
  readonly envdEntry?: string;
  /** Ends the programs that are running and rejects. */
  readonly signal?: AbortSignal;
}

/** Modification times of the files that a manifest describes, RFC 3339, by file name. */
export type FileTimes = Readonly<Record<string, string>>;

/** A manifest in a data folder: it describes the files beside it only while their times are these. */
export type Published<Manifest> = Manifest & { readonly file_times: FileTimes };

/** `<data>/kernels/kernel.json`. */
export interface KernelManifest {
  /** Kernel release, as `uname -r` prints it. */
  readonly version: string;
  /** Package that it was unpacked from, with its version. */
  readonly package: string;
  /** SHA-256 over `vmlinux` and `initrd.img`, hexadecimal. */
  readonly hash: string;
  /** Key of the inputs that it was built from. */
  readonly key: string;
  /** RFC 3339, UTC. */
  readonly created_at: string;
}

/** `<data>/images/{template}.json`. */
export interface ImageManifest {
  /** Template name. */
  readonly name: string;
  /** One sentence for people. */
  readonly description: string;
  /** Virtual size of the image, MiB. */
  readonly disk_mb: number;
  /** Identifies the content: changes when the root tree or what Wrenn brings changes. */
  readonly hash: string;
  /** Key of the root tree's inputs. */
  readonly rootfs_key: string;
  /** Identifies the built root tree. */
  readonly rootfs_id: string;
  /** SHA-256 over everything in the image's `/opt/wrenn`. */
  readonly runtime_hash: string;
  /** Deno in `/opt/wrenn`. */
  readonly deno_version: string;
  /** RFC 3339, UTC. */
  readonly created_at: string;
}

/** What a build did. */
export interface BuildResult<Manifest> {
  /** The manifest in the data folder. */
  readonly manifest: Manifest;
  /** False when the data folder held exactly this already. */
  readonly changed: boolean;
}
