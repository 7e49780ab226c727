/**
 * For the modules that still import it: framing.ts, and the buffer that
 * proxy_protocol.ts uses.
 *
 * @module
 */
export {
  type FrameDecoder,
  FrameTooLongError,
  type Framing,
  TruncatedFrameError,
} from "./framing.ts";

/**
 * The beginning of a frame, kept until its end comes.
 *
 * Grows with what has come, never with what a peer says will come: a declared
 * length costs nothing until its bytes are there.
 */
export class PartialFrame {
  #buffer = new Uint8Array(0);
  /** How many bytes there are. */
  length = 0;

  /** The bytes so far. */
  get bytes(): Uint8Array<ArrayBuffer> {
    return this.#buffer.subarray(0, this.length);
  }

  /**
   * Adds bytes at the end.
   *
   * @param chunk The bytes; they are copied.
   * @param most The most that this frame can come to, in bytes.
   */
  append(chunk: Uint8Array, most: number): void {
    const length = this.length + chunk.length;
    if (length > this.#buffer.length) {
      const capacity = Math.min(2 * length, Math.max(most, length));
      const buffer = new Uint8Array(capacity);
      buffer.set(this.bytes);
      this.#buffer = buffer;
    }
    this.#buffer.set(chunk, this.length);
    this.length = length;
  }

  /**
   * Gives the bytes away and starts anew.
   *
   * @returns The bytes, which nothing changes from now on.
   */
  take(): Uint8Array<ArrayBuffer> {
    const { bytes } = this;
    this.#buffer = new Uint8Array(0);
    this.length = 0;
    return bytes;
  }
}
