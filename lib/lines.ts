/**
 * The framing in which a line feed ends a frame. `framing.ts` is the way in.
 *
 * @module
 */
import {
  type FrameDecoder,
  FrameTooLongError,
  type Framing,
  PartialFrame,
} from "./frame.ts";

const LINE_FEED = 0x0a;
const CARRIAGE_RETURN = 0x0d;

/** How much of `line` is left without the carriage return of a CRLF. */
function lengthWithoutReturn(line: Uint8Array): number {
  const last = line.length - 1;
  return last >= 0 && line[last] === CARRIAGE_RETURN ? last : line.length;
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
    let start = 0;
    for (;;) {
      // Only new bytes are searched: a long line costs no more than its length.
      const end = chunk.indexOf(LINE_FEED, start);
      if (end === -1) break;
      const rest = chunk.subarray(start, end);
      start = end + 1;
      yield this.#partial.length === 0 ? this.#line(rest) : this.#joined(rest);
    }
    if (start < chunk.length) this.#keep(chunk.subarray(start));
  }

  finish(): Uint8Array[] {
    if (this.#failure !== undefined) throw this.#failure;
    return this.#partial.length > 0 ? [this.#line(this.#partial.take())] : [];
  }

  #line(line: Uint8Array): Uint8Array {
    const length = lengthWithoutReturn(line);
    if (length > this.#limit) this.#fail();
    return line.subarray(0, length);
  }

  #joined(rest: Uint8Array): Uint8Array {
    this.#keep(rest);
    return this.#line(this.#partial.take());
  }

  #keep(bytes: Uint8Array): void {
    const most = this.#limit + 1; // and one carriage return
    if (this.#partial.length + bytes.length > most) this.#fail();
    this.#partial.append(bytes, most);
    if (lengthWithoutReturn(this.#partial.bytes) > this.#limit) this.#fail();
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
  return {
    name: "lines",
    encode(payload) {
      const { length } = payload;
      if (length > maxFrameLength) {
        throw new FrameTooLongError(length, maxFrameLength);
      }
      if (payload.includes(LINE_FEED)) {
        throw new Deno.errors.InvalidData("A line cannot hold a line feed");
      }
      // A line's own carriage return at its end survives only before a CRLF.
      const end = lengthWithoutReturn(payload) < length
        ? [CARRIAGE_RETURN, LINE_FEED]
        : [LINE_FEED];
      const frame = new Uint8Array(length + end.length);
      frame.set(payload);
      frame.set(end, length);
      return frame;
    },
    createDecoder: () => new LineDecoder(maxFrameLength),
  };
}
