/**
 * A wait for a peer that has an end.
 *
 * @module
 */

/**
 * Tells when nothing has come for too long. One timer serves for all that
 * comes; what is done with it takes as long as it takes.
 *
 * @example
 * ```ts
 * const { promise, resolve } = Promise.withResolvers<void>();
 * using silence = new Silence(20, resolve);
 * await promise;
 * if (!silence.over) throw new Error("Nothing has come");
 * ```
 */
export class Silence implements Disposable {
  /** Whether it has lasted too long. */
  over = false;
  #since = performance.now();
  #ended = false;
  #timeout: number;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #end: () => void;

  /**
   * Begins.
   *
   * @param timeout How long it may last, in milliseconds; `Infinity` is for ever.
   * @param end Called when it has lasted too long.
   */
  constructor(timeout: number, end: () => void) {
    this.#timeout = timeout;
    this.#end = end;
    if (timeout < Infinity) this.#check();
  }

  /**
   * Takes note that something has come, which is now dealt with.
   *
   * @param time When: `performance.now()`, in milliseconds.
   */
  endedAt(time: number): void {
    this.#since = time;
    this.#ended = true;
  }

  /** Takes note that whoever dealt with it waits for more. */
  beginsAgain(): void {
    this.#ended = false;
  }

  /** Stops the clock. */
  [Symbol.dispose](): void {
    clearTimeout(this.#timer);
  }

  #check(): void {
    const now = performance.now();
    // More may have come since then, and wait to be asked for.
    if (this.#ended) this.#since = now;
    const left = this.#since + this.#timeout - now;
    this.over = left <= 0;
    if (this.over) this.#end();
    else this.#timer = setTimeout(() => this.#check(), left);
  }
}
