/**
 * A wait that can be ended.
 *
 * @module
 */

/**
 * Waits, or goes on at once when the signal is aborted.
 *
 * @param milliseconds How long to wait.
 * @param signal What ends the wait.
 *
 * @example
 * ```ts
 * await pause(60_000, AbortSignal.abort());
 * ```
 */
export async function pause(
  milliseconds: number,
  signal?: AbortSignal,
): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  const timer = setTimeout(resolve, milliseconds);
  const wake = () => resolve();
  signal?.addEventListener("abort", wake, { once: true });
  if (signal?.aborted) wake();
  await promise;
  clearTimeout(timer);
  signal?.removeEventListener("abort", wake);
}
