// Bytes both ways at once, until the conversation is over.
import { unlessGone } from "./errors.ts";
import { chunks, pause, type Reader, writeAll, type Writer } from "./stream.ts";

/** One end of a conversation: a connection, or standard input and output. */
export type DuplexEnd = (Reader | AsyncIterable<Uint8Array>) & Writer & {
  /** Tells the end that nothing more comes; it can still be read. */
  closeWrite(): Promise<void>;
};

/** Options for {@linkcode duplex}. */
export interface DuplexOptions {
  /** Ends the conversation at once. */
  signal?: AbortSignal;
  /** Takes no more from the second end, as though it had ended. */
  stop?: AbortSignal;
  /** Most silence of the second after the first, ms. @default {2 ** 31 - 1} */
  linger?: number;
}

/** How long a direction may be silent where the other has ended, in ms. */
export const SILENCE = 250;

/** One direction: what it has carried, and whether more may come. */
class Direction {
  bytes = 0;
  /** Whether it waits for something to come, not for it to be taken. */
  waiting = true;
  lastTaken = -Infinity;
  /** Aborted when all is carried, or what comes now is late. */
  over = new AbortController();

  /** Waits until it is over, or nothing has come for so long. */
  async untilSilent(milliseconds: number): Promise<void> {
    const { signal } = this.over;
    for (let before = -1; !signal.aborted;) {
      if (this.waiting && this.bytes === before) return;
      before = this.bytes;
      await pause(milliseconds, signal);
    }
  }
}

/**
 * Carries on a conversation between two ends, until both have ended.
 *
 * Where one ends, the other is told by its `closeWrite` and read to its end: on
 * a connection a half-close (RFC 9293 3.6). Neither end is closed, and until it
 * is, a read or a write may be under way where the conversation ended early.
 *
 * @param a One end: a connection.
 * @param b The other end.
 * @param options How to end it.
 * @returns How many bytes `a` was sent and how many were received from it, and
 * whether `stop` cut `b` off while it had something to say.
 * @throws {Deno.errors.ConnectionReset} If a peer cuts the connection.
 * @throws {Deno.errors.BrokenPipe} If one end stops reading before everything
 * that the other says is written.
 * @throws {unknown} The reason of `signal`, if it is aborted.
 *
 * @example A client goes on to a server elsewhere
 * ```ts
 * async function forward(client: Deno.Conn, to: Deno.ConnectOptions) {
 *   using server = await Deno.connect(to);
 *   await duplex(client, server);
 * }
 * ```
 */
export async function duplex(
  a: DuplexEnd,
  b: DuplexEnd,
  options: DuplexOptions = {},
): Promise<{ sent: number; received: number; cut: boolean }> {
  const { signal, stop, linger = 2 ** 31 - 1 } = options;
  signal?.throwIfAborted();
  const [sending, receiving] = [new Direction(), new Direction()];
  const { promise: ended, resolve: end } = Promise.withResolvers<unknown>();
  let failure: unknown;
  let cut = false;

  /** Carries everything, then says that it was all. */
  async function carry(way: Direction): Promise<void> {
    const [from, to, back] = way === sending
      ? [b, a, receiving]
      : [a, b, sending];
    const over = way.over.signal;
    try {
      const source = "read" in from ? chunks(from, { reuse: true }) : from;
      for await (const chunk of source) {
        if (over.aborted) return;
        way.waiting = false;
        await writeAll(to, chunk);
        way.waiting = true;
        way.lastTaken = performance.now();
        way.bytes += chunk.length;
        if (way === sending && stop?.aborted) break;
      }
      if (over.aborted) return;
      way.waiting = false;
      await to.closeWrite().catch(unlessGone);
    } catch (error) {
      failure ??= error;
      // So that a peer that waits for more learns that there is none.
      await to.closeWrite().catch(() => {});
      // One that has stopped reading may still have something to say.
      if (!way.waiting) await back.untilSilent(SILENCE);
      end(error);
    } finally {
      way.over.abort("over");
    }
  }

  /** Takes nothing more; what is being written is written to its end. */
  function stopSending(): void {
    if (sending.over.signal.aborted) return;
    // A source that was not silent just now probably had more.
    const silence = performance.now() - sending.lastTaken;
    cut = !sending.waiting || silence < SILENCE;
    if (!sending.waiting) return;
    sending.over.abort("over");
    a.closeWrite().catch(unlessGone).catch((error) => failure ??= error);
  }

  signal?.addEventListener("abort", end);
  stop?.addEventListener("abort", stopSending);
  if (stop?.aborted) stopSending();
  carry(sending);
  // The end of what is sent decides nothing: an answer may still come.
  carry(receiving).then(() => sending.untilSilent(linger)).then(end);
  await ended;
  sending.over.abort("over");
  receiving.over.abort("over");
  signal?.removeEventListener("abort", end);
  stop?.removeEventListener("abort", stopSending);
  signal?.throwIfAborted();
  if (failure !== undefined) throw failure;
  return { sent: sending.bytes, received: receiving.bytes, cut };
}
