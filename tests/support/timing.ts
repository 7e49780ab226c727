/**
 * Times, on machines that have other things to do as well.
 *
 * @module
 */

/** Waits for so many milliseconds, where time itself is what is tested. */
export function pause(milliseconds: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, milliseconds));
}

/**
 * Measures again, up to ten times, until it is quick enough. A busy machine
 * may be late, but hardly ten times in turn; what is too slow by itself is
 * too slow each time.
 */
export async function assertQuick(
  most: number,
  measure: () => Promise<number>,
): Promise<void> {
  const times: number[] = [];
  while (times.length < 10) {
    times.push(await measure());
    if (times.at(-1)! <= most) return;
  }
  const all = times.map((time) => `${time.toFixed(0)} ms`).join(", ");
  throw new Error(`It took ${all}; ${most} ms would be right`);
}

/** The one in the middle. */
export function median(times: readonly number[]): number {
  return times.toSorted((a, b) => a - b)[times.length >> 1];
}
