/** Names of builds: a hash over everything that goes into one. */
import { createHash } from "node:crypto";

/** Inputs of a build by name. Order does not matter. */
export type Inputs = Readonly<Record<string, string | number | readonly string[]>>;

/** SHA-256 over the named inputs, hexadecimal. Equal inputs give equal keys in whatever order they stand. */
export function contentKey(inputs: Inputs): string {
  const sorted = Object.entries(inputs).sort(([a], [b]) => a < b ? -1 : a > b ? 1 : 0);
  return createHash("sha256").update(JSON.stringify(sorted)).digest("hex");
}
