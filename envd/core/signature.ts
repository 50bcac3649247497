/** Signed file URLs (E2B `signature.ts`): what is signed, and what a wrong one is told. */

/** Direction of a signed transfer. */
export type FileOperation = "read" | "write";

/** Fields of a signature. */
export interface SignedFields {
  /** Path exactly as the caller wrote it. */
  path: string;
  /** Direction. */
  operation: FileOperation;
  /** User name, empty when not given. */
  user: string;
  /** The sandbox's token. */
  token: string;
  /** End of validity, seconds since the epoch. */
  expiration: number | undefined;
}

/** The text whose SHA-256 is the signature. */
export function signedText({ path, operation, user, token, expiration }: SignedFields): string {
  const text = `${path}:${operation}:${user}:${token}`;
  return expiration === undefined ? text : `${text}:${expiration}`;
}

/** The signature with a SHA-256 digest: `v1_` and unpadded base64. */
export function formatSignature(digest: Uint8Array): string {
  return `v1_${digest.toBase64({ omitPadding: true })}`;
}

/** Compares texts in a time that depends on the lengths alone. */
export function equalConstantTime(a: string, b: string): boolean {
  const encoder = new TextEncoder();
  const left = encoder.encode(a);
  const right = encoder.encode(b);
  let difference = left.length ^ right.length;
  for (let i = 0; i < left.length; i++) difference |= (left[i] ?? 0) ^ (right[i] ?? 0);
  return difference === 0;
}
