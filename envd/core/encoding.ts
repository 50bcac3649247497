/** Choosing a content encoding (RFC 9110, section 12.5.3). */

/** Encodings that envd produces. */
export type Encoding = "gzip" | "identity";

/**
 * gzip when the client lists it and it is possible, else identity when acceptable; undefined when the
 * client takes neither (406).
 */
export function chooseEncoding(header: string | null, gzipPossible: boolean): Encoding | undefined {
  const weights = new Map<string, number>();
  for (const item of (header ?? "").split(",")) {
    const [name = "", ...parameters] = item.split(";").map((part) => part.trim().toLowerCase());
    if (name === "") continue;
    const q = parameters.find((parameter) => parameter.startsWith("q="))?.slice(2);
    const weight = q === undefined ? 1 : Number(q);
    weights.set(name, Number.isNaN(weight) ? 0 : weight);
  }
  const gzip = weights.get("gzip") ?? weights.get("x-gzip") ?? 0;
  const identity = weights.get("identity") ?? (weights.get("*") === 0 ? 0 : 1);
  const prefersIdentity = (weights.get("identity") ?? 0) > gzip;
  if (gzipPossible && gzip > 0 && !prefersIdentity) return "gzip";
  if (identity > 0) return "identity";
  return gzipPossible && (weights.get("*") ?? 0) > 0 ? "gzip" : undefined;
}
