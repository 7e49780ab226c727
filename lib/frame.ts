/**
 * What every framing is made of: its interface, its two errors, and the buffer
 * in which a frame waits for its end. `framing.ts` is the way in.
 *
 * @module
 */

/** A rule that says where one message ends and the next begins. */
export interface Framing {
  /** The name that `parseFraming` knows it by. */
  readonly name: string;
  /** Longest message, in bytes. */
  readonly maxFrameLength?: number;
  /**
   * Puts a message into the form that it has on the wire.
   *
   * @param payload The message.
   * @returns Prefix, message and trailer in one piece, for one write.
   * @throws {FrameTooLongError} If the message is over the limit.
   * @throws {Deno.errors.InvalidData} If the framing cannot carry it.
   */
  encode(payload: Uint8Array): Uint8Array<ArrayBuffer>;
  /**
   * Tells how long that form will be.
   *
   * @param payload The message.
   * @returns Its length on the wire, in bytes.
   * @throws {FrameTooLongError} If the message is over the limit.
   * @throws {Deno.errors.InvalidData} If the framing cannot carry it.
   */
  encodedLength(payload: Uint8Array): number;
  /**
   * Writes that form into a buffer that has room for it, and is zero there.
   *
   * @param payload The message, whose length `encodedLength` has accepted.
   * @param buffer The buffer.
   * @param start Where in it the form begins.
   */
  encodeInto(payload: Uint8Array, buffer: Uint8Array, start: number): void;
  /**
   * Starts reading one stream.
   *
   * @returns A decoder with nothing in it yet.
   */
  createDecoder(): FrameDecoder;
}

/** Reads one stream of frames. After it has thrown, it only throws again. */
export interface FrameDecoder {
  /**
   * Takes the next bytes of the stream and gives the frames that they end.
   *
   * Nothing happens before the result is iterated, and it has to be iterated
   * to its end before the next push: that is how the frames before a bad one
   * come first. A frame that lies whole in the chunk is a view on it, without a
   * copy; it changes if the chunk does.
   *
   * @param chunk The bytes, cut wherever the network cut them.
   * @returns The whole frames, those before a bad one too.
   * @throws {FrameTooLongError} If a frame is over the limit.
   * @throws {Deno.errors.InvalidData} If the bytes are not of this framing.
   */
  push(chunk: Uint8Array): Iterable<Uint8Array>;
  /**
   * Finds the frames in a chunk that whoever sends them back can send as they
   * lie there, without taking them out and encoding them again.
   *
   * Pushes nothing: what is before them and after them is still to be pushed,
   * in this order. A framing that has nothing to gain by it has no such method.
   *
   * @param chunk The bytes that come next.
   * @returns Where the first of these frames begins and the last one ends; the
   * same twice if there are none.
   */
  verbatim?(chunk: Uint8Array): [start: number, end: number];
  /**
   * Ends the stream.
   *
   * @returns The last frame, where a framing lets the end of the stream end it.
   * @throws {TruncatedFrameError} If the stream ends inside a frame.
   */
  finish(): Iterable<Uint8Array>;
}

/**
 * Completes a framing: `encode` follows from the rest.
 *
 * @param parts What is particular to the framing.
 * @returns The framing.
 */
export function framingOf(parts: Omit<Framing, "encode">): Framing {
  return {
    ...parts,
    encode(payload) {
      const frame = new Uint8Array(parts.encodedLength(payload));
      parts.encodeInto(payload, frame, 0);
      return frame;
    },
  };
}

/**
 * A frame is longer than its limit, or would be.
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 *
 * const error = new FrameTooLongError(70_000, 65_536);
 * assertEquals([error.length, error.limit], [70_000, 65_536]);
 * ```
 */
export class FrameTooLongError extends RangeError {
  /** Length of the frame, in bytes: as declared, or as far as it was read. */
  readonly length: number;
  /** The most that a frame may have, in bytes. */
  readonly limit: number;

  /**
   * Makes the error and its message.
   *
   * @param length Length of the frame, in bytes.
   * @param limit The most that a frame may have, in bytes.
   */
  constructor(length: number, limit: number) {
    super(`The frame is too long: ${length} bytes, the limit is ${limit}`);
    this.name = "FrameTooLongError";
    this.length = length;
    this.limit = limit;
  }
}

/**
 * The stream ended inside a frame.
 *
 * @example
 * ```ts
 * import { assertInstanceOf } from "@std/assert";
 *
 * const error = new TruncatedFrameError(3, 512);
 * assertInstanceOf(error, Deno.errors.UnexpectedEof);
 * ```
 */
export class TruncatedFrameError extends Deno.errors.UnexpectedEof {
  /** How many bytes came, of the prefix or else of what follows it. */
  readonly have: number;
  /** How many it takes; where that is not known yet, one more than came. */
  readonly want: number;

  /**
   * Makes the error and its message.
   *
   * @param have How many bytes came.
   * @param want How many it takes.
   */
  constructor(have: number, want: number) {
    super(`The stream ended inside a frame: after ${have} of ${want} bytes`);
    this.have = have;
    this.want = want;
  }
}

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
