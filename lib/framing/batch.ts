/**
 * `FrameBatch`: frames put together for one write.
 *
 * @module
 */
import type { Framing } from "../framing.ts";

/** From how many bytes on a batch is worth a write of its own. */
const FULL_BATCH = 65_536;
/**
 * From how many frames on, however short: a chunk can hold 262,144 empty lines,
 * which take long enough for others to notice.
 */
const MANY_FRAMES = 1024;

/**
 * Frames that wait for one write, encoded into one buffer. An array of encoded
 * frames costs an allocation each: for lines of 64 bytes, half of the time
 * that a server has, and memory that is given back late.
 */
export class FrameBatch {
  #framing: Framing;
  #buffer = new Uint8Array(0);
  #length = 0;
  #count = 0;
  /** Length of the last batch, in bytes: the next is likely to be as long. */
  #usual = 0;

  constructor(framing: Framing) {
    this.#framing = framing;
  }

  /** Adds a message; it is copied. Tells whether that is enough for one write. */
  add(payload: Uint8Array): boolean {
    let end = this.#framing.encodeInto(payload, this.#buffer, this.#length);
    if (end > this.#buffer.length) {
      const buffer = new Uint8Array(
        Math.max(end, 2 * this.#buffer.length, this.#usual),
      );
      buffer.set(this.#buffer.subarray(0, this.#length));
      this.#buffer = buffer;
      end = this.#framing.encodeInto(payload, buffer, this.#length);
    }
    this.#length = end;
    return end >= FULL_BATCH || ++this.#count >= MANY_FRAMES;
  }

  /** Gives the bytes away, which nothing changes from now on; starts anew. */
  take(): Uint8Array<ArrayBuffer> {
    const frames = this.#buffer.subarray(0, this.#length);
    this.#usual = this.#length;
    this.#buffer = new Uint8Array(0);
    this.#length = 0;
    this.#count = 0;
    return frames;
  }
}
