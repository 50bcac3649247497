/** `@std/assert` over node:assert, until JSR is reachable: point the import at `jsr:@std/assert@^1` to switch. */
import strict from "node:assert/strict";

/** Thrown by a failed assertion. */
export const AssertionError: typeof strict.AssertionError = strict.AssertionError;

/** Fails unless `value` is truthy. */
export function assert(value: unknown, message?: string): asserts value {
  strict.ok(value, message);
}

/** Deep, strict equality. */
export function assertEquals<T>(actual: T, expected: T, message?: string): void {
  strict.deepStrictEqual(actual, expected, message);
}

/** Deep, strict inequality. */
export function assertNotEquals<T>(actual: T, expected: T, message?: string): void {
  strict.notDeepStrictEqual(actual, expected, message);
}

/** Fails unless the text contains `expected`. */
export function assertStringIncludes(actual: string, expected: string, message?: string): void {
  strict.ok(actual.includes(expected), message ?? `Expected '${actual}' to contain '${expected}'`);
}

/** Fails unless the text matches. */
export function assertMatch(actual: string, expected: RegExp, message?: string): void {
  strict.match(actual, expected, message);
}

/** Fails when `value` is null or undefined. */
export function assertExists<T>(value: T, message?: string): asserts value is NonNullable<T> {
  strict.ok(value !== undefined && value !== null, message ?? "Expected a value");
}

/** Class of an expected error. */
// deno-lint-ignore no-explicit-any
export type ErrorClass<E extends Error = Error> = new (...args: any[]) => E;

/** Fails unless `error` is of the class and its message contains the text. */
export function assertIsError<E extends Error = Error>(
  error: unknown,
  errorClass?: ErrorClass<E>,
  includes?: string,
): asserts error is E {
  strict.ok(error instanceof (errorClass ?? Error), `Expected an error of the class, got ${error}`);
  if (includes !== undefined) assertStringIncludes((error as Error).message, includes);
}

/** Fails unless `fn` throws; returns what it threw. */
export function assertThrows<E extends Error = Error>(
  fn: () => unknown,
  errorClass?: ErrorClass<E>,
  includes?: string,
): E {
  try {
    fn();
  } catch (error) {
    assertIsError(error, errorClass, includes);
    return error;
  }
  throw new AssertionError({ message: "Expected function to throw" });
}

/** Fails unless the promise rejects; resolves to what it rejected with. */
export async function assertRejects<E extends Error = Error>(
  fn: () => PromiseLike<unknown>,
  errorClass?: ErrorClass<E>,
  includes?: string,
): Promise<E> {
  try {
    await fn();
  } catch (error) {
    assertIsError(error, errorClass, includes);
    return error;
  }
  throw new AssertionError({ message: "Expected function to reject" });
}

/** Fails always. */
export function fail(message?: string): never {
  throw new AssertionError({ message: message ?? "Failed" });
}
