// The payload, on standard output: untouched where a program reads it, made
// safe where a terminal would obey it.
import { DEFAULT_MAX_FRAME_LENGTH, type Framing } from "../framing.ts";
import { decodeFrames, parseFraming } from "../framing.ts";
import { FEED, withReturns } from "../framing/line_feeds.ts";
import { reasonFor } from "../tcp/errors.ts";
import { concatenate, patiently } from "../tcp/stream.ts";
import { writeAll, type Writer } from "../tcp/stream.ts";
import { safeLine, SafeTextDecoder } from "../text.ts";
import { logWritten } from "./log.ts";

/** Standard output takes no more. */
export class OutputError extends Error {
  constructor(cause: unknown) {
    super(`Cannot write to standard output: ${reasonFor(cause)}`, { cause });
  }
}

/** What a pipe takes whole or not at all, and what Deno may hold unflushed. */
const [ATOMIC_WRITE, KEPT_WRITE] = [4096, 1024];
/** A pipe that has taken so many bytes without a refusal waits by itself. */
const TRIED_WRITES = 8_388_608;
let triedBytes = 0;

// A parent may have made the pipe non-blocking: then it refuses when it is full,
// and Deno does not say how much of a long write it took. So it gets pieces:
//     whole lines, or 1 to 4 KiB of one   taken, or refused and tried again
//     less than 1 KiB of a line           kept by Deno; only flushed again
export const standardOutput: Writer = {
  async write(bytes) {
    if (triedBytes > TRIED_WRITES) return await Deno.stdout.write(bytes);
    const start = bytes.subarray(0, ATOMIC_WRITE);
    const lines = start.lastIndexOf(FEED) + 1;
    const length = lines || start.length;
    let piece = start.subarray(0, length);
    triedBytes += length;
    const taken = await patiently(() =>
      Deno.stdout.write(piece).catch((error) => {
        triedBytes = -Infinity;
        if (!lines && length < KEPT_WRITE) piece = piece.subarray(length);
        throw error;
      })
    );
    return taken || length;
  },
};

/** Writes all bytes now. */
export async function print(bytes: Uint8Array): Promise<void> {
  await logWritten(); // log lines about these bytes come first
  await writeAll(standardOutput, bytes)
    .catch((error) => Promise.reject(new OutputError(error)));
}

/** A datagram as a person sees it, on lines of its own. */
export function shownDatagram(payload: Uint8Array): Uint8Array {
  const text = new TextDecoder("utf-8", { ignoreBOM: true }).decode(payload);
  const lines = text.replaceAll("\r\n", "\n").replace(/\n?$/, "\n");
  return new TextEncoder().encode(lines.replace(/[^\n\t]+/g, safeLine));
}

/** The most bytes that wait to be written; then `write` waits, too. */
const QUEUED_OUTPUT = 1_048_576;

// Prints what a peer sent, for a person at once. For a program it takes more
// while the last is being written: a write to a pipe takes longer than the
// network needs for the next datagram; waiting for each would lose four in five.
/** A failed write is thrown by the next call, or by `finish`. */
export class Output {
  readonly terminal = Deno.stdout.isTerminal();
  #decoder = new SafeTextDecoder();
  /** The last character that a terminal shows. */
  #last = "\n";
  /** What is to be written next, and what is being written, by turns. */
  #waiting = new Uint8Array(QUEUED_OUTPUT);
  #other = new Uint8Array(QUEUED_OUTPUT);
  #length = 0;
  #writing: Promise<void> | undefined;
  #failure = new AbortController();
  /** Aborted when nothing more can be written, with {@linkcode OutputError}. */
  readonly failed = this.#failure.signal;

  /** Writes a part of a stream; a character may lie across two parts. */
  async write(bytes: Uint8Array): Promise<void> {
    if (this.terminal) {
      const text = this.#decoder.push(bytes);
      this.#last = text.at(-1) ?? this.#last;
      return await print(new TextEncoder().encode(text));
    }
    for (let rest = bytes; rest.length > 0;) {
      const part = rest.subarray(0, QUEUED_OUTPUT - this.#length);
      this.#waiting.set(part, this.#length);
      this.#length += part.length;
      rest = rest.subarray(part.length);
      this.#writing ??= this.#drain();
      if (rest.length > 0) await this.#writing;
      this.failed.throwIfAborted();
    }
  }

  /** Ends the stream, for a person the last line, too; waits until then. */
  async finish(): Promise<void> {
    const rest = this.terminal ? this.#decoder.finish() : "";
    // A shell's prompt, for one, begins on a line of its own.
    const isEnded = (this.#last + rest).endsWith("\n");
    if (!isEnded) await print(new TextEncoder().encode(`${rest}\n`));
    await this.#writing;
    this.failed.throwIfAborted();
  }

  async #drain(): Promise<void> {
    try {
      while (this.#length > 0) {
        const bytes = this.#waiting.subarray(0, this.#length);
        [this.#waiting, this.#other] = [this.#other, this.#waiting];
        this.#length = 0;
        await print(bytes);
      }
    } catch (error) {
      this.#failure.abort(error);
    }
    this.#writing = undefined;
  }
}

const LINE_END = new Uint8Array([FEED]);

/** A message as it is printed: on a line of its own, unless it is only bytes. */
export function printable(
  message: Uint8Array,
  { name }: Framing,
  isSeen = true,
): Uint8Array[] {
  const isBlock = name.startsWith("fixed:");
  if (name === "raw" || isBlock && !isSeen) return [message];
  // A person need not see the NUL bytes that pad a block.
  const last = message.findLastIndex((byte) => !isBlock || byte !== 0);
  return [message.subarray(0, last + 1), LINE_END];
}

/** The lines of our own input, up to one of more than `most` bytes. */
export function linesFrom(input: AsyncIterable<Uint8Array>, most = 2 ** 32) {
  const framing = parseFraming("lines", { maxFrameLength: most });
  return decodeFrames(input, framing);
}

/** An over-long message in our input is our error, not the peer's. */
export function tooLong({ maxFrameLength: most }: Framing): RangeError {
  const remedy = most === DEFAULT_MAX_FRAME_LENGTH ? " (--max-frame)" : "";
  return new RangeError(
    `the input has a message of more than ${most} bytes, the most that one may have${remedy}`,
  );
}

/** A line as it is sent. In `raw` it needs an end; `crlf`: its ends are CRLF. */
export function typedLine(
  line: Uint8Array,
  framing: Framing,
  crlf = false,
): Uint8Array {
  if (line.length > framing.maxFrameLength) throw tooLong(framing);
  const bytes = framing.encode(line);
  const isEnded = framing.name !== "raw" || bytes.at(-1) === FEED;
  const whole = isEnded ? bytes : concatenate([bytes, LINE_END]);
  return crlf ? withReturns(whole) : whole;
}
