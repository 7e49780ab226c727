// `FrameBatch`: frames put together for one write.
import type { Framing } from "../framing.ts";

const FULL_BATCH = 65_536; // bytes
/** Beyond it, short frames take long enough for other clients to notice. */
const MANY_FRAMES = 1024;

/** Encodes frames into one buffer: an array costs an allocation for each. */
export class FrameBatch {
  #buffer = new Uint8Array(0);
  #length = 0;
  #count = 0;
  #usual = 0; // length of the last batch: the next is likely to be as long

  constructor(readonly framing: Framing) {}

  /** Adds a copy of a message. Tells whether that is enough for one write. */
  add(payload: Uint8Array): boolean {
    const end = this.framing.encodeInto(payload, this.#buffer, this.#length);
    if (end > this.#buffer.length) {
      const size = Math.max(end, 2 * this.#buffer.length, this.#usual);
      const grown = new Uint8Array(size);
      grown.set(this.#buffer);
      this.#buffer = grown;
      return this.add(payload);
    }
    this.#length = end;
    return end >= FULL_BATCH || ++this.#count >= MANY_FRAMES;
  }

  /** Gives the bytes, which nothing changes from now on, and starts anew. */
  take(): Uint8Array<ArrayBuffer> {
    const frames = this.#buffer.subarray(0, this.#length);
    this.#usual = this.#length;
    this.#buffer = new Uint8Array(0);
    this.#length = this.#count = 0;
    return frames;
  }
}
