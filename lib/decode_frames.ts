/**
 * Frames out of chunks, on demand. `framing.ts` is the way in.
 *
 * @module
 */
import type { Framing } from "./frame.ts";

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
 * import { parseFraming } from "./framing.ts";
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
  return new DecodedFrames(chunksOfFrames(source, framing));
}

/** The frames that each chunk ends, and those that the end of all ends. */
async function* chunksOfFrames(
  source: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
  framing: Framing,
): AsyncGenerator<Iterable<Uint8Array>, void> {
  const decoder = framing.createDecoder();
  for await (const chunk of source) yield decoder.push(chunk);
  yield decoder.finish();
}

type Frame = IteratorResult<Uint8Array, void>;
const END: Frame = { done: true, value: undefined };

/**
 * Gives the frames of chunk after chunk. An async generator would say that in
 * three lines, but it suspends itself for each frame: where a chunk has many,
 * this gives twice as many a second.
 */
class DecodedFrames implements AsyncGenerator<Uint8Array, void> {
  #chunks: AsyncGenerator<Iterable<Uint8Array>, void>;
  #frames: Iterator<Uint8Array, void> = [].values();
  /** The last call that had to wait; those after it come after it. */
  #waiting: Promise<unknown> | undefined;

  constructor(chunks: AsyncGenerator<Iterable<Uint8Array>, void>) {
    this.#chunks = chunks;
  }

  next(): Promise<Frame> {
    if (this.#waiting === undefined) {
      try {
        const frame = this.#frames.next();
        if (!frame.done) return Promise.resolve(frame);
      } catch (error) {
        return this.throw(error);
      }
    }
    return this.#inTurn(() => this.#nextOfChunks());
  }

  return(): Promise<Frame> {
    return this.#inTurn(() => this.#end());
  }

  throw(error: unknown): Promise<Frame> {
    return this.#inTurn(async () => {
      await this.#end();
      throw error;
    });
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.return();
  }

  async #nextOfChunks(): Promise<Frame> {
    try {
      for (;;) {
        const frame = this.#frames.next();
        if (!frame.done) return frame;
        const chunk = await this.#chunks.next();
        if (chunk.done) return END;
        this.#frames = chunk.value[Symbol.iterator]();
      }
    } catch (error) {
      await this.#end();
      throw error;
    }
  }

  async #end(): Promise<Frame> {
    this.#frames = [].values();
    await this.#chunks.return();
    return END;
  }

  /** Does something when all that was asked for before is done. */
  #inTurn(act: () => Promise<Frame>): Promise<Frame> {
    const result = this.#waiting === undefined
      ? act()
      : this.#waiting.then(act, act);
    this.#waiting = result;
    const done = () => {
      if (this.#waiting === result) this.#waiting = undefined;
    };
    result.then(done, done);
    return result;
  }
}
