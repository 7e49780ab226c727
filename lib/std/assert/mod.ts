/**
 * Stand-in for `@std/assert`, for machines that reach no registry: the same
 * names and signatures, done by `node:assert`, which Deno ships.
 *
 * @module
 */
import nodeAssert from "node:assert/strict";

// deno-lint-ignore no-explicit-any
type ErrorClass<E extends Error> = abstract new (...args: any[]) => E;

/** What every failed assertion throws. */
export const AssertionError: typeof nodeAssert.AssertionError =
  nodeAssert.AssertionError;

/**
 * Fails unless a condition is truthy.
 *
 * @param condition What must hold.
 * @param message What to say where it does not.
 */
export function assert(
  condition: unknown,
  message = "",
): asserts condition {
  nodeAssert.ok(condition, message || undefined);
}

/**
 * Fails unless two values are equal all the way down.
 *
 * @param actual The value at hand.
 * @param expected The value wanted.
 * @param message What to say where they differ.
 */
export function assertEquals<T>(
  actual: T,
  expected: T,
  message?: string,
): void {
  nodeAssert.deepStrictEqual(actual, expected, message);
}

/**
 * Fails unless two values are one and the same.
 *
 * @param actual The value at hand.
 * @param expected The value wanted.
 * @param message What to say where they differ.
 */
export function assertStrictEquals<T>(
  actual: unknown,
  expected: T,
  message?: string,
): asserts actual is T {
  nodeAssert.strictEqual(actual, expected, message);
}

/**
 * Fails unless a value was made by a class.
 *
 * @param actual The value at hand.
 * @param expectedType The class wanted.
 * @param message What to say otherwise.
 */
export function assertInstanceOf<T>(
  actual: unknown,
  // deno-lint-ignore no-explicit-any
  expectedType: abstract new (...args: any[]) => T,
  message = "",
): asserts actual is T {
  const name = actual instanceof Error
    ? actual.constructor.name
    : typeof actual;
  nodeAssert.ok(
    actual instanceof expectedType,
    message || `Expected a ${expectedType.name}, got a ${name}: ${actual}`,
  );
}

/**
 * Fails unless one text contains another.
 *
 * @param actual The text at hand.
 * @param expected The part that it must contain.
 * @param message What to say otherwise.
 */
export function assertStringIncludes(
  actual: string,
  expected: string,
  message?: string,
): void {
  nodeAssert.ok(
    actual.includes(expected),
    message ??
      `Expected ${JSON.stringify(actual)} to contain ${
        JSON.stringify(expected)
      }`,
  );
}

/**
 * Fails unless a text matches a pattern.
 *
 * @param actual The text at hand.
 * @param expected The pattern that it must match.
 * @param message What to say otherwise.
 */
export function assertMatch(
  actual: string,
  expected: RegExp,
  message?: string,
): void {
  nodeAssert.match(actual, expected, message);
}

function assertIsError<E extends Error>(
  error: unknown,
  errorClass: ErrorClass<E> | string | undefined,
  messageIncludes = "",
): void {
  if (typeof errorClass !== "function") return;
  assertInstanceOf(error, errorClass);
  assertStringIncludes(error.message, messageIncludes);
}

/**
 * Fails unless a function throws.
 *
 * @param fn What to call.
 * @param message What to say where it does not.
 * @returns What it threw.
 */
export function assertThrows(fn: () => unknown, message?: string): unknown;
/**
 * Fails unless a function throws an error of a class.
 *
 * @param fn What to call.
 * @param errorClass The class that the error must be of.
 * @param messageIncludes What the error's message must contain.
 * @returns The error.
 */
export function assertThrows<E extends Error = Error>(
  fn: () => unknown,
  errorClass: ErrorClass<E>,
  messageIncludes?: string,
): E;
export function assertThrows<E extends Error = Error>(
  fn: () => unknown,
  errorClassOrMessage?: ErrorClass<E> | string,
  messageIncludes?: string,
): unknown {
  try {
    fn();
  } catch (error) {
    assertIsError(error, errorClassOrMessage, messageIncludes);
    return error;
  }
  throw new AssertionError({ message: "Expected function to throw" });
}

/**
 * Fails unless a promise is rejected.
 *
 * @param fn What to call; it returns the promise.
 * @param message What to say where it is not.
 * @returns What it was rejected with.
 */
export function assertRejects(
  fn: () => PromiseLike<unknown>,
  message?: string,
): Promise<unknown>;
/**
 * Fails unless a promise is rejected with an error of a class.
 *
 * @param fn What to call; it returns the promise.
 * @param errorClass The class that the error must be of.
 * @param messageIncludes What the error's message must contain.
 * @returns The error.
 */
export function assertRejects<E extends Error = Error>(
  fn: () => PromiseLike<unknown>,
  errorClass: ErrorClass<E>,
  messageIncludes?: string,
): Promise<E>;
export async function assertRejects<E extends Error = Error>(
  fn: () => PromiseLike<unknown>,
  errorClassOrMessage?: ErrorClass<E> | string,
  messageIncludes?: string,
): Promise<unknown> {
  try {
    await fn();
  } catch (error) {
    assertIsError(error, errorClassOrMessage, messageIncludes);
    return error;
  }
  throw new AssertionError({ message: "Expected function to reject" });
}
