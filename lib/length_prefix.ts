/**
 * Framings that say a frame's length before the frame. `framing.ts` is the way
 * in, and has the picture.
 *
 * @module
 */
import {
  type FrameDecoder,
  FrameTooLongError,
  type Framing,
  framingOf,
  PartialFrame,
  TruncatedFrameError,
} from "./frame.ts";

/** How a length is written before a frame. */
export interface Prefix {
  /** The longest frame that this prefix can announce, in bytes. */
  readonly maxLength: number;
  /** What follows the payload. */
  readonly trailer: Uint8Array;
  /**
   * Tells how long a prefix will be.
   *
   * @param length Length of the payload, in bytes.
   * @returns Length of the prefix, in bytes.
   */
  size(length: number): number;
  /**
   * Writes a prefix.
   *
   * @param length Length of the payload, in bytes.
   * @param buffer Where to write.
   * @param start Where in it the prefix begins.
   */
  write(length: number, buffer: Uint8Array, start: number): void;
  /**
   * Starts reading one stream.
   *
   * @param limit Largest payload, in bytes.
   * @returns A reader of prefixes.
   */
  createReader(limit: number): PrefixReader;
}

/** Reads the prefixes of one stream. */
export interface PrefixReader {
  /** The length that the last prefix announced, in bytes. */
  payloadLength: number;
  /**
   * Tells how long a prefix is.
   *
   * @param have How many of its bytes are there.
   * @returns Its length, in bytes, or the least that it can be.
   */
  size(have: number): number;
  /**
   * Reads a prefix and sets `payloadLength`.
   *
   * @param bytes Where the prefix is.
   * @param start Where in them it starts.
   * @returns Where the payload starts, or -1 if the prefix is not all there.
   * @throws {FrameTooLongError} If the length is over the limit.
   */
  read(bytes: Uint8Array, start: number): number;
}

/** Decodes frames that come after their length. */
export class LengthPrefixDecoder implements FrameDecoder {
  #reader: PrefixReader;
  #trailer: Uint8Array;
  #partial = new PartialFrame();
  #failure: unknown;

  /**
   * Starts with no bytes.
   *
   * @param reader Reads the prefixes.
   * @param trailer What follows each payload.
   */
  constructor(reader: PrefixReader, trailer: Uint8Array) {
    this.#reader = reader;
    this.#trailer = trailer;
  }

  /** Takes the next bytes, see {@linkcode FrameDecoder}. */
  *push(chunk: Uint8Array): Generator<Uint8Array, void> {
    if (this.#failure !== undefined) throw this.#failure;
    try {
      let start = 0;
      if (this.#partial.length > 0) {
        start = this.#fill(chunk);
        if (start === -1) return;
        yield this.#takePartial();
      }
      const reader = this.#reader;
      const trailerLength = this.#trailer.length;
      while (start < chunk.length) {
        const payload = reader.read(chunk, start);
        if (payload === -1) {
          this.#partial.append(chunk.subarray(start), reader.size(0));
          return;
        }
        const end = payload + reader.payloadLength;
        if (end + trailerLength > chunk.length) {
          const most = this.#wholeLength(payload - start);
          this.#partial.append(chunk.subarray(start), most);
          return;
        }
        this.#checkTrailer(chunk, end);
        start = end + trailerLength;
        yield chunk.subarray(payload, end);
      }
    } catch (error) {
      this.#failure = error;
      throw error;
    }
  }

  /** Ends the stream, see {@linkcode FrameDecoder}. */
  finish(): Uint8Array[] {
    if (this.#failure !== undefined) throw this.#failure;
    const have = this.#partial.length;
    if (have === 0) return [];
    const payload = this.#reader.read(this.#partial.bytes, 0);
    this.#failure = payload === -1
      ? new TruncatedFrameError(have, this.#reader.size(have))
      : new TruncatedFrameError(
        have - payload,
        this.#wholeLength(payload) - payload,
      );
    throw this.#failure;
  }

  /** Ends the partial frame. Returns how much of the chunk that took, or -1. */
  #fill(chunk: Uint8Array): number {
    const partial = this.#partial;
    const reader = this.#reader;
    let used = 0;
    let payload = reader.read(partial.bytes, 0);
    // A prefix has a few bytes: taking them singly keeps a bad one from
    // swallowing what follows it.
    while (payload === -1) {
      if (used === chunk.length) return -1;
      const byte = chunk.subarray(used, ++used);
      partial.append(byte, reader.size(partial.length));
      payload = reader.read(partial.bytes, 0);
    }
    const most = this.#wholeLength(payload);
    const piece = chunk.subarray(used, used + most - partial.length);
    partial.append(piece, most);
    return partial.length === most ? used + piece.length : -1;
  }

  #takePartial(): Uint8Array {
    const whole = this.#partial.take();
    const end = whole.length - this.#trailer.length;
    this.#checkTrailer(whole, end);
    return whole.subarray(end - this.#reader.payloadLength, end);
  }

  /** Length of the frame whose prefix was read last, all in all. */
  #wholeLength(prefixLength: number): number {
    return prefixLength + this.#reader.payloadLength + this.#trailer.length;
  }

  #checkTrailer(bytes: Uint8Array, end: number): void {
    for (let i = 0; i < this.#trailer.length; i++) {
      if (bytes[end + i] !== this.#trailer[i]) {
        throw malformed("there is no comma after its payload");
      }
    }
  }
}

/**
 * Makes the error for bytes that are not of this framing.
 *
 * @param reason What is wrong with them.
 * @returns The error, to be thrown.
 */
export function malformed(reason: string): Error {
  return new Deno.errors.InvalidData(`The frame is malformed: ${reason}`);
}

/**
 * Refuses a length that is over the limit.
 *
 * @param length Length of the frame, in bytes.
 * @param limit The most that a frame may have, in bytes.
 * @throws {FrameTooLongError} If it is longer.
 */
export function checkLimit(length: number, limit: number): void {
  if (length > limit) throw new FrameTooLongError(length, limit);
}

/**
 * Makes a framing of a prefix.
 *
 * @param name Name of the framing.
 * @param prefix How the length is written.
 * @param maxFrameLength Largest payload, in bytes.
 * @returns The framing.
 */
export function lengthPrefixed(
  name: string,
  prefix: Prefix,
  maxFrameLength: number,
): Framing {
  const limit = Math.min(maxFrameLength, prefix.maxLength);
  return framingOf({
    name,
    encodedLength({ length }) {
      checkLimit(length, limit);
      return prefix.size(length) + length + prefix.trailer.length;
    },
    encodeInto(payload, buffer, start) {
      const { length } = payload;
      prefix.write(length, buffer, start);
      const middle = start + prefix.size(length);
      buffer.set(payload, middle);
      buffer.set(prefix.trailer, middle + length);
    },
    createDecoder: () =>
      new LengthPrefixDecoder(prefix.createReader(limit), prefix.trailer),
  });
}
