/**
 * The framing in which a line feed ends a frame. `framing.ts` is the way in.
 *
 * @module
 */
import {
  type FrameDecoder,
  FrameTooLongError,
  type Framing,
  framingOf,
  PartialFrame,
} from "./frame.ts";
import { LineFeeds } from "./line_feeds.ts";

const LINE_FEED = 0x0a;
const CARRIAGE_RETURN = 0x0d;

/** Where a line ends, without the carriage return of a CRLF. */
function endOfLine(bytes: Uint8Array, end: number): number {
  // Before an empty line is a line feed, or nothing.
  return bytes[end - 1] === CARRIAGE_RETURN ? end - 1 : end;
}

class LineDecoder implements FrameDecoder {
  #limit: number;
  #partial = new PartialFrame();
  #failure: unknown;

  constructor(limit: number) {
    this.#limit = limit;
  }

  *push(chunk: Uint8Array): Generator<Uint8Array, void> {
    if (this.#failure !== undefined) throw this.#failure;
    // Only new bytes are searched: a long line costs no more than its length.
    let start = 0;
    const feeds = new LineFeeds(chunk);
    let end = feeds.from(0);
    if (end !== -1 && this.#partial.length > 0) {
      this.#keep(chunk.subarray(0, end));
      start = end + 1;
      end = feeds.from(start);
      yield this.#takePartial();
    }
    while (end !== -1) {
      const line = this.#line(chunk, start, end);
      start = end + 1;
      end = feeds.from(start);
      yield line;
    }
    if (start < chunk.length) this.#keep(chunk.subarray(start));
  }

  verbatim(chunk: Uint8Array): [start: number, end: number] {
    const start = this.#partial.length > 0 ? chunk.indexOf(LINE_FEED) + 1 : 0;
    const end = chunk.lastIndexOf(LINE_FEED) + 1;
    // No line is over the limit if all together are not, and none has a
    // carriage return to lose if there is none: two searches, for any number.
    const unchanged = this.#failure === undefined &&
      end - start <= this.#limit &&
      !chunk.subarray(start, end).includes(CARRIAGE_RETURN);
    return unchanged ? [start, end] : [0, 0];
  }

  finish(): Uint8Array[] {
    if (this.#failure !== undefined) throw this.#failure;
    return this.#partial.length > 0 ? [this.#takePartial()] : [];
  }

  #line(bytes: Uint8Array, start: number, end: number): Uint8Array {
    const last = endOfLine(bytes, end);
    if (last - start > this.#limit) this.#fail();
    return bytes.subarray(start, last);
  }

  #takePartial(): Uint8Array {
    const bytes = this.#partial.take();
    return this.#line(bytes, 0, bytes.length);
  }

  #keep(bytes: Uint8Array): void {
    const partial = this.#partial;
    partial.append(bytes, this.#limit + 1); // and one carriage return
    if (endOfLine(partial.bytes, partial.length) > this.#limit) this.#fail();
  }

  /** How long the line would get is unknown; that it is one too many is not. */
  #fail(): never {
    this.#failure = new FrameTooLongError(this.#limit + 1, this.#limit);
    throw this.#failure;
  }
}

/**
 * Makes the framing of lines: LF or CRLF ends a line and is not part of it, and
 * so does the end of the stream. Sent with LF.
 *
 * @param maxFrameLength Longest line without its end, in bytes.
 * @returns The framing.
 */
export function lines(maxFrameLength: number): Framing {
  // A line's own carriage return at its end survives only before a CRLF.
  const needsCrlf = (payload: Uint8Array) =>
    payload[payload.length - 1] === CARRIAGE_RETURN;
  return framingOf({
    name: "lines",
    maxFrameLength,
    encodedLength(payload) {
      const { length } = payload;
      if (length > maxFrameLength) {
        throw new FrameTooLongError(length, maxFrameLength);
      }
      if (payload.includes(LINE_FEED)) {
        throw new Deno.errors.InvalidData("A line cannot hold a line feed");
      }
      return length + (needsCrlf(payload) ? 2 : 1);
    },
    encodeInto(payload, buffer, start) {
      buffer.set(payload, start);
      let end = start + payload.length;
      if (needsCrlf(payload)) buffer[end++] = CARRIAGE_RETURN;
      buffer[end] = LINE_FEED;
    },
    createDecoder: () => new LineDecoder(maxFrameLength),
  });
}
