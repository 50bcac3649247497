/** `X-Metadata-*` headers of an upload: what may be stored as extended attributes. */
import { WrennError } from "@wrenn/common/errors";

const PREFIX = "x-metadata-";
/** An attribute name has 255 bytes, of which `user.e2b.` takes nine. */
const MAX_KEY_BYTES = 246;
/** All keys and values together, in bytes. */
const MAX_TOTAL_BYTES = 4096;
const PRINTABLE = /^[\x20-\x7e]*$/;

/**
 * Metadata of a request, by lower-case key; undefined when it has none.
 *
 * @throws {WrennError} `invalid_request` for text that is not printable ASCII, and above the limits.
 */
export function parseMetadata(
  headers: Iterable<[string, string]>,
): Record<string, string> | undefined {
  const metadata: Record<string, string> = {};
  let total = 0;
  for (const [name, value] of headers) {
    if (!name.toLowerCase().startsWith(PREFIX)) continue;
    const key = name.slice(PREFIX.length).toLowerCase();
    if (key === "") throw new WrennError("invalid_request", "Metadata key is empty");
    if (!PRINTABLE.test(key) || !PRINTABLE.test(value)) {
      throw new WrennError("invalid_request", "Metadata must be printable ASCII");
    }
    if (key.length > MAX_KEY_BYTES) {
      throw new WrennError("invalid_request", `Metadata key is longer than ${MAX_KEY_BYTES} bytes`);
    }
    total += key.length + value.length;
    metadata[key] = value;
  }
  if (total > MAX_TOTAL_BYTES) {
    throw new WrennError("invalid_request", `Metadata is larger than ${MAX_TOTAL_BYTES} bytes`);
  }
  return Object.keys(metadata).length > 0 ? metadata : undefined;
}
