/**
 * Bytes both ways at once, until the conversation is over.
 *
 * @module
 */
import { chunks, pause, type Reader, writeAll, type Writer } from "./stream.ts";

/**
 * One end of a conversation: a connection, or standard input and output.
 * `closeWrite` is called when the other end has ended; one can still be read
 * after it.
 */
export type DuplexEnd = (Reader | AsyncIterable<Uint8Array>) & Writer & {
  /** Tells the end that nothing more comes. */
  closeWrite(): Promise<void>;
};

/** Options for {@linkcode duplex}. */
export interface DuplexOptions {
  /** Ends the conversation at once. */
  signal?: AbortSignal;
  /** Takes no more from the second end, as though it had ended. */
  stop?: AbortSignal;
  /**
   * How long the second end may be silent, in milliseconds, once the first has
   * ended. A peer that has half-closed may still read; one that is gone cannot
   * be told from it before something is sent.
   *
   * @default {2_147_483_647} the longest that a timer can wait
   */
  linger?: number;
}

/** How much went either way. */
export interface Transferred {
  /** Bytes that the first end took from the second. */
  sent: number;
  /** Bytes that the second end took from the first. */
  received: number;
  /** Whether `stop` cut the second end off while it had something to say. */
  cut: boolean;
}

/**
 * Carries on a conversation between two ends, until both have ended.
 *
 * Where one ends, the other is told by its `closeWrite` and read to its end: on
 * a connection a half-close (RFC 9293 3.6). Neither end is closed. Where the
 * conversation ends early, a read or a write may be under way until the caller
 * closes the ends.
 *
 * @param a One end: a connection.
 * @param b The other end.
 * @param options How to end it.
 * @returns How much went either way.
 * @throws {Deno.errors.ConnectionReset} If a peer cuts the connection.
 * @throws {Deno.errors.BrokenPipe} If one end stops reading before everything
 * that the other says is written.
 * @throws {unknown} The reason of `signal`, if it is aborted.
 *
 * @example
 * ```ts
 * import { copy } from "@socket/scripts/tcp";
 * import { assertEquals } from "@std/assert";
 *
 * using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
 * const echo = listener.accept().then(async (peer) => {
 *   using conn = peer;
 *   await copy(conn, conn);
 * });
 * using conn = await Deno.connect({ port: listener.addr.port });
 * const end = Object.assign(
 *   ReadableStream.from([new Uint8Array(3), new Uint8Array(4)]),
 *   {
 *     write: (bytes: Uint8Array) => Promise.resolve(bytes.length),
 *     closeWrite: () => Promise.resolve(),
 *   },
 * );
 * assertEquals(await duplex(conn, end), { sent: 7, received: 7, cut: false });
 * await echo;
 * ```
 */
export async function duplex(
  a: DuplexEnd,
  b: DuplexEnd,
  options: DuplexOptions = {},
): Promise<Transferred> {
  const { signal, stop, linger = LONGEST_WAIT } = options;
  signal?.throwIfAborted();
  const sending = new Direction();
  const receiving = new Direction();
  const aborted = Promise.withResolvers<never>();
  const abort = () => aborted.reject(signal!.reason);
  const stopSending = () => sending.stop(a);
  signal?.addEventListener("abort", abort, { once: true });
  stop?.addEventListener("abort", stopSending, { once: true });
  if (stop?.aborted) stopSending();
  const sent = sending.carry(b, a, receiving);
  const received = receiving.carry(a, b, sending)
    .then(() => sending.untilSilent(linger));
  try {
    // The end of `sent` alone decides nothing: an answer may still come.
    await Promise.race([aborted.promise, received, sent.then(() => received)]);
    if (sending.failure !== undefined) throw sending.failure;
    const { cut } = sending;
    return { sent: sending.bytes, received: receiving.bytes, cut };
  } catch (error) {
    signal?.throwIfAborted();
    throw sending.failure ?? error;
  } finally {
    sending.ending = receiving.ending = true;
    signal?.removeEventListener("abort", abort);
    stop?.removeEventListener("abort", stopSending);
  }
}

const LONGEST_WAIT = 2 ** 31 - 1;
/** How long a direction may be silent where the other has failed, ms. */
const LAST_WORDS = 250;

/** One direction: what it has carried, and whether more may come. */
class Direction {
  bytes = 0;
  /** Takes nothing more: what comes now is late. */
  ending = false;
  cut = false;
  failure: unknown;
  /** Whether it waits for something to come, not for it to be taken. */
  #waiting = true;
  #lastTaken = -Infinity;
  #over = new AbortController();

  /** Carries everything, then says that it was all. */
  async carry(from: DuplexEnd, to: DuplexEnd, back: Direction): Promise<void> {
    try {
      const source = "read" in from ? chunks(from, { reuse: true }) : from;
      for await (const chunk of source) {
        if (this.ending) return;
        this.#waiting = false;
        await writeAll(to, chunk);
        this.#waiting = true;
        this.#lastTaken = performance.now();
        this.bytes += chunk.length;
        if (this.ending) break;
      }
      if (this.#over.signal.aborted) return;
      this.#waiting = false;
      await to.closeWrite();
    } catch (error) {
      this.failure = error;
      // So that a peer that waits for more learns that there is none.
      await to.closeWrite().catch(() => {});
      // One that has stopped reading may still have something to say.
      if (!this.#waiting) await back.untilSilent(LAST_WORDS);
      throw error;
    } finally {
      this.#over.abort();
    }
  }

  /** Takes nothing more; what is being written is written to its end. */
  stop(to: DuplexEnd): void {
    if (this.#over.signal.aborted) return;
    this.ending = true;
    // A source that was not silent just now probably had more.
    const silence = performance.now() - this.#lastTaken;
    this.cut = !this.#waiting || silence < LAST_WORDS;
    if (!this.#waiting) return;
    this.#over.abort();
    to.closeWrite().catch((error) => this.failure = error);
  }

  /** Waits until it is over, or nothing has come for so long. */
  async untilSilent(milliseconds: number): Promise<void> {
    const { signal } = this.#over;
    while (!signal.aborted) {
      const { bytes } = this;
      await pause(milliseconds, signal);
      if (this.#waiting && this.bytes === bytes) return;
    }
  }
}
