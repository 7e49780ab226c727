/**
 * Where one message ends and the next begins.
 *
 * TCP carries a stream of bytes: what was sent in one piece may arrive in two,
 * and two pieces as one. A framing marks the messages in the stream. `hello`
 * and an empty message, on the wire:
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
   * @param payload The message.
   * @returns Its whole form, for one write.
   * @throws {FrameTooLongError} If the message is over the limit.
   * @throws {Deno.errors.InvalidData} If the framing cannot carry it.
   */
  encode(payload: Uint8Array): Uint8Array<ArrayBuffer>;
  /**
   * Writes that form into a buffer, for one write of many messages.
   *
   * @param payload The message.
   * @param buffer The buffer.
   * @param start Where in it the form begins.
   * @returns Where the form ends. If that is beyond the buffer, there is no room
   * for it, and what is there from `start` on means nothing.
   * @throws What `encode` throws.
   */
  encodeInto(payload: Uint8Array, buffer: Uint8Array, start: number): number;
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
   * The result must be iterated to its end before the next push. A frame that
   * lies whole in the chunk is a view on it, and changes if the chunk does.
   *
   * @param chunk The bytes, cut wherever the network cut them.
   * @returns The whole frames, those before a bad one too.
   * @throws {FrameTooLongError} If a frame is over the limit.
   * @throws {Deno.errors.InvalidData} If the bytes are not of this framing.
   */
  push(chunk: Uint8Array): Iterable<Uint8Array>;
  /**
   * Ends the stream.
   *
   * @returns The last frame, where a framing lets the end of the stream end it.
   * @throws {Deno.errors.UnexpectedEof} If the stream ends inside a frame.
   */
  finish(): Iterable<Uint8Array>;
}

const FRAMING_ADVICE = "do both sides use the same framing?";

/** A frame is longer than its limit, or would be. */
export class FrameTooLongError extends RangeError {
  /** What a report of this error ends with. */
  readonly advice: string = FRAMING_ADVICE;

  /**
   * Makes the error and its message.
   *
   * @param length Length of the frame, in bytes, as declared or so far read.
   * @param limit The most that a frame may have, in bytes.
   */
  constructor(readonly length: number, readonly limit: number) {
    super(`The frame is too long: ${length} bytes, the limit is ${limit}`);
    this.name = "FrameTooLongError";
  }
}

/** Longest message where nothing else is said, in bytes. */
export const DEFAULT_MAX_FRAME_LENGTH = 65_536;

/** What is particular to a framing. */
interface FramingRules {
  /** Longest message that it can carry, in bytes. */
  most?: number;
  /** The byte that ends a frame, as does the end of the stream. */
  terminator?: number;
  /** Writes what stands before a message; returns where the message begins. */
  prefix?(length: number, buffer: Uint8Array, start: number): number;
  /** Writes what stands after it; returns where the frame ends. */
  suffix?(payload: Uint8Array, buffer: Uint8Array, end: number): number;
  /**
   * Finds the message in the frame that begins at `start`. Returns where that
   * frame ends, as far as can be told: beyond the bytes if some are missing.
   */
  find(bytes: Uint8Array, start: number, decoder: RulesDecoder): number;
}

const NOTHING = new Uint8Array(0);
const COMMA = 0x2c;
const ZERO = 0x30;
const COLON = 0x3a;

const RULES_BY_NAME: Record<string, FramingRules> = {
  raw: {
    find: (bytes, start, decoder) => decoder.found(start, bytes.length - start),
  },
  lines: {
    terminator: FEED,
    suffix(payload, buffer, end) {
      if (payload.includes(FEED)) {
        throw new Deno.errors.InvalidData("A line cannot hold a line feed");
      }
      // A line's own carriage return at its end survives only before a CRLF.
      if (payload[payload.length - 1] === RETURN) buffer[end++] = RETURN;
      buffer[end] = FEED;
      return end + 1;
    },
    find(bytes, start, decoder) {
      const { limit, kept } = decoder;
      const feed = lineFeedFrom(bytes, start + kept.length);
      let end = feed === -1 ? bytes.length : feed;
      if (end > start && bytes[end - 1] === RETURN) end--;
      // How long it would get is unknown; that it is one too many is not.
      decoder.found(start, Math.min(end - start, limit + 1));
      return feed === -1 ? start + limit + 2 : feed + 1;
    },
  },
  u8: integerPrefix(0),
  u16: integerPrefix(1, 0),
  u32: integerPrefix(3, 2, 1, 0),
  u16le: integerPrefix(0, 1),
  u32le: integerPrefix(0, 1, 2, 3),
  // https://protobuf.dev/programming-guides/encoding/#varints
  varint: {
    prefix(length, buffer, start) {
      for (; length >= 0x80; length = Math.floor(length / 0x80)) {
        buffer[start++] = length % 0x80 | 0x80;
      }
      buffer[start] = length;
      return start + 1;
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
    prefix(length, buffer, start) {
      for (const character of `${length}:`) {
        buffer[start++] = character.charCodeAt(0);
      }
      return start;
    },
    suffix(_payload, buffer, end) {
      buffer[end] = COMMA;
      return end + 1;
    },
    find(bytes, start, decoder) {
      let length = 0;
      for (let i = start; i < bytes.length; i++) {
        if (bytes[i] === COLON && i > start) {
          const end = decoder.found(i + 1, length);
          const ended = end >= bytes.length || bytes[end] === COMMA;
          checkForm(ended, "there is no comma after its payload");
          return end + 1;
        }
        const digit = bytes[i] - ZERO;
        const isDigit = digit >= 0 && digit <= 9;
        checkForm(isDigit, "a netstring starts with its length and a colon");
        const follows = i > start && length === 0;
        checkForm(!follows, "the length of a netstring has no leading zero");
        length = length * 10 + digit;
        checkLength(length, decoder.limit);
      }
      return bytes.length + 1;
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
    prefix(length, buffer, start) {
      for (let i = 0; i < width; i++) {
        buffer[start + places[i]] = length >>> (8 * i);
      }
      return start + width;
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
    suffix({ length }, buffer, end) {
      const padding = length === 0 ? size : (size - length % size) % size;
      // Most blocks are full, and a call costs as much as the rest of it.
      if (padding > 0) buffer.fill(0, end, end + padding);
      return end + padding;
    },
    find: (_, start, decoder) => decoder.found(start, size),
  };
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
 * @param options `maxFrameLength`: the longest message, in bytes, received or
 * sent; 65,536 unless given. `raw` has no limit.
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
 * const wire = framing.encode(new TextEncoder().encode("hello"));
 * const decoder = framing.createDecoder();
 * assertEquals([...decoder.push(wire.subarray(0, 3))], []);
 * const [frame] = decoder.push(wire.subarray(3));
 * assertEquals(new TextDecoder().decode(frame), "hello");
 * ```
 */
export function parseFraming(
  name: string,
  options: { maxFrameLength?: number } = {},
): Framing {
  const { maxFrameLength = DEFAULT_MAX_FRAME_LENGTH } = options;
  if (!Number.isSafeInteger(maxFrameLength) || maxFrameLength < 0) {
    throw new RangeError(
      `The maximum frame length must be a whole number of bytes, not ${maxFrameLength}`,
    );
  }
  const size = Number(/^fixed:(\d+)$/.exec(name)?.[1]);
  if (size > 0) checkLength(size, maxFrameLength);
  else if (!Object.hasOwn(RULES_BY_NAME, name)) {
    const names = FRAMING_NAMES.join(", ");
    throw new SyntaxError(
      `Cannot parse framing "${name}": it must be one of ${names}, or fixed:N with a block length from 1`,
    );
  }
  const rules = size > 0 ? blocksOf(size) : RULES_BY_NAME[name];
  const { most = Infinity } = rules;
  const limit = name === "raw" ? most : Math.min(most, maxFrameLength);
  function encodeInto(payload: Uint8Array, buffer: Uint8Array, start: number) {
    const { length } = payload;
    checkLength(length, limit);
    const middle = rules.prefix?.(length, buffer, start) ?? start;
    const end = middle + length;
    if (end <= buffer.length) buffer.set(payload, middle);
    return rules.suffix?.(payload, buffer, end) ?? end;
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
    const ended = kept.length === 0 || this.#failure !== undefined;
    if (ended) return this.push(NOTHING);
    if (rules.terminator) return this.push(Uint8Array.of(rules.terminator));
    this.#start = 0;
    const want = rules.find(kept, 0, this) - this.#start;
    const have = kept.length - this.#start;
    const error = new Deno.errors.UnexpectedEof(
      `The stream ended inside a frame: after ${have} of ${want} bytes`,
    );
    throw this.#failure = Object.assign(error, { advice: FRAMING_ADVICE });
  }

  [Symbol.iterator](): this {
    return this;
  }

  next(): IteratorResult<Uint8Array, void> {
    if (this.#failure !== undefined) throw this.#failure;
    try {
      while (this.#used < this.#chunk.length) {
        const joins = this.kept.length > 0;
        const bytes = joins ? this.#join() : this.#chunk;
        const start = joins ? 0 : this.#used;
        const end = this.rules.find(bytes, start, this);
        if (!joins) this.#used = end;
        if (end <= bytes.length) {
          this.kept = NOTHING;
          const value = bytes.subarray(this.#start, this.#end);
          // In this order, which V8 makes a promise of in less time.
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
    const { kept, rules } = this;
    const need = rules.find(kept, 0, this);
    const end = rules.terminator
      ? this.#chunk.indexOf(rules.terminator, this.#used) + 1 || undefined
      : this.#used + need - kept.length;
    const more = this.#chunk.subarray(this.#used, end);
    this.#used += more.length;
    const length = kept.length + more.length;
    let { buffer } = kept;
    if (length > buffer.byteLength) {
      // Memory grows with what has come, not with what was announced.
      const size = Math.max(length, Math.min(2 * length, need));
      const grown = new Uint8Array(size);
      grown.set(kept);
      buffer = grown.buffer;
    }
    const joined = new Uint8Array(buffer, 0, length);
    joined.set(more, kept.length);
    return joined;
  }
}

/**
 * Reads frames from a source on demand: the next chunk is not asked for before
 * the frames of this one are used up. So it can be used on a socket that one
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
 * const source = ["one\ntw", "o\r\nthree"]
 *   .map((text) => new TextEncoder().encode(text));
 * const lines: string[] = [];
 * for await (const line of decodeFrames(source, parseFraming("lines"))) {
 *   lines.push(new TextDecoder().decode(line));
 * }
 * assertEquals(lines, ["one", "two", "three"]);
 * ```
 */
export function decodeFrames(
  source: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
  framing: Framing,
): AsyncGenerator<Uint8Array, void> {
  let frames: Iterator<Uint8Array, void> | undefined;
  async function* generate(): AsyncGenerator<Uint8Array, void> {
    const decoder = framing.createDecoder();
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
  // The generator alone would do, but it suspends itself for each frame. With
  // all but the first frame of a chunk taken past it, twice as many come a
  // second. While an answer of it is awaited, all that is asked for goes there.
  const generator = generate();
  let awaited = 0;
  function answer<T>(promise: Promise<T>): Promise<T> {
    awaited++;
    const came = () => void awaited--;
    promise.then(came, came);
    return promise;
  }
  return {
    next() {
      try {
        const frame = awaited === 0 ? frames?.next() : undefined;
        if (frame?.done === false) return Promise.resolve(frame);
      } catch (error) {
        return this.throw(error);
      }
      return answer(generator.next());
    },
    return: () => answer(generator.return()),
    throw: (error: unknown) => answer(generator.throw(error)),
    [Symbol.asyncIterator]() {
      return this;
    },
    [Symbol.asyncDispose]: () => answer(generator.return()).then(() => {}),
  };
}
