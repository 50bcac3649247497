/** Files that drivers make around a VMM process. */

/** Folder that a machine's run folder lies in. */
export function runRootOf({ runDir }: { readonly runDir: string }): string {
  return runDir.replace(/\/[^/]*$/, "");
}

/** Makes a file of `bytes` without content, mode 0600. @throws {Deno.errors.AlreadyExists} */
export async function makeSparse(path: string, bytes: number): Promise<void> {
  using file = await Deno.open(path, { write: true, createNew: true, mode: 0o600 });
  try {
    await file.truncate(bytes);
  } catch (error) {
    await Deno.remove(path);
    throw error;
  }
}

/**
 * Checks that a run folder is root's alone: who reaches the control socket in it commands the VMM.
 *
 * @throws {Error}
 */
export async function checkPrivate(runDir: string): Promise<void> {
  const { mode, uid, isDirectory } = await Deno.lstat(runDir);
  if (!isDirectory || uid !== 0 || ((mode ?? 0o777) & 0o077) !== 0) {
    throw new Error(`The run folder '${runDir}' is open to other users`);
  }
}

/** Removes a file; a missing one is fine. */
export async function removeFile(path: string): Promise<void> {
  try {
    await Deno.remove(path);
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
}
