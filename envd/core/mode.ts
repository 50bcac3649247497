/** File modes in the notation of Go's `fs.FileMode`, which E2B clients see. */

const S_IFMT = 0o170000;
const KINDS: Readonly<Record<number, string>> = {
  0o040000: "d",
  0o120000: "L",
  0o010000: "p",
  0o140000: "S",
  0o060000: "D",
  0o020000: "Dc",
};
const S_ISUID = 0o4000;
const S_ISGID = 0o2000;
const S_ISVTX = 0o1000;
/** Order of the letters in Go's notation. */
const ORDER = "dalTLDpSugct?";

/** `-rw-r--r--`, `drwxr-xr-x`, `Lrwxrwxrwx`, `dtrwxrwxrwx`. @param mode `st_mode`. */
export function permissionText(mode: number): string {
  const letters = (KINDS[mode & S_IFMT] ?? "") + (mode & S_ISUID ? "u" : "") +
    (mode & S_ISGID ? "g" : "") + (mode & S_ISVTX ? "t" : "");
  const prefix = [...letters].sort((a, b) => ORDER.indexOf(a) - ORDER.indexOf(b)).join("");
  const bits = [..."rwxrwxrwx"].map((letter, i) => mode & (1 << (8 - i)) ? letter : "-").join("");
  return (prefix || "-") + bits;
}
