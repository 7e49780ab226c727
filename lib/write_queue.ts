/**
 * Bytes on their way to a slow place.
 *
 * @module
 */
import { turn } from "./pause.ts";
import { writeAll, type Writer } from "./stream.ts";

/** The most that may wait, in bytes; then whoever has more waits as well. */
const LIMIT = 1_048_576;

/**
 * Takes bytes while others are still being written. A write to a pipe goes
 * through another thread in Deno, and takes longer than the network needs for
 * the next piece: who waits for each write gets one datagram in five.
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 *
 * let written = "";
 * const queue = new WriteQueue({
 *   write(bytes) {
 *     written += new TextDecoder().decode(bytes);
 *     return Promise.resolve(bytes.length);
 *   },
 * });
 * await queue.push(new TextEncoder().encode("hel"));
 * await queue.push(new TextEncoder().encode("lo"));
 * await queue.drained();
 * assertEquals(written, "hello");
 * ```
 */
export class WriteQueue {
  #to: Writer;
  #buffer = new Uint8Array(0);
  #length = 0;
  /** What was written last; the next bytes but one go there. */
  #spare = new Uint8Array(0);
  #writing: Promise<void> | undefined;
  #failed = new AbortController();

  /**
   * Makes a queue with nothing in it.
   *
   * @param to Where to write.
   */
  constructor(to: Writer) {
    this.#to = to;
  }

  /** Aborted when a write fails, with the error as its reason. */
  get failed(): AbortSignal {
    return this.#failed.signal;
  }

  /**
   * Adds bytes, which are copied.
   *
   * @param bytes What to write.
   * @returns A promise where there is no room yet.
   * @throws {unknown} If a write has failed.
   */
  push(bytes: Uint8Array): Promise<void> | void {
    this.failed.throwIfAborted();
    if (bytes.length === 0) return;
    const length = this.#length + bytes.length;
    if (this.#writing !== undefined && length > LIMIT) {
      return this.#writing.then(() => this.push(bytes));
    }
    if (length > this.#buffer.length) this.#grow(length);
    this.#buffer.set(bytes, this.#length);
    this.#length = length;
    this.#writing ??= this.#write();
  }

  /**
   * Waits until nothing is left to be written.
   *
   * @throws {unknown} If a write has failed.
   */
  async drained(): Promise<void> {
    await this.#writing;
    this.failed.throwIfAborted();
  }

  #grow(least: number): void {
    const buffer = new Uint8Array(Math.max(least, 2 * this.#buffer.length));
    buffer.set(this.#buffer.subarray(0, this.#length));
    this.#buffer = buffer;
  }

  async #write(): Promise<void> {
    try {
      while (this.#length > 0) {
        const bytes = this.#buffer.subarray(0, this.#length);
        [this.#buffer, this.#spare] = [this.#spare, this.#buffer];
        this.#length = 0;
        await writeAll(this.#to, bytes);
        if (this.#length > 0) await turn();
      }
    } catch (error) {
      this.#failed.abort(error);
    }
    this.#writing = undefined;
  }
}
