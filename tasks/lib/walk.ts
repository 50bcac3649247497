/** Files below a folder. */
import { join } from "node:path";

/** Paths of all files below `folder`, whose hidden folders and `node_modules` are left out. */
export async function* walkFiles(folder: string): AsyncGenerator<string, void, undefined> {
  for await (const entry of Deno.readDir(folder)) {
    const path = join(folder, entry.name);
    if (entry.isFile) yield path;
    else if (entry.isDirectory && !entry.name.startsWith(".") && entry.name !== "node_modules") {
      yield* walkFiles(path);
    }
  }
}
