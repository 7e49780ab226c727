// A program talks to a peer: standard input, or some texts, to the connection,
// and what comes to standard output, message by message.
import { Output, printable, typedLine } from "../command/output.ts";
import { decodeFrames, type Framing, parseFraming } from "../framing.ts";
import { FEED } from "../framing/line_feeds.ts";
import { DEFAULT_MAX_FRAME_LENGTH, FrameTooLongError } from "../framing.ts";
import { duplex, SILENCE } from "../tcp/duplex.ts";
import { chunks, concatenate, standardInput } from "../tcp/stream.ts";
import { hexDump } from "../text.ts";

/** What is sent, how much is to come, and what ends it. */
export interface PipeOptions {
  send?: readonly string[];
  noStdin: boolean;
  crlf: boolean;
  /** Shows what comes and what is sent in hexadecimal. */
  hex: boolean;
  /** Ends it after so many messages, lines in `raw`; 0: once all is sent. */
  replies?: number;
  /** Takes no more of the input; what the peer says is read to its end. */
  stop: AbortSignal;
  /** Ends it at once. */
  signal?: AbortSignal;
}

const ENOUGH = Symbol("enough replies");

// Carries bytes both ways; closing the connection is left to the caller. Throws
// where `stop` cuts off input that was still coming, or replies are missing.
export async function pipe(
  conn: Deno.Conn,
  framing: Framing,
  options: PipeOptions,
): Promise<void> {
  const output = new Output();
  const { stop, noStdin, hex, replies = -1, signal = output.failed } = options;
  const isRaw = framing.name === "raw";
  const [heard, own] = [framing.createDecoder(), framing.createDecoder()];
  const over = new AbortController();
  const shown = { "<": 0, ">": 0 };
  let count = 0;
  let isOpen = false; // whether the last line that came has no end

  /** Shows bytes that come or go in hexadecimal. */
  async function dump(bytes: Uint8Array, direction: "<" | ">"): Promise<void> {
    const rows = hexDump(bytes, shown[direction]);
    shown[direction] += bytes.length;
    await output.text(rows.replace(/^(?=.)/gm, `${direction} `));
  }

  async function print(messages: Iterable<Uint8Array>): Promise<void> {
    const printed: Uint8Array[] = [];
    try {
      for (const message of messages) {
        if (count === replies) break;
        if (hex) await dump(message, "<");
        else printed.push(...printable(message, framing, output.terminal));
        isOpen = isRaw && message.at(-1) !== FEED;
        if (!isOpen) count++;
      }
    } catch (error) {
      over.abort(error); // what the peer says next has no meaning
    }
    const isOne = printed.length === 1;
    await output.write(isOne ? printed[0] : concatenate(printed));
    if (count === replies && count > 0) over.abort(ENOUGH);
  }

  async function* watchedInput(): AsyncGenerator<Uint8Array, void> {
    for await (const bytes of inputOf(options, framing)) {
      const messages = hex ? own.push(bytes) : [];
      for (const message of messages) await dump(message, ">");
      yield bytes;
    }
    if (replies === 0) over.abort(ENOUGH);
  }

  const isWatched = hex || replies >= 0;
  const program = {
    [Symbol.asyncIterator]: () =>
      isWatched ? watchedInput() : inputOf(options, framing),
    async write(bytes: Uint8Array): Promise<number> {
      if (isRaw && !isWatched) {
        isOpen = bytes.at(-1) !== FEED;
        return await output.write(bytes);
      }
      const isCounted = isRaw && replies >= 0;
      await print(isCounted ? linesIn(bytes) : heard.push(bytes));
      return bytes.length;
    },
    async closeWrite(): Promise<void> {
      await print(heard.finish());
      if (isOpen) count++; // the end ends a line, too
    },
  };
  const ends = {
    stop,
    signal: AbortSignal.any([over.signal, output.failed, signal]),
    linger: noStdin ? 0 : SILENCE,
  };
  try {
    const { sent, cut } = await duplex(conn, program, ends);
    if (cut) throw new Error(`it was stopped after ${sent} bytes of its input`);
    if (count < replies) {
      throw new Error(`the peer ended after ${count} of ${replies} replies`);
    }
  } catch (error) {
    if (error !== ENOUGH) throw error;
  } finally {
    // A read that waits there would keep the process.
    if (!noStdin) Deno.stdin.close();
    if (!signal.aborted) await output.finish();
    // A shell's prompt, for one, begins on a line of its own.
    if (isOpen && output.terminal && !hex) await output.text("\n");
  }
}

/** The lines of a chunk, each with its line feed; the last may have none. */
function* linesIn(chunk: Uint8Array): Generator<Uint8Array, void> {
  for (let start = 0; start < chunk.length;) {
    const end = chunk.indexOf(FEED, start) + 1 || chunk.length;
    yield chunk.subarray(start, end);
    start = end;
  }
}

/** What is sent: texts, nothing, or standard input, framed or as it is. */
async function* inputOf(
  { send = [], noStdin, crlf }: PipeOptions,
  framing: Framing,
): AsyncGenerator<Uint8Array, void> {
  const [name, blockLength] = framing.name.split(":");
  try {
    for (const text of send) {
      yield typedLine(new TextEncoder().encode(text), framing, crlf);
    }
    if (send.length > 0) return;
    if (noStdin) await new Promise(() => {});
    if (blockLength || name === "raw" && !crlf) {
      // A peer may take what one read gives for a block.
      const size = Number(blockLength ?? 1);
      let rest = new Uint8Array(0);
      for await (const chunk of readAhead()) {
        const bytes = rest.length > 0 ? concatenate([rest, chunk]) : chunk;
        const end = bytes.length - bytes.length % size;
        yield bytes.subarray(0, end);
        rest = bytes.slice(end);
      }
      if (rest.length > 0) yield framing.encode(rest);
    } else {
      const maxFrameLength = Math.min(framing.maxFrameLength, 2 ** 32);
      const lines = parseFraming("lines", { maxFrameLength });
      for await (const line of decodeFrames(chunks(standardInput), lines)) {
        yield typedLine(line, framing, crlf);
      }
    }
  } catch (error) {
    if (!(error instanceof FrameTooLongError)) throw error;
    // This says nothing about the peer.
    const { limit } = error;
    const remedy = limit === DEFAULT_MAX_FRAME_LENGTH ? " (--max-frame)" : "";
    throw new RangeError(
      `the input has a message of more than ${limit} bytes, the most that one may have${remedy}`,
    );
  }
}

// Reads on while the last chunk is being sent, into two buffers by turns: a
// gibibyte from a pipe is sent 13 % faster than by `chunks`.
async function* readAhead(): AsyncGenerator<Uint8Array, void> {
  let [buffer, other] = [new Uint8Array(65_536), new Uint8Array(65_536)];
  let reading = standardInput.read(buffer);
  for (let length; (length = await reading) !== null;) {
    const chunk = buffer.subarray(0, length);
    [buffer, other] = [other, buffer];
    reading = standardInput.read(buffer);
    reading.catch(() => {}); // nobody may be there to hear of it
    yield chunk;
  }
}
