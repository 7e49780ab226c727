/**
 * One line on a terminal that says how far a long piece of work is.
 *
 * @module
 */
import { writeToStandardError } from "./log.ts";

const INTERVAL = 200;

/**
 * Shows a line on standard error, again and again in the same place, until it
 * is disposed. Where standard error is no terminal it shows nothing.
 *
 * @example
 * ```ts
 * let shown = "";
 * {
 *   using _line = new ProgressLine(() => "3 of 10", (text) => shown += text);
 * }
 * // It was gone before it had to be shown.
 * if (shown !== "\r\x1b[K") throw new Error(shown);
 * ```
 */
export class ProgressLine implements Disposable {
  #timer: ReturnType<typeof setInterval> | undefined;
  #write: ((text: string) => void) | undefined;

  /**
   * Starts showing.
   *
   * @param describe Gives the line, which is ours and nothing of a peer's.
   * @param write Where it goes, if not to standard error.
   */
  constructor(describe: () => string, write?: (text: string) => void) {
    this.#write = write ??
      (Deno.stderr.isTerminal() ? writeToStandardError : undefined);
    if (this.#write === undefined) return;
    const show = () => this.#write!(`\r\x1b[K${describe()}`);
    this.#timer = setInterval(show, INTERVAL);
  }

  /** Takes the line away. */
  [Symbol.dispose](): void {
    clearInterval(this.#timer);
    this.#write?.("\r\x1b[K");
  }
}
