/** Words of the guest's kernel command line that do not depend on the VMM. */

const KERNEL_WORD = /^[!-~]+$/;

/** What every guest gets, whatever runs it. */
export const GUEST_WORDS: readonly string[] = [
  "cryptomgr.notests",
  // A huge page that is touched is 2 MiB of private memory in every clone.
  "transparent_hugepage=never",
];

/**
 * The words for the guest's init as they are.
 *
 * @throws {Error} When a word has a space or a control character.
 */
export function checkedWords(words: readonly string[]): readonly string[] {
  const bad = words.find((word) => !KERNEL_WORD.test(word));
  if (bad !== undefined) throw new Error(`Not a kernel parameter: '${bad}'`);
  return words;
}
