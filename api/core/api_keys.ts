/** What an API key looks like. */
import { isApiKey } from "@wrenn/common";

const E2B_KEY = /^e2b_[0-9a-f]{40}$/;
/** Letters of a key that may be shown: the kind and enough to tell two apart. */
const SHOWN = 8;

/** True for a key of ours (`wrn_` + 32 letters or digits) or of E2B's shape (`e2b_` + 40 hex digits). */
export function isAcceptedKey(text: string): boolean {
  return isApiKey(text) || E2B_KEY.test(text);
}

/** The part of a key that lists show. */
export function keyPrefix(key: string): string {
  return key.slice(0, SHOWN);
}
