/**
 * Messages from a program's output, and messages into a program's input.
 *
 * @module
 */
import {
  decodeFrames,
  DEFAULT_MAX_FRAME_LENGTH,
  FrameTooLongError,
  type Framing,
  parseFraming,
} from "./framing.ts";
import type { Output } from "./output.ts";
import { chunks, concatenate, type Reader, type Writer } from "./stream.ts";

const LINE_FEED = 0x0a;
const CARRIAGE_RETURN = 0x0d;

/** The block length of `fixed:N`, which carries bytes and not lines. */
function blockLengthOf(framing: Framing): number | undefined {
  const length = /^fixed:(\d+)$/.exec(framing.name)?.[1];
  return length === undefined ? undefined : Number(length);
}

/**
 * Takes the NUL bytes off that pad a `fixed:N` block, for a person to read.
 *
 * @param message The message.
 * @param framing The framing; only `fixed:N` pads.
 * @returns The message up to its last byte that is not NUL.
 */
export function withoutPadding(
  message: Uint8Array,
  framing: Framing,
): Uint8Array {
  if (blockLengthOf(framing) === undefined) return message;
  return message.subarray(0, message.findLastIndex((byte) => byte !== 0) + 1);
}

/**
 * Gives a typed line the form that it has on the wire.
 *
 * @param line The line, without its end.
 * @param framing The framing; raw carries the line as it was typed, with its
 * end, as nc does.
 * @param crlf Whether a line ends with CRLF, in `raw` and `lines`.
 * @returns The bytes to send.
 */
export function encodeTyped(
  line: Uint8Array,
  framing: Framing,
  crlf = false,
): Uint8Array {
  const { name } = framing;
  if (name !== "raw" && (name !== "lines" || !crlf)) {
    return framing.encode(line);
  }
  const end = crlf ? [CARRIAGE_RETURN, LINE_FEED] : [LINE_FEED];
  return concatenate([line, new Uint8Array(end)]);
}

/** What a client is to say. */
export interface InputOptions {
  /** These texts, and no input. */
  send: readonly string[];
  /** Nothing at all: only listen. */
  noStdin: boolean;
  /** Whether a line is sent with CRLF, in `raw` and `lines`. */
  crlf: boolean;
  /** The longest message, in bytes, if not 64 KiB. */
  maxFrame?: number;
}

/**
 * Chooses where the bytes that a client sends come from.
 *
 * @param options What it is to say.
 * @param framing What marks its messages.
 * @returns Their source: standard input as it is or framed, texts, or silence.
 */
export function inputOf(
  options: InputOptions,
  framing: Framing,
): Reader | AsyncIterable<Uint8Array> {
  const { send, noStdin, crlf, maxFrame } = options;
  if (send.length > 0) return blameless(frameTexts(send, framing, crlf));
  if (noStdin) return { read: () => new Promise(() => {}) };
  if (framing.name === "raw" && !crlf) return Deno.stdin;
  return blameless(frameInput(Deno.stdin, framing, crlf, maxFrame));
}

/** Lets go of standard input: a read that waits there keeps the process. */
export function releaseStandardInput(): void {
  try {
    Deno.stdin.close();
  } catch {
    // It is closed already.
  }
}

async function* frameTexts(
  texts: readonly string[],
  framing: Framing,
  crlf: boolean,
): AsyncGenerator<Uint8Array, void> {
  for (const text of texts) {
    const line = new TextEncoder().encode(text);
    yield crlf ? encodeTyped(line, framing, crlf) : framing.encode(line);
  }
}

/** What is too long in the input says nothing about the peer. */
async function* blameless(
  messages: AsyncIterable<Uint8Array>,
): AsyncGenerator<Uint8Array, void> {
  try {
    yield* messages;
  } catch (error) {
    if (!(error instanceof FrameTooLongError)) throw error;
    const { limit } = error;
    const remedy = limit === DEFAULT_MAX_FRAME_LENGTH ? " (--max-frame)" : "";
    throw new RangeError(
      `the input has a message of more than ${limit} bytes, the most that one may have${remedy}`,
    );
  }
}

/**
 * Cuts input into messages and frames them: each line is one, or each block if
 * the framing is `fixed:N`, the last one padded.
 *
 * @param source The input.
 * @param framing What marks the messages.
 * @param crlf Whether a line is sent with CRLF, in `raw` and `lines`.
 * @param maxFrameLength The longest line, in bytes, if not 64 KiB.
 * @returns The messages as they go over the wire.
 */
export async function* frameInput(
  source: Reader,
  framing: Framing,
  crlf = false,
  maxFrameLength?: number,
): AsyncGenerator<Uint8Array, void> {
  const blockLength = blockLengthOf(framing);
  if (blockLength !== undefined) return yield* blocks(source, blockLength);
  const lines = parseFraming("lines", { maxFrameLength });
  for await (const line of decodeFrames(chunks(source), lines)) {
    yield encodeTyped(line, framing, crlf);
  }
}

async function* blocks(
  source: Reader,
  blockLength: number,
): AsyncGenerator<Uint8Array, void> {
  let pieces: Uint8Array[] = [];
  let length = 0;
  for await (const chunk of chunks(source)) {
    pieces.push(chunk);
    length += chunk.length;
    if (length < blockLength) continue;
    const bytes = concatenate(pieces);
    const whole = length - length % blockLength;
    yield bytes.subarray(0, whole);
    pieces = [bytes.subarray(whole)];
    length -= whole;
  }
  if (length > 0) {
    const block = new Uint8Array(blockLength);
    block.set(concatenate(pieces));
    yield block;
  }
}

/**
 * Takes a stream of frames and prints each message, on a line of its own unless
 * the framing is `fixed:N`.
 */
export class MessagePrinter implements Writer {
  #output: Output;
  #end: Uint8Array;
  #framing: Framing;
  #asIs: boolean;
  #decoder;

  /**
   * Makes a printer.
   *
   * @param output Where messages go.
   * @param framing What marks them.
   */
  constructor(output: Output, framing: Framing) {
    this.#output = output;
    this.#decoder = framing.createDecoder();
    this.#framing = framing;
    const blocks = blockLengthOf(framing) !== undefined;
    this.#asIs = output.hex || blocks && !output.terminal;
    this.#end = new Uint8Array(this.#asIs ? [] : [LINE_FEED]);
  }

  /**
   * Takes the next bytes.
   *
   * @param bytes The bytes, as they came.
   * @returns How many they are.
   */
  async write(bytes: Uint8Array): Promise<number> {
    await this.#print(this.#decoder.push(bytes));
    return bytes.length;
  }

  /**
   * Ends the stream.
   *
   * @throws {TruncatedFrameError} If it ends inside a message.
   */
  async finish(): Promise<void> {
    await this.#print(this.#decoder.finish());
  }

  async #print(messages: Iterable<Uint8Array>): Promise<void> {
    const printed: Uint8Array[] = [];
    try {
      for (const message of messages) {
        printed.push(
          this.#asIs ? message : withoutPadding(message, this.#framing),
          this.#end,
        );
      }
    } finally {
      await this.#output.writeAll(concatenate(printed));
    }
  }
}
