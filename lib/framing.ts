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
 *
 * @module
 */
import { FEED, lineFeedFrom, RETURN } from "./framing/line_feeds.ts";

/** A rule that says where one message ends and the next begins. */
export interface Framing {
  /** The name that {@linkcode parseFraming} knows it by. */
  readonly name: string;
  /**
   * Longest message that it carries, in bytes: the limit that was asked for, or
   * the most that its prefix can say. `Infinity` for `raw`.
   */
  readonly maxFrameLength: number;
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
   * Writes that form into a buffer, for one write of many messages.
   *
   * @param payload The message.
   * @param buffer The buffer.
   * @param start Where in it the form begins.
   * @returns Where the form ends. If that is beyond the buffer, the buffer has
   * no room for it, and what is there from `start` on means nothing.
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
   * Ends the stream.
   *
   * @returns The last frame, where a framing lets the end of the stream end it.
   * @throws {TruncatedFrameError} If the stream ends inside a frame.
   */
  finish(): Iterable<Uint8Array>;
}

/** A frame is longer than its limit, or would be. */
export class FrameTooLongError extends RangeError {
  /** What a report of this error ends with. */
  readonly advice: string = "do both sides use the same framing?";

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

/** The stream ended inside a frame. */
export class TruncatedFrameError extends Deno.errors.UnexpectedEof {
  /** What a report of this error ends with. */
  readonly advice: string = "do both sides use the same framing?";

  /**
   * Makes the error and its message.
   *
   * @param have How many bytes came, of the prefix or else of what follows it.
   * @param want How many it takes; where that is not known yet, one more.
   */
  constructor(readonly have: number, readonly want: number) {
    super(`The stream ended inside a frame: after ${have} of ${want} bytes`);
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
   * Those before `searched` it has seen in vain.
   */
  find(
    bytes: Uint8Array,
    start: number,
    decoder: RulesDecoder,
    searched: number,
  ): number;
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
    find(bytes, start, decoder, searched) {
      const { limit } = decoder;
      const feed = lineFeedFrom(bytes, searched);
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
      const blocks = Math.max(1, Math.ceil(length / size));
      buffer.fill(0, end, end + blocks * size - length);
      return end + blocks * size - length;
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
 * @param name `raw`, `lines`, `fixed:N`, `u8`, `u16`, `u32`, `u16le`, `u32le`,
 * `varint` or `netstring`.
 * @param options `maxFrameLength`: the longest message, in bytes, received or
 * sent; 65,536 unless given. `raw` has no limit.
 * @returns The framing.
 * @throws {SyntaxError} If there is no framing of this name.
 * @throws {RangeError} If the limit is not a whole number of bytes, or less
 * than a `fixed:N` block.
 *
 * @example
 * ```ts
 * import { assertEquals, assertThrows } from "@std/assert";
 *
 * const { encode } = parseFraming("netstring", { maxFrameLength: 5 });
 * const text = new TextDecoder().decode(encode(new Uint8Array([104, 105])));
 * assertEquals(text, "2:hi,");
 * assertThrows(() => encode(new Uint8Array(6)), FrameTooLongError);
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

/** Decodes by rules. An iterator of its own is faster than a generator. */
class RulesDecoder implements FrameDecoder {
  #start = 0;
  #end = 0;
  #chunk: Uint8Array = NOTHING;
  /** How much of the chunk is used up. */
  #used = 0;
  /** Begins with the `have` bytes so far of a frame whose end has not come. */
  #kept = NOTHING;
  #have = 0;
  /** How many bytes that frame has, as far as can be told. */
  #need = 0;
  #failure: unknown;

  constructor(readonly rules: FramingRules, readonly limit: number) {}

  push(chunk: Uint8Array): this {
    this.#chunk = chunk;
    this.#used = 0;
    return this;
  }

  finish(): Iterable<Uint8Array> {
    const { terminator } = this.rules;
    const have = this.#have;
    if (have === 0 || this.#failure !== undefined) return this.push(NOTHING);
    if (terminator !== undefined) return this.push(Uint8Array.of(terminator));
    this.#start = 0;
    const need = this.rules.find(this.#kept.subarray(0, have), 0, this, 0);
    const start = this.#start;
    throw this.#failure = new TruncatedFrameError(have - start, need - start);
  }

  [Symbol.iterator](): this {
    return this;
  }

  next(): IteratorResult<Uint8Array, void> {
    if (this.#failure !== undefined) throw this.#failure;
    try {
      while (this.#used < this.#chunk.length) {
        const value = this.#frame();
        // In this order, which V8 makes a promise of in less time.
        if (value !== undefined) return { value, done: false };
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

  #frame(): Uint8Array | undefined {
    const { terminator } = this.rules;
    const have = this.#have;
    let bytes = this.#chunk;
    let start = this.#used;
    if (have > 0) {
      const end = terminator === undefined
        ? start + this.#need - have
        : bytes.indexOf(terminator, start) + 1 || bytes.length;
      bytes = this.#keep(bytes.subarray(start, end));
      start = 0;
    }
    const end = this.rules.find(bytes, start, this, start + have);
    this.#need = end - start;
    if (end > bytes.length) {
      if (have === 0) this.#keep(bytes.subarray(start));
      return undefined;
    }
    if (have === 0) this.#used = end;
    this.#kept = NOTHING;
    this.#have = 0;
    return bytes.subarray(this.#start, this.#end);
  }

  /** Keeps bytes, in memory that grows with what came, not with the need. */
  #keep(bytes: Uint8Array): Uint8Array {
    const length = this.#have + bytes.length;
    if (length > this.#kept.length) {
      const grown = new Uint8Array(
        Math.max(length, Math.min(2 * length, this.#need)),
      );
      grown.set(this.#kept);
      this.#kept = grown;
    }
    this.#kept.set(bytes, this.#have);
    this.#have = length;
    this.#used += bytes.length;
    return this.#kept.subarray(0, length);
  }
}

/**
 * Reads frames from a source on demand: the next chunk is not asked for before
 * the frames of this one are used up.
 *
 * That makes it right for a socket that one answers. A `TransformStream` reads
 * ahead, meets the end, and Deno closes the socket before the last answer.
 *
 * @param source Chunks of bytes: `conn.readable`, standard input, an array.
 * @param framing What marks the frames.
 * @returns The frames, in order.
 * @throws {FrameTooLongError} If a frame is over the limit.
 * @throws {TruncatedFrameError} If the source ends inside a frame.
 * @throws {Deno.errors.InvalidData} If the bytes are not of this framing.
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 *
 * const source = ["one\ntw", "o\r\nthree"].map((text) =>
 *   new TextEncoder().encode(text)
 * );
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
  let frames: Iterator<Uint8Array, void> = [].values();
  async function* generate(): AsyncGenerator<Uint8Array, void> {
    const decoder = framing.createDecoder();
    try {
      for await (const chunk of source) {
        frames = decoder.push(chunk)[Symbol.iterator]();
        let frame;
        while (!(frame = frames.next()).done) yield frame.value;
      }
      yield* decoder.finish();
    } finally {
      frames = [].values();
    }
  }
  // The generator alone would do, but it suspends itself for each frame. With
  // all but the first frame of a chunk taken past it, twice as many come a
  // second. While an answer of it is awaited, all that is asked for goes there.
  const generator = generate();
  let awaited = 0;
  const answer = <T>(promise: Promise<T>): Promise<T> => {
    awaited++;
    const came = () => void awaited--;
    promise.then(came, came);
    return promise;
  };
  return {
    next() {
      try {
        const frame = awaited === 0 ? frames.next() : undefined;
        if (frame?.done === false) return Promise.resolve(frame);
      } catch (error) {
        return this.throw(error);
      }
      return answer(generator.next());
    },
    return: () => answer(generator.return()),
    throw: (error) => answer(generator.throw(error)),
    [Symbol.asyncIterator]() {
      return this;
    },
    async [Symbol.asyncDispose]() {
      await this.return();
    },
  };
}
