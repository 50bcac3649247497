/** Commands for `debugfs` that replace a folder in an ext4 image, and what its listings say. */

/** One file to put into an image. Folders above it are made. */
export interface ImageFile {
  /** Host path of the content. */
  readonly source: string;
  /** Path below the folder, `lib/libc.so.6`. */
  readonly path: string;
  /** Permission bits. */
  readonly mode: number;
}

/** An entry of `ls -p`. */
export interface Listed {
  /** File name. */
  readonly name: string;
  /** Type and permission bits. */
  readonly mode: number;
  /** Owner. */
  readonly uid: number;
  /** Bytes; 0 for folders. */
  readonly size: number;
}

const S_IFMT = 0o170000;
const S_IFDIR = 0o040000;
const S_IFREG = 0o100000;

/** True for a folder. */
export function isFolder(entry: Listed): boolean {
  return (entry.mode & S_IFMT) === S_IFDIR;
}

/** Reads `ls -p`: `/inode/mode/uid/gid/name/size/` a line, without `.` and `..`. */
export function parseListing(output: string): Listed[] {
  const entries: Listed[] = [];
  for (const line of output.split("\n")) {
    const match = /^\/(\d+)\/(\d+)\/(\d+)\/(\d+)\/(.*)\/(\d*)\/$/.exec(line.trim());
    const name = match?.[5];
    if (!match || name === undefined || name === "." || name === "..") continue;
    entries.push({
      name,
      mode: Number.parseInt(match[2] ?? "0", 8),
      uid: Number(match[3]),
      size: Number(match[6] || 0),
    });
  }
  return entries;
}

/**
 * The script that fills `folder` with `files`, owned by root. `folder` exists and is empty; `existing` lists
 * the folders below it that are there already.
 *
 * @throws {TypeError} When a path holds what the script's grammar cannot carry.
 */
export function writeScript(folder: string, files: readonly ImageFile[]): string {
  const lines: string[] = [];
  const made = new Set<string>();
  for (const file of files) {
    if (/["\s]/.test(file.path) || /["\n]/.test(file.source)) {
      throw new TypeError(
        `Cannot put '${file.source}' into an image: the path has quotes or spaces`,
      );
    }
    const parts = file.path.split("/");
    const name = parts.pop() ?? "";
    let at = folder;
    for (const part of parts) {
      lines.push(`cd ${at}`);
      at = `${at}/${part}`;
      if (made.has(at)) continue;
      made.add(at);
      lines.push(`mkdir ${part}`, `sif ${at} mode 040755`);
    }
    const mode = (S_IFREG | file.mode).toString(8).padStart(7, "0");
    lines.push(`cd ${at}`, `write "${file.source}" ${name}`, `sif ${at}/${name} mode ${mode}`);
    for (const owner of ["uid", "gid"]) lines.push(`sif ${at}/${name} ${owner} 0`);
  }
  return lines.join("\n") + "\n";
}

/** What differs between a listing and the files that should be there, as a sentence; undefined when nothing. */
export function listingFault(
  listed: ReadonlyMap<string, Listed>,
  expected: readonly (ImageFile & { readonly size: number })[],
): string | undefined {
  for (const file of expected) {
    const entry = listed.get(file.path);
    if (entry === undefined) return `'${file.path}' is missing`;
    if (entry.size !== file.size) return `'${file.path}' has ${entry.size} bytes, not ${file.size}`;
    if (entry.mode !== (S_IFREG | file.mode)) return `'${file.path}' has the wrong mode`;
    if (entry.uid !== 0) return `'${file.path}' is not owned by root`;
  }
  const paths = new Set(expected.map((f) => f.path));
  const extra = [...listed].find(([path, entry]) => !isFolder(entry) && !paths.has(path));
  return extra === undefined ? undefined : `'${extra[0]}' should not be there`;
}
