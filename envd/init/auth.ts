/** Who may ask what: the sandbox's token in a header, or a signature on a file URL. */
import { WrennError } from "@wrenn/common/errors";
import {
  equalConstantTime,
  type FileOperation,
  formatSignature,
  signedText,
} from "../core/signature.ts";
import type { GuestState } from "./state.ts";

/** Header that carries the sandbox's token. */
export const TOKEN_HEADER = "x-access-token";

/** Words that E2B's clients and tests compare. */
const WORDS = {
  missing: "missing signature query parameter",
  invalid: "invalid signature",
  expired: "signature is already expired",
  mismatch: "access token present in header but does not match",
  token: "unauthorized access, please provide a valid access token or method signing if supported",
} as const;

/** Paths that prove themselves otherwise, or need no proof. */
const OPEN: ReadonlySet<string> = new Set(["GET /health", "POST /init"]);
const SIGNED: ReadonlyMap<string, FileOperation> = new Map([
  ["GET /files", "read"],
  ["POST /files", "write"],
]);

/**
 * Passes a request that may go on.
 *
 * @param nowSeconds Time for the expiry of signatures.
 * @throws {WrennError} `unauthorized`.
 */
export async function authorize(
  request: Request,
  url: URL,
  state: GuestState,
  nowSeconds: number,
): Promise<void> {
  const route = `${request.method} ${url.pathname}`;
  if (OPEN.has(route)) return;
  const given = request.headers.get(TOKEN_HEADER);
  const operation = SIGNED.get(route);
  const token = state.accessToken;
  if (operation && given === null && !state.sealed && token !== undefined) {
    return await checkSignature(url.searchParams, operation, token, nowSeconds);
  }
  requireToken(state, given, operation ? WORDS.mismatch : WORDS.token);
}

/**
 * Passes a caller who shows the guest's token, or anyone when it has none.
 *
 * @throws {WrennError} `unauthorized`, always while the guest is sealed.
 */
export function requireToken(
  { sealed, accessToken }: GuestState,
  given: string | null,
  words: string = WORDS.token,
): void {
  if (sealed) throw new WrennError("unauthorized", "The sandbox is not ready");
  if (accessToken === undefined) return;
  if (given !== null && equalConstantTime(given, accessToken)) return;
  throw new WrennError("unauthorized", words);
}

/** Signature first, expiry second, as E2B's clients compare the messages. */
async function checkSignature(
  query: URLSearchParams,
  operation: FileOperation,
  token: string,
  nowSeconds: number,
): Promise<void> {
  const signature = query.get("signature");
  if (!signature) throw new WrennError("unauthorized", WORDS.missing);
  const expires = query.get("signature_expiration");
  const expiration = expires === null || !/^\d{1,15}$/.test(expires) ? undefined : Number(expires);
  const expected = await fileSignature({
    path: query.get("path") ?? "",
    operation,
    user: query.get("username") ?? "",
    token,
    expiration,
  });
  if ((expires !== null && expiration === undefined) || !equalConstantTime(signature, expected)) {
    throw new WrennError("unauthorized", WORDS.invalid);
  }
  if (expiration !== undefined && expiration < nowSeconds) {
    throw new WrennError("unauthorized", WORDS.expired);
  }
}

/** The signature that a URL with these fields must carry. */
export async function fileSignature(
  fields: Parameters<typeof signedText>[0],
): Promise<string> {
  const text = new TextEncoder().encode(signedText(fields));
  return formatSignature(new Uint8Array(await crypto.subtle.digest("SHA-256", text)));
}
