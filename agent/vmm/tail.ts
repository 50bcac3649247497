/** The end of a log for an error message: short, and harmless whatever a guest wrote into it. */

const MAX_CHARS = 4000;

/** Terminal sequences, then every control character but tab and line feed. */
// deno-lint-ignore no-control-regex
const HARMFUL = /\x1b\[[0-9;?]*[A-Za-z]|[\x00-\x08\x0b-\x1f\x7f-\x9f]/g;

/** The last lines of a text without control characters and empty lines, at most 4000 characters. */
export function lastLines(text: string, lines: number): string {
  return text
    .slice(-4 * MAX_CHARS)
    .split(/[\r\n]+/)
    .map((line) => line.replace(HARMFUL, "").trimEnd())
    .filter((line) => line !== "")
    .slice(-lines)
    .join("\n")
    .slice(-MAX_CHARS);
}

/** The last lines of a file; empty when there is none. */
export async function fileTail(path: string, lines: number): Promise<string> {
  try {
    using file = await Deno.open(path, { read: true });
    const { size } = await file.stat();
    await file.seek(Math.max(0, size - 4 * MAX_CHARS), Deno.SeekMode.Start);
    const buffer = new Uint8Array(4 * MAX_CHARS);
    const length = await file.read(buffer) ?? 0;
    return lastLines(new TextDecoder().decode(buffer.subarray(0, length)), lines);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return "";
    throw error;
  }
}
