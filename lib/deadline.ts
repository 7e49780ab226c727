/**
 * One moment by which a whole piece of work has to be done.
 *
 * @module
 */

/**
 * Aborts its signal when the time is over. Disposing it stops the clock.
 *
 * @example
 * ```ts
 * import { assertEquals, assertRejects } from "@std/assert";
 *
 * using deadline = new Deadline(20);
 * const { promise, reject } = Promise.withResolvers<void>();
 * const { signal } = deadline;
 * signal.addEventListener("abort", () => reject(signal.reason));
 * await assertRejects(() => promise, Deno.errors.TimedOut, "within 0.02s");
 * assertEquals(deadline.remaining, 0);
 * ```
 */
export class Deadline implements Disposable {
  /** Aborted with a `Deno.errors.TimedOut` when the time is over. */
  readonly signal: AbortSignal;
  #end: number;
  #timer: ReturnType<typeof setTimeout>;

  /**
   * Starts the clock.
   *
   * @param milliseconds How much time there is.
   * @param within Another signal that ends it, earlier.
   */
  constructor(milliseconds: number, within?: AbortSignal) {
    const over = new AbortController();
    this.signal = within === undefined
      ? over.signal
      : AbortSignal.any([within, over.signal]);
    this.#end = performance.now() + milliseconds;
    const seconds = Number((milliseconds / 1000).toPrecision(3));
    this.#timer = setTimeout(() => {
      const message = `nothing came back within ${seconds}s`;
      over.abort(new Deno.errors.TimedOut(message));
    }, milliseconds);
  }

  /** How much time is left, in milliseconds. */
  get remaining(): number {
    return Math.max(0, this.#end - performance.now());
  }

  /** Stops the clock: the signal is not aborted any more. */
  [Symbol.dispose](): void {
    clearTimeout(this.#timer);
  }
}
