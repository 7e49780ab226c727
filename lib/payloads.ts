/**
 * What a sender of datagrams sends: texts, lines of input, or filling.
 *
 * @module
 */
import { decodeFrames, FrameTooLongError, parseFraming } from "./framing.ts";
import { chunks, type Reader } from "./stream.ts";

/** What {@linkcode payloads} gives. */
export interface PayloadOptions {
  /** The texts to send, in this order, and again from the first. */
  texts: string[];
  /** How often each text is sent; without texts, how many datagrams. */
  count?: number;
  /** Length of each datagram in bytes, with the header. */
  size?: number;
  /**
   * Room for a header at the start of each, in bytes.
   *
   * @default {0}
   */
  header?: number;
  /** Longest datagram, in bytes. */
  limit: number;
}

/** Length of a datagram that is made up, where no size is given. */
const DEFAULT_SIZE = 64;
const FILLING = "abcdefghijklmnopqrstuvwxyz0123456789";

/**
 * Gives what the datagrams hold, one at a time and only when asked for.
 *
 * With neither texts nor count nor size, each line of the input is one.
 *
 * @param options What to give.
 * @param input Where lines come from.
 * @returns The payloads. Those that are equal are one array.
 * @throws {RangeError} If a line is too long for a datagram.
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 *
 * const empty = { read: () => Promise.resolve(null) };
 * const given = payloads({ texts: ["a", "b"], count: 2, limit: 100 }, empty);
 * const texts = (await Array.fromAsync(given)).map((payload) =>
 *   new TextDecoder().decode(payload)
 * );
 * assertEquals(texts, ["a", "b", "a", "b"]);
 * ```
 */
export function payloads(
  options: PayloadOptions,
  input: Reader,
): AsyncGenerator<Uint8Array, void> {
  return totalOf(options) === undefined
    ? lines(input, options)
    : repeated(options);
}

/**
 * Says how many datagrams there will be.
 *
 * @param options What is to be sent.
 * @returns The number; `undefined` if the input decides.
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 *
 * const options = { texts: ["a", "b"], count: 3, limit: 100 };
 * assertEquals(totalOf(options), 6);
 * ```
 */
export function totalOf(options: PayloadOptions): number | undefined {
  const { texts, count, size } = options;
  if (texts.length > 0) return (count ?? 1) * texts.length;
  return count ?? (size === undefined ? undefined : 1);
}

async function* repeated(options: PayloadOptions) {
  const { texts, count = 1, size, header = 0 } = options;
  const datagrams = texts.length > 0
    ? texts.map((text) => filled(encoder.encode(text), header, size))
    : [filled(new Uint8Array(0), header, size ?? DEFAULT_SIZE)];
  for (let round = 0; round < count; round++) yield* datagrams;
}

async function* lines(input: Reader, { header = 0, limit }: PayloadOptions) {
  const framing = parseFraming("lines", { maxFrameLength: limit - header });
  try {
    for await (const line of decodeFrames(chunks(input), framing)) {
      yield filled(line, header);
    }
  } catch (error) {
    if (!(error instanceof FrameTooLongError)) throw error;
    throw new RangeError(
      `Cannot send a line of ${error.length} bytes or more: a datagram holds at most ${error.limit}`,
      { cause: error },
    );
  }
}

const encoder = new TextEncoder();

/** A text after room for a header, cut or filled up to a size if there is one. */
function filled(text: Uint8Array, header: number, size?: number): Uint8Array {
  const datagram = new Uint8Array(size ?? header + text.length);
  const body = datagram.subarray(header);
  for (let i = text.length; i < body.length; i++) {
    body[i] = FILLING.charCodeAt(i % FILLING.length);
  }
  body.set(text.subarray(0, body.length));
  return datagram;
}
