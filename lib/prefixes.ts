/**
 * The ways to say a frame's length before it: fixed width, varint, netstring,
 * or not at all because every frame has the same. `framing.ts` is the way in.
 *
 * @module
 */
import { type Framing, framingOf } from "./frame.ts";
import {
  checkLimit,
  LengthPrefixDecoder,
  lengthPrefixed,
  malformed,
} from "./length_prefix.ts";

const NO_TRAILER = new Uint8Array(0);

/**
 * Makes a framing with an unsigned integer of fixed width as prefix.
 *
 * @param name Name of the framing.
 * @param width Width of the prefix, in bytes.
 * @param littleEndian Whether the lowest byte comes first.
 * @param maxFrameLength Largest payload, in bytes.
 * @returns The framing.
 */
export function fixedWidth(
  name: string,
  width: 1 | 2 | 4,
  littleEndian: boolean,
  maxFrameLength: number,
): Framing {
  return lengthPrefixed(name, {
    maxLength: 2 ** (8 * width) - 1,
    trailer: NO_TRAILER,
    size: () => width,
    write(length, buffer, start) {
      for (let i = 0; i < width; i++) {
        buffer[start + (littleEndian ? i : width - 1 - i)] = length >>> (8 * i);
      }
    },
    createReader: (limit) => ({
      payloadLength: 0,
      size: () => width,
      read(bytes, start) {
        const end = start + width;
        if (end > bytes.length) return -1;
        let length = 0;
        // Not <<: a shift by 24 would make 2^31 and more negative.
        if (littleEndian) {
          for (let i = end - 1; i >= start; i--) {
            length = length * 256 + bytes[i];
          }
        } else {
          for (let i = start; i < end; i++) length = length * 256 + bytes[i];
        }
        checkLimit(length, limit);
        this.payloadLength = length;
        return end;
      },
    }),
  }, maxFrameLength);
}

/** Seven bits a byte: ten bytes hold 64 bits, and protobuf stops there too. */
const MAX_VARINT_LENGTH = 10;

/**
 * Makes the framing of delimited protobuf messages: a LEB128 varint as prefix.
 *
 * Source: https://protobuf.dev/programming-guides/encoding/#varints
 *
 * @param maxFrameLength Largest payload, in bytes.
 * @returns The framing.
 */
export function varint(maxFrameLength: number): Framing {
  return lengthPrefixed("varint", {
    maxLength: Number.MAX_SAFE_INTEGER,
    trailer: NO_TRAILER,
    size(length) {
      let size = 1;
      for (; length >= 0x80; length = Math.floor(length / 0x80)) size++;
      return size;
    },
    write(length, buffer, start) {
      for (; length >= 0x80; length = Math.floor(length / 0x80)) {
        buffer[start++] = length % 0x80 | 0x80;
      }
      buffer[start] = length;
    },
    createReader: (limit) => ({
      payloadLength: 0,
      size: (have) => have + 1,
      read(bytes, start) {
        let length = 0;
        let unit = 1;
        for (let i = start; i < bytes.length; i++, unit *= 0x80) {
          length += (bytes[i] & 0x7f) * unit;
          checkLimit(length, limit);
          if (bytes[i] < 0x80) {
            this.payloadLength = length;
            return i + 1;
          }
          if (i + 1 - start === MAX_VARINT_LENGTH) {
            throw malformed(
              `its varint has more than ${MAX_VARINT_LENGTH} bytes`,
            );
          }
        }
        return -1;
      },
    }),
  }, maxFrameLength);
}

const ZERO = 0x30;
const NINE = 0x39;
const COLON = 0x3a;
const COMMA = 0x2c;

/**
 * Makes the netstring framing: `5:hello,`.
 *
 * Source: https://cr.yp.to/proto/netstrings.txt
 *
 * @param maxFrameLength Largest payload, in bytes.
 * @returns The framing.
 */
export function netstring(maxFrameLength: number): Framing {
  const encoder = new TextEncoder();
  return lengthPrefixed("netstring", {
    maxLength: Number.MAX_SAFE_INTEGER,
    trailer: new Uint8Array([COMMA]),
    size: (length) => `${length}:`.length,
    write(length, buffer, start) {
      encoder.encodeInto(`${length}:`, buffer.subarray(start));
    },
    createReader: (limit) => ({
      payloadLength: 0,
      size: (have) => have + 1,
      read(bytes, start) {
        let length = 0;
        for (let i = start; i < bytes.length; i++) {
          const byte = bytes[i];
          if (byte === COLON && i > start) {
            this.payloadLength = length;
            return i + 1;
          }
          if (byte < ZERO || byte > NINE) {
            throw malformed("a netstring starts with its length and a colon");
          }
          if (i > start && length === 0) {
            throw malformed("the length of a netstring has no leading zero");
          }
          length = length * 10 + byte - ZERO;
          checkLimit(length, limit);
        }
        return -1;
      },
    }),
  }, maxFrameLength);
}

/**
 * Makes the framing of blocks that all have the same length. A message is cut
 * into blocks; the last one is padded with NUL.
 *
 * @param blockLength Length of a block, in bytes.
 * @param maxFrameLength Largest message, in bytes.
 * @returns The framing.
 * @throws {FrameTooLongError} If a block would be over the limit.
 */
export function fixedLength(
  blockLength: number,
  maxFrameLength: number,
): Framing {
  checkLimit(blockLength, maxFrameLength);
  return framingOf({
    name: `fixed:${blockLength}`,
    encodedLength({ length }) {
      checkLimit(length, maxFrameLength);
      return Math.max(1, Math.ceil(length / blockLength)) * blockLength;
    },
    // The padding is there already: a new buffer is all NUL.
    encodeInto: (payload, buffer, start) => buffer.set(payload, start),
    // A prefix of no bytes that always announces the same length.
    createDecoder: () =>
      new LengthPrefixDecoder({
        payloadLength: blockLength,
        size: () => 0,
        read: (_bytes, start) => start,
      }, NO_TRAILER),
  });
}
