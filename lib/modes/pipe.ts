// A program talks to a peer: standard input, or given messages, go to the
// connection, and what comes goes to standard output, message by message.
import { linesFrom, Output, printable } from "../command/output.ts";
import { tooLong, typedLine } from "../command/output.ts";
import { FrameTooLongError, type Framing } from "../framing.ts";
import { FEED, withReturns } from "../framing/line_feeds.ts";
import { chunks, concatenate, pause, SILENCE } from "../tcp/stream.ts";
import { openInput, type Reader, unlessGone } from "../tcp/stream.ts";
import { writeAll } from "../tcp/stream.ts";
import { hexDump } from "../text.ts";

/** What is sent, how much is to come, and what ends it. */
export interface PipeOptions {
  /** Sent in place of standard input. */
  send?: readonly Uint8Array[];
  noStdin: boolean;
  crlf: boolean;
  /** Ends it after so many messages, lines in `raw`; 0: once all is sent. */
  replies?: number;
  /** Ends the input; what the peer says is read to its end. */
  stop: AbortSignal;
  /** Ends it at once. */
  signal?: AbortSignal;

  // On request: shows both directions in hexadecimal.
  hex?: boolean;
}

// Carries bytes both ways until the peer has ended and the input is silent, or
// an option ends it; the caller closes the connection. Throws if `stop` cuts off
// input that is still coming, or if replies are missing.
export async function pipe(
  conn: Deno.Conn,
  framing: Framing,
  options: PipeOptions,
): Promise<void> {
  const output = new Output();
  const { send = [], noStdin, stop, replies = -1, signal } = options;
  const isRaw = framing.name === "raw";
  const heard = framing.createDecoder();
  const over = Promise.withResolvers<void>();
  let isMidLine = false; // whether the last line that came has no end
  let hasInput = !noStdin || send.length > 0;
  let [count, sent] = [0, 0]; // messages that came, bytes that were sent
  let [isWriting, lastSent] = [false, -Infinity]; // when the last write ended
  let isCut = false;
  const view = {
    of: (message: Uint8Array) => printable(message, framing, output.terminal),
  };

  // On request: both directions in hexadecimal.
  const [own, rowsOf] = [framing.createDecoder(), dumper("> ")];
  if (options.hex) view.of = dumper("< ");

  /** Prints messages, up to a bad one, and no more than wanted. */
  async function print(messages: Iterable<Uint8Array>): Promise<void> {
    const printed: Uint8Array[] = [];
    try {
      for (const message of messages) {
        if (count === replies) break;
        printed.push(...view.of(message));
        isMidLine = isRaw && message.at(-1) !== FEED;
        if (!isMidLine) count++;
      }
    } finally {
      const isOne = printed.length === 1;
      await output.write(isOne ? printed[0] : concatenate(printed));
    }
  }

  async function receive(): Promise<void> {
    const isCounted = isRaw && replies >= 0;
    for await (const chunk of chunks(conn, { reuse: true, largest: 262_144 })) {
      await print(isCounted ? linesIn(chunk) : heard.push(chunk));
      if (count === replies && count > 0) return over.resolve();
    }
    await print(heard.finish());
    if (isMidLine) count++; // the end ends a line, too
  }

  async function sendInput(): Promise<void> {
    try {
      for await (const bytes of inputOf(options, framing)) {
        if (stop.aborted) break;

        // On request: what is sent is shown, too.
        if (options.hex) {
          const rows = [...own.push(bytes)].flatMap(rowsOf);
          await output.write(concatenate(rows));
        }

        isWriting = true;
        await writeAll(conn, bytes);
        isWriting = false;
        lastSent = performance.now();
        sent += bytes.length;
        if (stop.aborted) break;
      }
    } catch (error) {
      // A peer that has stopped reading may still have something to say.
      if (isWriting) await Promise.allSettled([conn.closeWrite(), received]);
      throw error instanceof FrameTooLongError ? tooLong(framing) : error;
    }
    await endInput();
  }

  /** Half-closes at the end of the input; an answer may still come. */
  async function endInput(): Promise<void> {
    hasInput = false;
    await conn.closeWrite().catch(unlessGone);
    if (replies !== 0) await received;
  }

  /** Whether more input is likely to come: some came just now. */
  function isSending(): boolean {
    return hasInput && (isWriting || performance.now() - lastSent < SILENCE);
  }

  /** Takes no more input; a write under way goes on to its end. */
  function stopInput(): void {
    isCut = isSending();
    if (!isWriting) endInput().then(over.resolve, over.reject);
  }

  /** Waits for input, while some comes: a peer that has ended may listen. */
  async function untilSilent(): Promise<void> {
    while (hasInput) {
      await pause(SILENCE);
      if (!isSending()) return;
    }
  }

  if (hasInput) sendInput().then(over.resolve, over.reject);
  const received = receive();
  received.then(untilSilent).then(over.resolve, over.reject);
  stop.addEventListener("abort", stopInput);
  for (const end of [output.failed, signal]) {
    end?.addEventListener("abort", () => {
      // What is still being sent after a stop was cut off, which is said below.
      if (isCut && isWriting) over.resolve();
      else over.reject(end.reason);
    });
  }
  try {
    await over.promise;
    if (isCut) {
      throw new Error(`it was stopped after ${sent} bytes of its input`);
    }
    if (count < replies) {
      throw new Error(`the peer ended after ${count} of ${replies} replies`);
    }
  } finally {
    stop.removeEventListener("abort", stopInput);
    if (output.terminal || !signal?.aborted) await output.finish();
  }
}

/** Makes a function that shows messages in hexadecimal. */
function dumper(mark: string) {
  let offset = 0;
  return (message: Uint8Array): Uint8Array[] => {
    const rows = hexDump(message, offset);
    offset += message.length;
    return [new TextEncoder().encode(rows.replace(/^(?=.)/gm, mark))];
  };
}

/** The lines of a chunk, each with its line feed; the last may have none. */
function* linesIn(chunk: Uint8Array): Generator<Uint8Array, void> {
  for (let start = 0; start < chunk.length;) {
    const end = chunk.indexOf(FEED, start) + 1 || chunk.length;
    yield chunk.subarray(start, end);
    start = end;
  }
}

/** What is sent: messages, or standard input, framed or as it is. */
async function* inputOf(
  { send = [], crlf }: PipeOptions,
  framing: Framing,
): AsyncGenerator<Uint8Array, void> {
  const { name, maxFrameLength } = framing;
  if (send.length > 0) return yield* send;
  const input = await openInput();
  if (name === "raw" || name.startsWith("fixed:")) {
    // A peer may take each read for a block, so send whole ones.
    const size = Number(name.slice(6)) || 1;
    let [rest, last] = [new Uint8Array(0), 0];
    for await (const chunk of readAhead(input)) {
      const bytes = rest.length > 0 ? concatenate([rest, chunk]) : chunk;
      const end = bytes.length - bytes.length % size;
      yield crlf ? withReturns(chunk, last) : bytes.subarray(0, end);
      [rest, last] = [bytes.slice(end), chunk.at(-1)!];
    }
    if (rest.length > 0) yield framing.encode(rest);
  } else {
    for await (const line of linesFrom(chunks(input), maxFrameLength)) {
      yield typedLine(line, framing, crlf);
    }
  }
}

// Reads on while the last chunk is being sent, into two buffers by turns: a
// gibibyte from a pipe is sent 13 % faster than by `chunks`.
async function* readAhead(input: Reader): AsyncGenerator<Uint8Array, void> {
  let [buffer, other] = [new Uint8Array(65_536), new Uint8Array(65_536)];
  let reading = input.read(buffer);
  for (let length; (length = await reading) !== null;) {
    const chunk = buffer.subarray(0, length);
    [buffer, other] = [other, buffer];
    reading = input.read(buffer);
    reading.catch(() => {}); // perhaps nobody awaits it any more
    yield chunk;
  }
}
