/**
 * Frames put together for one write.
 *
 * @module
 */
import type { Framing } from "./frame.ts";

/** From how many bytes on a batch is worth a write of its own. */
const FULL = 65_536;
/**
 * From how many frames on, however short: a chunk can hold 262,144 empty lines,
 * which take long enough for others to notice.
 */
const MANY = 1024;

/**
 * Frames that wait for one write, encoded into one buffer. An array of encoded
 * frames costs an allocation each: for lines of 64 bytes, half of the time
 * that a server has, and memory that is given back late.
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 * import { parseFraming } from "./framing.ts";
 *
 * const batch = new FrameBatch(parseFraming("u8"));
 * batch.add(new Uint8Array([104, 105]));
 * batch.add(new Uint8Array([33]));
 * assertEquals(batch.take(), new Uint8Array([2, 104, 105, 1, 33]));
 * assertEquals(batch.take().length, 0);
 * ```
 */
export class FrameBatch {
  #framing: Framing;
  #buffer = new Uint8Array(0);
  #length = 0;
  #count = 0;
  /** Length of the last batch, in bytes: the next is likely to be as long. */
  #usual = 0;

  /**
   * Makes a batch without frames.
   *
   * @param framing What marks the frames.
   */
  constructor(framing: Framing) {
    this.#framing = framing;
  }

  /**
   * Adds a frame.
   *
   * @param payload The message; it is copied.
   * @returns Whether that is enough for one write.
   * @throws {FrameTooLongError} If the message is over the limit.
   * @throws {Deno.errors.InvalidData} If the framing cannot carry it.
   */
  add(payload: Uint8Array): boolean {
    const end = this.#length + this.#framing.encodedLength(payload);
    if (end > this.#buffer.length) this.#grow(end);
    this.#framing.encodeInto(payload, this.#buffer, this.#length);
    this.#length = end;
    return end >= FULL || ++this.#count >= MANY;
  }

  /**
   * Gives the frames away, and starts anew.
   *
   * @returns Their bytes, which nothing changes from now on.
   */
  take(): Uint8Array<ArrayBuffer> {
    const frames = this.#buffer.subarray(0, this.#length);
    this.#usual = this.#length;
    this.#buffer = new Uint8Array(0);
    this.#length = 0;
    this.#count = 0;
    return frames;
  }

  #grow(least: number): void {
    const buffer = new Uint8Array(
      Math.max(least, 2 * this.#buffer.length, this.#usual),
    );
    buffer.set(this.#buffer.subarray(0, this.#length));
    this.#buffer = buffer;
  }
}
