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
   * Puts a message into the form that it has on the wire.
   *
   * @throws {FrameTooLongError} If the message is over the limit.
   * @throws {Deno.errors.InvalidData} If the framing cannot carry it.
   */
  encode(payload: Uint8Array): Uint8Array<ArrayBuffer>;
  /**
   * Writes that form into a buffer, for one write of many messages.
   *
   * @returns Where the form ends. Beyond the buffer: there is no room for it.
   */
  encodeInto(payload: Uint8Array, buffer: Uint8Array, start: number): number;
  /** Starts reading one stream. */
  createDecoder(): FrameDecoder;
}

/** Reads one stream of frames. After it has thrown, it only throws again. */
export interface FrameDecoder {
  /**
   * Gives the frames that these bytes end, those before a bad one too. They must
   * be taken before the next push. A frame that lies whole in the chunk is a
   * view on it, and changes if the chunk does.
   *
   * @throws {FrameTooLongError} If a frame is over the limit.
   * @throws {Deno.errors.InvalidData} If the bytes are not of this framing.
   */
  push(chunk: Uint8Array): Iterable<Uint8Array>;
  /**
   * Ends the stream, which may end a last frame.
   *
   * @throws {Deno.errors.UnexpectedEof} If it ends inside a frame.
   */
  finish(): Iterable<Uint8Array>;
}

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

/** Longest message where nothing else is said, in bytes. */
export const DEFAULT_MAX_FRAME_LENGTH = 65_536;

/** What is particular to a framing. */
interface FramingRules {
  /** Longest message that it can carry, in bytes. */
  most?: number;
  /** Whether a line feed ends a frame; then the end of the stream does, too. */
  isText?: boolean;
  /** Writes a message's form, as far as there is room; gives its end. */
  write(message: Uint8Array, buffer: Uint8Array, start: number): number;
  // Finds the message in the frame that begins at `start`. Gives where that
  // frame ends, as far as can be told: beyond the bytes if some are missing.
  find(bytes: Uint8Array, start: number, decoder: RulesDecoder): number;
}

const NOTHING = new Uint8Array(0);
const CODES = { comma: 0x2c, zero: 0x30, nine: 0x39, colon: 0x3a };

const RULES_BY_NAME: Record<string, FramingRules> = {
  raw: {
    write: writeMessage,
    find: (bytes, start, decoder) => decoder.found(start, bytes.length - start),
  },
  lines: {
    isText: true,
    write(message, buffer, start) {
      if (message.includes(FEED)) {
        throw new Deno.errors.InvalidData("A line cannot hold a line feed");
      }
      let end = writeMessage(message, buffer, start);
      // A line's own carriage return at its end survives only before a CRLF.
      if (message[message.length - 1] === RETURN) buffer[end++] = RETURN;
      buffer[end] = FEED;
      return end + 1;
    },
    find(bytes, start, decoder) {
      const feed = lineFeedFrom(bytes, start + decoder.kept.length);
      const end = feed === -1 ? bytes.length : feed;
      // Before an empty line is a line feed, or nothing.
      const last = bytes[end - 1] === RETURN ? end - 1 : end;
      decoder.found(start, last - start);
      return feed === -1 ? start + decoder.limit + 2 : feed + 1;
    },
  },
  u8: integerPrefix(0),
  u16: integerPrefix(1, 0),
  u32: integerPrefix(3, 2, 1, 0),
  u16le: integerPrefix(0, 1),
  u32le: integerPrefix(0, 1, 2, 3),
  // https://protobuf.dev/programming-guides/encoding/#varints
  varint: {
    write(message, buffer, start) {
      let { length } = message;
      for (; length >= 0x80; length = Math.floor(length / 0x80)) {
        buffer[start++] = length % 0x80 | 0x80;
      }
      buffer[start] = length;
      return writeMessage(message, buffer, start + 1);
    },
    find(bytes, start, decoder) {
      let length = 0;
      for (let i = start, unit = 1; i < bytes.length; i++, unit *= 0x80) {
        length += (bytes[i] & 0x7f) * unit;
        checkLength(length, decoder.limit);
        if (bytes[i] < 0x80) return decoder.found(i + 1, length);
        // Ten bytes hold 64 bits, and protobuf stops there too.
        checkForm(i - start < 9, "its varint has more than 10 bytes");
      }
      return bytes.length + 1;
    },
  },
  // https://cr.yp.to/proto/netstrings.txt
  netstring: {
    write(message, buffer, start) {
      for (const character of `${message.length}:`) {
        buffer[start++] = character.charCodeAt(0);
      }
      const end = writeMessage(message, buffer, start);
      buffer[end] = CODES.comma;
      return end + 1;
    },
    find(bytes, start, decoder) {
      const { comma, zero, nine, colon } = CODES;
      let [length, i] = [0, start];
      for (; bytes[i] >= zero && bytes[i] <= nine; i++) {
        // Nothing but the colon may follow a leading zero.
        if (length === 0 && i > start) break;
        length = length * 10 + bytes[i] - zero;
        checkLength(length, decoder.limit);
      }
      if (i === bytes.length) return i + 1;
      const isRight = bytes[i] === colon && i > start;
      checkForm(isRight, "a netstring starts with its length and a colon");
      const end = decoder.found(i + 1, length);
      const ended = end >= bytes.length || bytes[end] === comma;
      checkForm(ended, "there is no comma after its payload");
      return end + 1;
    },
  },
};

/** The names of the framings, without `fixed:N`, of which there are many. */
export const FRAMING_NAMES: string[] = Object.keys(RULES_BY_NAME);

/** A length of as many bytes; where each stands, the lowest first. */
function integerPrefix(...places: number[]): FramingRules {
  const width = places.length;
  return {
    most: 256 ** width - 1,
    write(message, buffer, start) {
      for (let i = 0; i < width; i++) {
        buffer[start + places[i]] = message.length >>> 8 * i;
      }
      return writeMessage(message, buffer, start + width);
    },
    find(bytes, start, decoder) {
      const middle = start + width;
      if (middle > bytes.length) return middle;
      let length = 0;
      // Not <<: a shift by 24 would make 2^31 and more negative.
      for (let i = 0, unit = 1; i < width; i++, unit *= 256) {
        length += bytes[start + places[i]] * unit;
      }
      return decoder.found(middle, length);
    },
  };
}

/** A message is cut into blocks of this length; the last one is padded. */
function blocksOf(size: number): FramingRules {
  return {
    write(message, buffer, start) {
      const end = start + Math.ceil(message.length / size || 1) * size;
      const middle = writeMessage(message, buffer, start);
      // Most blocks are full, and a call costs as much as the rest of it.
      if (middle < end) buffer.fill(0, middle, end);
      return end;
    },
    find: (_, start, decoder) => decoder.found(start, size),
  };
}

/** Copies a message to where there is room for it; gives its end. */
function writeMessage(message: Uint8Array, to: Uint8Array, start: number) {
  const end = start + message.length;
  if (end <= to.length) to.set(message, start);
  return end;
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
 * @param name One of {@linkcode FRAMING_NAMES}, or `fixed:N`.
 * @param options `maxFrameLength`: the longest message, in bytes; 65,536 unless
 * given. `raw` has no limit.
 * @returns The framing.
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
  if (size > 0) checkLength(size, maxFrameLength);
  else if (!FRAMING_NAMES.includes(name)) {
    const names = FRAMING_NAMES.join(", ");
    throw new SyntaxError(
      `Cannot parse framing "${name}": it must be one of ${names}, or fixed:N with a block length from 1`,
    );
  }
  const rules = RULES_BY_NAME[name] ?? blocksOf(size);
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

/** Decodes by rules, as an iterator: a generator takes a fifth longer. */
class RulesDecoder implements FrameDecoder {
  /** What came of a frame before this chunk. */
  kept: Uint8Array = NOTHING;
  #chunk: Uint8Array = NOTHING;
  #used = 0;
  #start = 0;
  #end = 0;
  #failure: unknown;

  constructor(readonly rules: FramingRules, readonly limit: number) {}

  push(chunk: Uint8Array): this {
    this.#chunk = chunk;
    this.#used = 0;
    return this;
  }

  finish(): Iterable<Uint8Array> {
    const { kept, rules } = this;
    const ended = kept === NOTHING || this.#failure !== undefined;
    if (ended) return this.push(NOTHING);
    if (rules.isText) return this.push(Uint8Array.of(FEED));
    this.#start = 0;
    const want = rules.find(kept, 0, this) - this.#start;
    const have = kept.length - this.#start;
    throw this.#failure = new Deno.errors.UnexpectedEof(
      `The stream ended inside a frame: after ${have} of ${want} bytes; ${MISMATCH}`,
    );
  }

  [Symbol.iterator](): this {
    return this;
  }

  next(): IteratorResult<Uint8Array, void> {
    try {
      if (this.#failure !== undefined) throw this.#failure;
      while (this.#used < this.#chunk.length) {
        const joins = this.kept !== NOTHING;
        const bytes = joins ? this.#join() : this.#chunk;
        const start = joins ? 0 : this.#used;
        const end = this.rules.find(bytes, start, this);
        if (!joins) this.#used = end;
        if (end <= bytes.length) {
          if (joins) this.kept = NOTHING;
          const value = bytes.subarray(this.#start, this.#end);
          // `value` first: V8 makes a promise of an object in this order sooner.
          return { value, done: false };
        }
        this.kept = joins ? bytes : bytes.slice(start);
      }
    } catch (error) {
      throw this.#failure = error;
    }
    this.#chunk = NOTHING;
    return { value: undefined, done: true };
  }

  /** Is told where the message is; gives its end. */
  found(start: number, length: number): number {
    checkLength(length, this.limit);
    this.#start = start;
    return this.#end = start + length;
  }

  /** What was kept, and what of the chunk belongs to the same frame. */
  #join(): Uint8Array {
    const { kept } = this;
    const need = this.rules.find(kept, 0, this);
    const most = this.#used + need - kept.length;
    let more = this.#chunk.subarray(this.#used, most);
    const feed = this.rules.isText ? more.indexOf(FEED) + 1 : 0;
    if (feed > 0) more = more.subarray(0, feed);
    this.#used += more.length;
    const length = kept.length + more.length;
    let { buffer } = kept;
    if (length > buffer.byteLength) {
      // Memory grows with what has come, not with what was announced.
      const grown = new Uint8Array(Math.min(2 * length, need));
      grown.set(kept);
      buffer = grown.buffer;
    }
    const joined = new Uint8Array(buffer, 0, length);
    joined.set(more, kept.length);
    return joined;
  }
}

/**
 * Reads frames on demand: the next chunk is not asked for before the frames of
 * this one are used up, one at a time. So it can be used on a socket that one
 * answers; a `TransformStream` reads ahead, and Deno closes at the end.
 *
 * @param source Chunks of bytes: `conn.readable`, standard input, an array.
 * @param framing What marks the frames.
 * @returns The frames, in order; throws what a decoder throws.
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 *
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
  let frames: Iterator<Uint8Array, void> | undefined;
  async function* generate(): AsyncGenerator<Uint8Array, void> {
    try {
      for await (const chunk of source) {
        frames = decoder.push(chunk)[Symbol.iterator]();
        for (let frame; !(frame = frames.next()).done;) yield frame.value;
      }
      yield* decoder.finish();
    } finally {
      frames = undefined;
    }
  }
  const generator = generate();
  const next = generator.next.bind(generator);
  // It suspends itself for each frame. With all but the first of a chunk taken
  // past it, twice as many come a second.
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
