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

/** What is particular to a framing; `framingOf` and `RulesDecoder` do the rest. */
interface FramingRules {
  /** Longest message that it can carry, in bytes. */
  most?: number;
  /** Writes what stands before a message; returns where the message begins. */
  writePrefix?(length: number, buffer: Uint8Array, start: number): number;
  /** Gives what stands after it. */
  trailer?(payload: Uint8Array): Uint8Array;
  /**
   * Says where the message is in the frame that begins at `start`. Returns where
   * that frame ends, as far as can be told: beyond the bytes if some are missing.
   */
  find(bytes: Uint8Array, start: number, message: RulesDecoder): number;
  /** The byte that ends a frame, as does the end of the stream. */
  terminator?: number;
}

const NOTHING = new Uint8Array(0);
const ONE_FEED = new Uint8Array([FEED]);
const ONE_CRLF = new Uint8Array([RETURN, FEED]);
const ONE_COMMA = new Uint8Array([0x2c]);
const NETSTRING_ZERO = 0x30;
const NETSTRING_COLON = 0x3a;

const RULES_BY_NAME: Record<string, FramingRules> = {
  raw: {
    find(bytes, start, message) {
      message.start = start;
      return message.end = bytes.length;
    },
  },
  lines: {
    terminator: FEED,
    trailer(payload) {
      if (payload.includes(FEED)) {
        throw new Deno.errors.InvalidData("A line cannot hold a line feed");
      }
      // A line's own carriage return at its end survives only before a CRLF.
      return payload[payload.length - 1] === RETURN ? ONE_CRLF : ONE_FEED;
    },
    find(bytes, start, message) {
      const feed = lineFeedFrom(bytes, start + message.searched);
      const end = feed === -1 ? bytes.length : feed;
      const crlf = end > start && bytes[end - 1] === RETURN;
      message.start = start;
      message.end = crlf ? end - 1 : end;
      // How long it would get is unknown; that it is one too many is not.
      const { limit } = message;
      checkLength(Math.min(message.end - start, limit + 1), limit);
      return end + 1;
    },
  },
  u8: integerPrefix(1),
  u16: integerPrefix(2),
  u32: integerPrefix(4),
  u16le: integerPrefix(2, true),
  u32le: integerPrefix(4, true),
  // https://protobuf.dev/programming-guides/encoding/#varints
  varint: {
    writePrefix(length, buffer, start) {
      for (; length >= 0x80; length = Math.floor(length / 0x80)) {
        buffer[start++] = length % 0x80 | 0x80;
      }
      buffer[start] = length;
      return start + 1;
    },
    find(bytes, start, message) {
      let length = 0;
      let unit = 1;
      for (let i = start; i < bytes.length; i++, unit *= 0x80) {
        length += (bytes[i] & 0x7f) * unit;
        checkLength(length, message.limit);
        if (bytes[i] < 0x80) {
          message.start = i + 1;
          return message.end = i + 1 + length;
        }
        // Ten bytes hold 64 bits, and protobuf stops there too.
        if (i - start === 9) {
          throwMalformed("its varint has more than 10 bytes");
        }
      }
      return bytes.length + 1;
    },
  },
  // https://cr.yp.to/proto/netstrings.txt
  netstring: {
    writePrefix(length, buffer, start) {
      for (const character of `${length}:`) {
        buffer[start++] = character.charCodeAt(0);
      }
      return start;
    },
    trailer: () => ONE_COMMA,
    find(bytes, start, message) {
      let length = 0;
      for (let i = start; i < bytes.length; i++) {
        if (bytes[i] === NETSTRING_COLON && i > start) {
          message.start = i + 1;
          const end = message.end = i + 1 + length;
          if (end < bytes.length && bytes[end] !== ONE_COMMA[0]) {
            throwMalformed("there is no comma after its payload");
          }
          return end + 1;
        }
        const digit = bytes[i] - NETSTRING_ZERO;
        if (digit < 0 || digit > 9) {
          throwMalformed("a netstring starts with its length and a colon");
        }
        if (i > start && length === 0) {
          throwMalformed("the length of a netstring has no leading zero");
        }
        length = length * 10 + digit;
        checkLength(length, message.limit);
      }
      return bytes.length + 1;
    },
  },
};

/** The names of the framings, without `fixed:N`, of which there are many. */
export const FRAMING_NAMES: string[] = Object.keys(RULES_BY_NAME);

function integerPrefix(width: 1 | 2 | 4, littleEndian = false): FramingRules {
  return {
    most: 2 ** (8 * width) - 1,
    writePrefix(length, buffer, start) {
      for (let i = 0; i < width; i++) {
        buffer[start + (littleEndian ? i : width - 1 - i)] = length >>> (8 * i);
      }
      return start + width;
    },
    find(bytes, start, message) {
      const middle = start + width;
      if (middle > bytes.length) return middle;
      let length = 0;
      for (let i = 0; i < width; i++) {
        // Not <<: a shift by 24 would make 2^31 and more negative.
        length = length * 256 +
          bytes[littleEndian ? middle - 1 - i : start + i];
      }
      checkLength(length, message.limit);
      message.start = middle;
      return message.end = middle + length;
    },
  };
}

/** A message is cut into blocks of this length; the last one is padded. */
function blocksOf(size: number): FramingRules {
  const padding = new Uint8Array(size);
  return {
    trailer({ length }) {
      const rest = length % size;
      return rest === 0 && length > 0 ? NOTHING : padding.subarray(rest);
    },
    find(_bytes, start, message) {
      message.start = start;
      return message.end = start + size;
    },
  };
}

function checkLength(length: number, limit: number): void {
  if (length > limit) throw new FrameTooLongError(length, limit);
}

function throwMalformed(reason: string): never {
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
  if (Object.hasOwn(RULES_BY_NAME, name)) {
    const limit = name === "raw" ? Infinity : maxFrameLength;
    return framingOf(name, RULES_BY_NAME[name], limit);
  }
  const blockLength = Number(/^fixed:(\d+)$/.exec(name)?.[1]);
  if (blockLength > 0) {
    checkLength(blockLength, maxFrameLength);
    return framingOf(name, blocksOf(blockLength), maxFrameLength);
  }
  throw new SyntaxError(
    `Cannot parse framing "${name}": it must be one of ${
      FRAMING_NAMES.join(", ")
    }, or fixed:N with a block length from 1`,
  );
}

function framingOf(
  name: string,
  rules: FramingRules,
  maxFrameLength: number,
): Framing {
  const limit = Math.min(maxFrameLength, rules.most ?? Infinity);
  function trailerOf(payload: Uint8Array): Uint8Array {
    checkLength(payload.length, limit);
    return rules.trailer?.(payload) ?? NOTHING;
  }
  function write(
    payload: Uint8Array,
    trailer: Uint8Array,
    buffer: Uint8Array,
    start: number,
  ): number {
    const { length } = payload;
    const middle = rules.writePrefix?.(length, buffer, start) ?? start;
    let end = middle + length;
    if (end + trailer.length > buffer.length) return end + trailer.length;
    buffer.set(payload, middle);
    for (let i = 0; i < trailer.length; i++) buffer[end++] = trailer[i];
    return end;
  }
  return {
    name,
    maxFrameLength: limit,
    encode(payload) {
      const trailer = trailerOf(payload);
      const frame = new Uint8Array(write(payload, trailer, NOTHING, 0));
      write(payload, trailer, frame, 0);
      return frame;
    },
    encodeInto: (payload, buffer, start) =>
      write(payload, trailerOf(payload), buffer, start),
    createDecoder: () => new RulesDecoder(rules, limit),
  };
}

/** Decodes by rules. An iterator of its own is faster than a generator. */
class RulesDecoder implements FrameDecoder {
  /** Where the message begins that was found last. */
  start = 0;
  /** Where it ends. */
  end = 0;
  /** How many bytes of the frame were there before, too. */
  searched = 0;
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
      this.#failure = error;
      throw error;
    }
    this.#chunk = NOTHING;
    return { value: undefined, done: true };
  }

  finish(): Uint8Array[] {
    if (this.#failure !== undefined) throw this.#failure;
    const have = this.searched = this.#have;
    if (have === 0) return [];
    this.start = 0;
    const rest = this.#kept.subarray(0, have);
    const need = this.rules.find(rest, 0, this);
    this.#have = 0;
    if (this.rules.terminator !== undefined) {
      return [rest.subarray(this.start, this.end)];
    }
    const { start } = this;
    throw this.#failure = new TruncatedFrameError(have - start, need - start);
  }

  #frame(): Uint8Array | undefined {
    const chunk = this.#chunk;
    const start = this.#used;
    this.searched = this.#have;
    if (this.searched === 0) {
      const end = this.rules.find(chunk, start, this);
      if (end <= chunk.length) {
        this.#used = end;
        return chunk.subarray(this.start, this.end);
      }
      this.#keep(chunk.subarray(start), end - start);
      return undefined;
    }
    const { terminator } = this.rules;
    const end = terminator === undefined
      ? start + this.#need - this.#have
      : chunk.indexOf(terminator, start) + 1 || chunk.length;
    this.#keep(chunk.subarray(start, end), this.#need);
    const bytes = this.#kept.subarray(0, this.#have);
    this.#need = this.rules.find(bytes, 0, this);
    if (this.#need > this.#have) return undefined;
    this.#kept = NOTHING;
    this.#have = 0;
    return bytes.subarray(this.start, this.end);
  }

  /** Keeps bytes, in memory that grows with what came, not with the need. */
  #keep(bytes: Uint8Array, need: number): void {
    const length = this.#have + bytes.length;
    if (length > this.#kept.length) {
      const most = this.rules.terminator === undefined ? need : this.limit + 2;
      const grown = new Uint8Array(
        Math.max(length, Math.min(2 * length, most)),
      );
      grown.set(this.#kept.subarray(0, this.#have));
      this.#kept = grown;
    }
    this.#kept.set(bytes, this.#have);
    this.#have = length;
    this.#need = need;
    this.#used += bytes.length;
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
