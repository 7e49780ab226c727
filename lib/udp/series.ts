/**
 * A series of datagrams: what each of them holds, and when it is due.
 *
 * @module
 */
import { decodeFrames, FrameTooLongError, parseFraming } from "../framing.ts";
import { chunks, pause, type Reader, turn } from "../tcp/stream.ts";
import type { UdpSocket } from "../udp.ts";

/** What a series holds; with neither texts nor count nor size, lines of input. */
export interface SeriesOptions {
  /** The texts to send, in this order, and again from the first. */
  texts: string[];
  /** How often each text is sent; without texts, how many datagrams. */
  count?: number;
  /** Length of each datagram in bytes, with the header. */
  size?: number;
  /** Room for a header at the start of each, in bytes. */
  header: number;
}

/** Datagrams to send, one at a time and only when asked for. */
export interface Series {
  /** How many there will be; 0 where the input decides. */
  total: number;
  /** The datagrams; those that are equal are one array. */
  datagrams: AsyncIterable<Uint8Array>;
}

const DEFAULT_SIZE = 64;
const FILLING = "abcdefghijklmnopqrstuvwxyz0123456789";

/** Prepares a series; what does not fit into a datagram of the socket is refused. */
export function seriesOf(
  { texts, count, size, header }: SeriesOptions,
  input: Reader,
  socket: UdpSocket,
): Series {
  if (texts.length === 0 && (count ?? size) === undefined) {
    const datagrams = lineDatagrams(input, socket.limit, header);
    return { total: 0, datagrams };
  }
  if (size !== undefined && size < header) {
    throw new RangeError(`--size must be ${header} or more with --number`);
  }
  const made = texts.length > 0
    ? texts.map((text) => filled(text, header, size))
    : [filled("", header, size ?? DEFAULT_SIZE)];
  for (const { length } of made) socket.checkLength(length);
  const rounds = count ?? 1;
  return { total: rounds * made.length, datagrams: repeated(made, rounds) };
}

async function* repeated(made: Uint8Array[], count: number) {
  for (let round = 0; round < count; round++) {
    for (const datagram of made) yield datagram;
  }
}

async function* lineDatagrams(input: Reader, limit: number, header: number) {
  const framing = parseFraming("lines", { maxFrameLength: limit - header });
  try {
    for await (const line of decodeFrames(chunks(input), framing)) {
      const datagram = new Uint8Array(header + line.length);
      datagram.set(line, header);
      yield datagram;
    }
  } catch (error) {
    if (!(error instanceof FrameTooLongError)) throw error;
    throw new RangeError(
      `Cannot send a line of ${error.length} bytes or more: a datagram holds at most ${error.limit}`,
      { cause: error },
    );
  }
}

/** A text after room for a header, cut or filled up to a size if there is one. */
function filled(text: string, header: number, size?: number): Uint8Array {
  const encoded = new TextEncoder().encode(text);
  const datagram = new Uint8Array(size ?? header + encoded.length);
  const body = datagram.subarray(header);
  for (let i = encoded.length; i < body.length; i++) {
    body[i] = FILLING.charCodeAt(i % FILLING.length);
  }
  body.set(encoded.subarray(0, body.length));
  return datagram;
}

/** A timer of Deno's is late by up to this, in milliseconds. */
const TIMER_DELAY = 2.5;
/** How many datagrams at full speed before signals and answers are heard. */
const SENT_IN_A_ROW = 32;

/**
 * Gives turns at an even pace, for intervals that a timer is too late for. Each
 * has its time on a schedule, so no delay adds up. What is late is caught up
 * with, not in a burst, but a quarter of the interval apart.
 */
export class Pace {
  #interval: number;
  #start = performance.now();
  #last = -Infinity;
  #turns = 0;
  #never = new Int32Array(new SharedArrayBuffer(4));

  /** Starts; the interval is in milliseconds, and 0 for no wait. */
  constructor(interval: number) {
    this.#interval = interval;
  }

  /** Waits for the next turn, or until the signal. */
  async next(signal: AbortSignal): Promise<void> {
    const turns = this.#turns++;
    if (this.#interval === 0) {
      if (turns % SENT_IN_A_ROW === 0) await turn();
      return;
    }
    const due = this.#start + turns * this.#interval;
    const at = Math.max(due, this.#last + this.#interval / 4);
    const left = () => at - performance.now();
    if (left() > TIMER_DELAY) await pause(left() - TIMER_DELAY, signal);
    // This sleeps as long as it should, but so does everything else.
    while (left() > 0 && !signal.aborted) {
      Atomics.wait(this.#never, 0, 0, Math.min(left(), 1));
      await turn();
    }
    this.#last = performance.now();
  }
}
