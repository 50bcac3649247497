/** A test that cannot hang. */

/** Registers a test that fails after `limitMs`: a machine that stands still must not stop the run. */
export function test(name: string, fn: () => Promise<void>, limitMs: number = 120_000): void {
  Deno.test({ name, fn, timeout: limitMs });
}
