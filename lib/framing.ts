/**
 * Where one message ends and the next begins.
 *
 * What was sent over TCP in one piece may arrive in two, and two pieces as one.
 * A framing marks the messages. `hello` and an empty message, on the wire:
 *
 * ```text
 * lines      h e l l o \n | \n                          LF ends it; CRLF too
 * fixed:8    h e l l o \0 \0 \0 | \0 … \0               padded with NUL
 * u8         05 h e l l o | 00                          length, one byte
 * u16        00 05 h e l l o | 00 00                    length, highest first
 * u32        00 00 00 05 h e l l o | 00 00 00 00
 * u16le      05 00 h e l l o | 00 00                    length, lowest first
 * u32le      05 00 00 00 h e l l o | 00 00 00 00
 * varint     05 h e l l o | 00                          seven bits a byte
 * netstring  5 : h e l l o , | 0 : ,                    length in decimal
 * raw        h e l l o                                  no mark: as it comes
 * ```
 *
 * @module
 */
import { FEED, lineFeedFrom, RETURN } from "./framing/line_feeds.ts";

/** A rule that says where one message ends and the next begins. */
export interface Framing {
  /** The name that {@linkcode parseFraming} knows it by. */
  readonly name: string;
  /** Longest message that it carries, in bytes; `Infinity` for `raw`. */
  readonly maxFrameLength: number;
  /**
   * Puts a message into the form that it has on the wire. Throws a
   * FrameTooLongError, or InvalidData if the framing cannot carry it.
   */
  encode(payload: Uint8Array): Uint8Array<ArrayBuffer>;
  /** Writes that form; gives its end, which is past a buffer without room. */
  encodeInto(payload: Uint8Array, buffer: Uint8Array, start: number): number;
  /** Starts reading one stream. */
  createDecoder(): FrameDecoder;
}

/** Reads one stream of frames. After it has thrown, it only throws again. */
export interface FrameDecoder {
  /**
   * Gives the frames that these bytes complete, up to a bad one; take them
   * before the next push. One that lies whole in the chunk is a view on it.
   * Throws a FrameTooLongError, or InvalidData if the framing is another.
   */
  push(chunk: Uint8Array): Iterable<Uint8Array>;
  /** Gives what the end completes; throws UnexpectedEof inside a frame. */
  finish(): Iterable<Uint8Array>;
}

const NOTHING = new Uint8Array(0);
const CODES = { comma: 0x2c, zero: 0x30, colon: 0x3a };
const MISMATCH = "do both sides use the same framing?";

/** A frame is longer than its limit, or would be. */
export class FrameTooLongError extends RangeError {
  /** Takes the length, as declared or so far read, and the limit, in bytes. */
  constructor(readonly length: number, readonly limit: number) {
    super(
      `The frame is too long: ${length} bytes, the limit is ${limit}; ${MISMATCH}`,
    );
    this.name = "FrameTooLongError";
  }
}

/** Longest message unless another limit is given, in bytes. */
export const DEFAULT_MAX_FRAME_LENGTH = 65_536;

interface FramingRules {
  most?: number; // bytes in a message, if its form has a limit
  endEnds?: boolean; // the stream's end ends a message, as a line feed would
  /** Writes a message as far as there is room; gives where it would end. */
  write(message: Uint8Array, buffer: Uint8Array, start: number): number;
  /** Finds a frame; its first `searched` bytes were searched before. */
  find(bytes: Uint8Array, from: number, limit: number, searched: number): Found;
}

/** Where a message lies, and the next: past the bytes until it is whole. */
type Found = Record<"start" | "end" | "next", number>;

const RULES = new Map(Object.entries<FramingRules>({
  raw: { write: put, find: (bytes, from) => found(from, bytes.length - from) },
  lines: {
    endEnds: true,
    write(message, buffer, start) {
      if (message.includes(FEED)) {
        throw new Deno.errors.InvalidData("A line cannot hold a line feed");
      }
      let end = put(message, buffer, start);
      // A line that itself ends in CR keeps it only before a CRLF.
      if (message[message.length - 1] === RETURN) buffer[end++] = RETURN;
      buffer[end] = FEED;
      return end + 1;
    },
    find(bytes, start, limit, searched) {
      const feed = lineFeedFrom(bytes, start + searched);
      const stop = feed === -1 ? bytes.length : feed;
      // The byte before an empty line is a line feed, or there is none.
      const end = bytes[stop - 1] === RETURN ? stop - 1 : stop;
      checkLength(end - start, limit);
      if (feed !== -1) return { start, end, next: feed + 1 };
      // It may end soon: next time, look at as much again and a bit more.
      return found(start, Math.min(limit + 2, 2 * (stop - start) + 64));
    },
  },
  u8: integerPrefix(1),
  u16: integerPrefix(2 ** 8, 1),
  u32: integerPrefix(2 ** 24, 2 ** 16, 2 ** 8, 1),
  u16le: integerPrefix(1, 2 ** 8),
  u32le: integerPrefix(1, 2 ** 8, 2 ** 16, 2 ** 24),
  // https://protobuf.dev/programming-guides/encoding/#varints
  varint: {
    write(message, buffer, start) {
      let { length } = message;
      for (; length >= 0x80; length /= 0x80) buffer[start++] = length | 0x80;
      buffer[start] = length;
      return put(message, buffer, start + 1);
    },
    find(bytes, from, limit) {
      let length = 0;
      for (let i = from, unit = 1; i < bytes.length; i++, unit *= 0x80) {
        length += (bytes[i] & 0x7f) * unit;
        checkLength(length, limit);
        if (bytes[i] < 0x80) return found(i + 1, length);
        // Ten bytes hold 64 bits, and protobuf stops there too.
        checkForm(i - from < 9, "its varint has more than 10 bytes");
      }
      return found(from, bytes.length - from + 1);
    },
  },
  // https://cr.yp.to/proto/netstrings.txt
  netstring: {
    write(message, buffer, start) {
      const head = `${message.length}:`;
      for (const sign of head) buffer[start++] = sign.charCodeAt(0);
      const end = put(message, buffer, start);
      buffer[end] = CODES.comma;
      return end + 1;
    },
    find(bytes, from, limit) {
      const { comma, zero, colon } = CODES;
      let length = 0;
      for (let i = from; i < bytes.length; i++) {
        if (bytes[i] === colon && i > from) {
          const frame = found(i + 1, length, 1);
          const last = bytes[frame.end] ?? comma; // or it is still to come
          checkForm(last === comma, "there is no comma after its payload");
          return frame;
        }
        const digit = bytes[i] - zero;
        // No digit follows a leading zero.
        const isDigit = digit >= 0 && digit <= 9 && (length > 0 || i === from);
        checkForm(isDigit, "a netstring starts with its length and a colon");
        length = length * 10 + digit;
        checkLength(length, limit);
      }
      return found(from, bytes.length - from + 1);
    },
  },
}));

/** A length before the message; `weights` says what each byte of it counts. */
function integerPrefix(...weights: number[]): FramingRules {
  const width = weights.length;
  return {
    most: 256 ** width - 1,
    write(message, buffer, start) {
      for (const weight of weights) buffer[start++] = message.length / weight;
      return put(message, buffer, start);
    },
    find(bytes, from, limit) {
      if (from + width > bytes.length) return found(from, width);
      let length = 0;
      for (const weight of weights) length += weight * bytes[from++];
      checkLength(length, limit);
      return found(from, length);
    },
  };
}

/** A message is cut into blocks of this length; the last one is padded. */
function blocksOf(size: number): FramingRules {
  return {
    write(message, buffer, start) {
      const end = start + Math.ceil(message.length / size || 1) * size;
      const middle = put(message, buffer, start);
      // Most blocks are full: then the call would cost as much as all the rest.
      if (middle < end) buffer.fill(0, middle, end);
      return end;
    },
    find: (_, from) => found(from, size),
  };
}

/** Copies a message, if there is room for it; gives where it ends. */
function put(message: Uint8Array, buffer: Uint8Array, start: number): number {
  const end = start + message.length;
  if (end <= buffer.length) buffer.set(message, start);
  return end;
}

function found(start: number, length: number, after = 0): Found {
  const end = start + length;
  return { start, end, next: end + after };
}

function checkLength(length: number, limit: number): void {
  if (length > limit) throw new FrameTooLongError(length, limit);
}

function checkForm(isRight: boolean, reason: string): void {
  if (isRight) return;
  throw new Deno.errors.InvalidData(`The frame is malformed: ${reason}`);
}

/**
 * Finds a framing by its name.
 *
 * @param name As on this page, from `lines` to `raw`; `fixed:N` for any N.
 * @param options `maxFrameLength`: the most bytes (65,536); `raw` has no limit.
 * @throws {SyntaxError} If there is no framing of this name.
 * @throws {RangeError} If the limit is not a whole number of bytes, or less
 * than a `fixed:N` block.
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 *
 * const framing = parseFraming("u16");
 * const wire = framing.encode(new Uint8Array([104, 105]));
 * assertEquals(wire, new Uint8Array([0, 2, 104, 105]));
 * const [message] = framing.createDecoder().push(wire);
 * assertEquals(message, new Uint8Array([104, 105]));
 * ```
 */
export function parseFraming(
  name: string,
  options: { maxFrameLength?: number } = {},
): Framing {
  const { maxFrameLength = DEFAULT_MAX_FRAME_LENGTH } = options;
  if (!Number.isSafeInteger(maxFrameLength) || maxFrameLength < 0) {
    throw new RangeError(`Not a number of bytes: ${maxFrameLength}`);
  }
  const size = Number(/^fixed:(\d+)$/.exec(name)?.[1]);
  const rules = RULES.get(name) ?? blocksOf(size);
  if (!(size > 0) && !RULES.has(name)) {
    const names = [...RULES.keys()].join(", ");
    throw new SyntaxError(
      `Cannot parse framing "${name}": it must be one of ${names}, or fixed:N with a block length from 1`,
    );
  }
  if (size > maxFrameLength) {
    throw new RangeError(
      `Cannot parse framing "${name}": its blocks are longer than a message may be, the limit is ${maxFrameLength} bytes`,
    );
  }
  const { most = Infinity } = rules;
  const limit = name === "raw" ? most : Math.min(most, maxFrameLength);
  function encodeInto(payload: Uint8Array, buffer: Uint8Array, start: number) {
    checkLength(payload.length, limit);
    return rules.write(payload, buffer, start);
  }
  return {
    name,
    maxFrameLength: limit,
    encode(payload) {
      const frame = new Uint8Array(encodeInto(payload, NOTHING, 0));
      encodeInto(payload, frame, 0);
      return frame;
    },
    encodeInto,
    createDecoder: () => new RulesDecoder(rules, limit),
  };
}

class RulesDecoder implements FrameDecoder {
  /** A frame whose end has not come: of `02 h | i 00` (u8) first `02 h`. */
  #kept = NOTHING;
  #failure: unknown;

  constructor(readonly rules: FramingRules, readonly limit: number) {}

  *push(chunk: Uint8Array): Generator<Uint8Array, void> {
    const { rules, limit } = this;
    try {
      if (this.#failure !== undefined) throw this.#failure;
      while (this.#kept.length > 0 && chunk.length > 0) { // complete it
        let { buffer, length } = this.#kept;
        const need = rules.find(this.#kept, 0, limit, length).next;
        const part = chunk.subarray(0, need - length);
        const have = length + part.length;
        // Memory grows with what has come, not with what was announced.
        const size = Math.min(2 * have, need);
        if (have > buffer.byteLength) buffer = buffer.transfer(size);
        const bytes = new Uint8Array(buffer, 0, have);
        bytes.set(part, length);
        const { start, end, next } = rules.find(bytes, 0, limit, length);
        chunk = chunk.subarray(Math.min(next, have) - length);
        this.#kept = next > have ? bytes : NOTHING;
        if (next <= have) yield new Uint8Array(buffer, start, end - start);
      }
      const { buffer, byteOffset, length } = chunk;
      for (let from = 0; from < length;) { // give views on the chunk
        const { start, end, next } = rules.find(chunk, from, limit, 0);
        if (next > length) return void (this.#kept = chunk.slice(from));
        // The same as `subarray`, in two thirds of the time.
        yield new Uint8Array(buffer, byteOffset + start, end - start);
        from = next;
      }
    } catch (error) {
      throw this.#failure = error;
    }
  }

  finish(): Iterable<Uint8Array> {
    const { length } = this.#kept;
    if (length === 0 || this.#failure !== undefined) return this.push(NOTHING);
    if (this.rules.endEnds) return this.push(Uint8Array.of(FEED));
    const { start, next } = this.rules.find(this.#kept, 0, this.limit, length);
    const [have, want] = [length - start, next - start];
    throw this.#failure = new Deno.errors.UnexpectedEof(
      `The stream ended inside a frame: after ${have} of ${want} bytes; ${MISMATCH}`,
    );
  }
}

/**
 * Reads frames on demand: the next chunk only when all frames of this one are
 * taken. So you can answer on the same socket; a `TransformStream` reads ahead.
 *
 * @param source Chunks of bytes: `conn.readable`, standard input, an array.
 * @throws What a decoder throws.
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 *
 * // A message across two chunks, `02 h | i`, and an empty one, `00`.
 * const source = [new Uint8Array([2, 104]), new Uint8Array([105, 0])];
 * const frames = decodeFrames(source, parseFraming("u8"));
 * const lengths = await Array.fromAsync(frames, ({ length }) => length);
 * assertEquals(lengths, [2, 0]);
 * ```
 */
export function decodeFrames(
  source: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
  framing: Framing,
): AsyncGenerator<Uint8Array, void> {
  const decoder = framing.createDecoder();
  let frames: IteratorObject<Uint8Array, void> | undefined;
  const generator = async function* (): AsyncGenerator<Uint8Array, void> {
    for await (const chunk of source) {
      yield* frames = Iterator.from(decoder.push(chunk));
    }
    yield* decoder.finish();
  }();
  const next = generator.next.bind(generator);
  // A generator suspends at each frame. Only the first frame of a chunk goes
  // through it; the others are taken here, which is twice as fast.
  generator.next = () => {
    try {
      const frame = frames?.next();
      return frame?.done === false ? Promise.resolve(frame) : next();
    } catch (error) {
      return generator.throw(error);
    }
  };
  return generator;
}
