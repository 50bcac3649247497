/** Reads what `ldd` prints. */

/** Shared objects that a program is started with. */
export interface SharedObjects {
  /** Host path of the loader. */
  readonly loader: string;
  /** Host paths of the libraries, by the name they are looked up with. */
  readonly libraries: ReadonlyMap<string, string>;
}

/**
 * Reads the output of `ldd` for one program.
 *
 * @throws {TypeError} When a library is missing or the program is not dynamically linked.
 */
export function parseLdd(output: string): SharedObjects {
  const libraries = new Map<string, string>();
  let loader: string | undefined;
  for (const line of output.split("\n").map((l) => l.trim())) {
    const found = /^(\S+) => (\/\S+) \(0x/.exec(line);
    const direct = /^(\/\S*\/ld-linux[^/\s]*) \(0x/.exec(line);
    const missing = /^(\S+) => not found/.exec(line);
    if (missing) throw new TypeError(`Cannot find the library '${missing[1]}'`);
    if (found?.[1] && found[2]) {
      if (found[1].includes("ld-linux")) loader = found[2];
      else libraries.set(found[1].split("/").at(-1) ?? found[1], found[2]);
    } else if (direct?.[1]) loader = direct[1];
  }
  if (loader === undefined) throw new TypeError("Cannot find the loader: not dynamically linked");
  return { loader, libraries };
}
