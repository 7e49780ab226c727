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
import {
  type FrameDecoder,
  FrameTooLongError,
  type Framing,
  framingOf,
} from "./frame.ts";
import { fixedLength, fixedWidth, netstring, varint } from "./prefixes.ts";
import { lines } from "./lines.ts";

export { decodeFrames } from "./decode_frames.ts";
export {
  type FrameDecoder,
  FrameTooLongError,
  type Framing,
  TruncatedFrameError,
} from "./frame.ts";

/** Options for {@linkcode parseFraming}. */
export interface FramingOptions {
  /**
   * Largest payload of a frame, in bytes, received or sent.
   *
   * @default {65_536}
   */
  maxFrameLength?: number;
}

/** Largest payload where nothing else is said, in bytes. */
export const DEFAULT_MAX_FRAME_LENGTH = 65_536;

const FRAMINGS: Record<string, (maxFrameLength: number) => Framing> = {
  raw,
  lines,
  u8: (limit) => fixedWidth("u8", 1, false, limit),
  u16: (limit) => fixedWidth("u16", 2, false, limit),
  u32: (limit) => fixedWidth("u32", 4, false, limit),
  u16le: (limit) => fixedWidth("u16le", 2, true, limit),
  u32le: (limit) => fixedWidth("u32le", 4, true, limit),
  varint,
  netstring,
};

/** The names of the framings, without `fixed:N`, of which there are many. */
export const FRAMING_NAMES: string[] = Object.keys(FRAMINGS);

/**
 * Finds a framing by its name.
 *
 * @param name `raw`, `lines`, `fixed:N`, `u8`, `u16`, `u32`, `u16le`, `u32le`,
 * `varint` or `netstring`.
 * @param options The limit.
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
  options: FramingOptions = {},
): Framing {
  const { maxFrameLength = DEFAULT_MAX_FRAME_LENGTH } = options;
  if (!Number.isSafeInteger(maxFrameLength) || maxFrameLength < 0) {
    throw new RangeError(
      `The maximum frame length must be a whole number of bytes, not ${maxFrameLength}`,
    );
  }
  if (Object.hasOwn(FRAMINGS, name)) return FRAMINGS[name](maxFrameLength);
  const blockLength = Number(/^fixed:(\d+)$/.exec(name)?.[1]);
  if (blockLength > 0) return fixedLength(blockLength, maxFrameLength);
  throw new SyntaxError(
    `Cannot parse framing "${name}": it must be one of ${
      FRAMING_NAMES.join(", ")
    }, or fixed:N with a block length from 1`,
  );
}

/**
 * Turns a stream of bytes into a stream of frames, in a pipeline that answers
 * nothing: a file, a one-way receiver. On a socket that one answers, use
 * {@linkcode decodeFrames}, which says why.
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 *
 * const frames = ReadableStream.from([new Uint8Array([1, 104, 1, 105])])
 *   .pipeThrough(new FrameDecoderStream(parseFraming("u8")));
 * assertEquals((await Array.fromAsync(frames)).length, 2);
 * ```
 */
export class FrameDecoderStream
  implements TransformStream<Uint8Array, Uint8Array> {
  /** Where the frames come out. */
  readonly readable: ReadableStream<Uint8Array>;
  /** Where the bytes go in. */
  readonly writable: WritableStream<Uint8Array>;

  /**
   * Makes the stream.
   *
   * @param framing What marks the frames.
   */
  constructor(framing: Framing) {
    const decoder = framing.createDecoder();
    // Not extended: to name the class loads all of Deno's streams, and a script
    // that only imports this file would start 1.5 ms later.
    const { readable, writable } = new TransformStream({
      transform(chunk, controller) {
        for (const frame of decoder.push(chunk)) controller.enqueue(frame);
      },
      flush(controller) {
        for (const frame of decoder.finish()) controller.enqueue(frame);
      },
    });
    this.readable = readable;
    this.writable = writable;
  }
}

/**
 * Turns a stream of messages into the bytes that carry them.
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 *
 * const bytes = ReadableStream.from([new Uint8Array([104, 105])])
 *   .pipeThrough(new FrameEncoderStream(parseFraming("u8")));
 * assertEquals(await new Response(bytes).bytes(), new Uint8Array([2, 104, 105]));
 * ```
 */
export class FrameEncoderStream
  implements TransformStream<Uint8Array, Uint8Array<ArrayBuffer>> {
  /** Where the bytes come out. */
  readonly readable: ReadableStream<Uint8Array<ArrayBuffer>>;
  /** Where the messages go in. */
  readonly writable: WritableStream<Uint8Array>;

  /**
   * Makes the stream.
   *
   * @param framing What marks the frames.
   */
  constructor(framing: Framing) {
    const { readable, writable } = new TransformStream({
      transform: (payload: Uint8Array, controller) =>
        controller.enqueue(framing.encode(payload)),
    });
    this.readable = readable;
    this.writable = writable;
  }
}

class RawDecoder implements FrameDecoder {
  #limit: number;
  #failure: unknown;

  constructor(limit: number) {
    this.#limit = limit;
  }

  *push(chunk: Uint8Array): Generator<Uint8Array, void> {
    if (this.#limit === 0 && chunk.length > 0) {
      this.#failure ??= new FrameTooLongError(chunk.length, this.#limit);
    }
    if (this.#failure !== undefined) throw this.#failure;
    // The network cuts where it likes, so a cut more is no fault of the peer.
    for (let start = 0; start < chunk.length; start += this.#limit) {
      yield chunk.subarray(start, start + this.#limit);
    }
  }

  finish(): Uint8Array[] {
    if (this.#failure !== undefined) throw this.#failure;
    return [];
  }
}

function raw(maxFrameLength: number): Framing {
  return framingOf({
    name: "raw",
    encodedLength({ length }) {
      if (length > maxFrameLength) {
        throw new FrameTooLongError(length, maxFrameLength);
      }
      return length;
    },
    encodeInto: (payload, buffer, start) => buffer.set(payload, start),
    createDecoder: () => new RawDecoder(maxFrameLength),
  });
}
