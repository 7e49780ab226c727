/**
 * Bytes both ways at once, until the conversation is over.
 *
 * @module
 */
import {
  copy,
  readAhead,
  type Reader,
  writeAll,
  type Writer,
} from "./stream.ts";

/** Options for {@linkcode duplex}. */
export interface DuplexOptions {
  /** Ends the conversation at once: the connection is closed. */
  signal?: AbortSignal;
  /** Takes no more from the source, as though it had ended. */
  stop?: AbortSignal;
  /**
   * How long the source may be silent, in milliseconds, once the peer has
   * ended. A peer that has half-closed may still read; one that is gone cannot
   * be told from it before something is sent.
   *
   * @default {250}
   */
  linger?: number;
}

/** How much went either way. */
export interface Transferred {
  /** Bytes that the connection took from the source. */
  sent: number;
  /** Bytes that the sink took from the connection. */
  received: number;
  /** Whether `stop` cut the source off while it had something to say. */
  cut: boolean;
}

/**
 * Carries on a conversation: source to connection, connection to sink, until
 * the peer ends it.
 *
 * Where the source ends first, the connection is half-closed (RFC 9293 3.6)
 * and what the peer still says is read to its end. Closing the connection is
 * left to the caller.
 *
 * @param conn The connection.
 * @param source What to say.
 * @param sink Where to put what the peer says.
 * @param options How to end it.
 * @returns How much went either way.
 * @throws {Deno.errors.ConnectionReset} If the peer cuts the connection.
 * @throws {Deno.errors.BrokenPipe} If the peer stops reading before everything
 * is sent, or if the sink does.
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
 * const sink = { write: (bytes: Uint8Array) => Promise.resolve(bytes.length) };
 * const source = ReadableStream.from([new Uint8Array(3), new Uint8Array(4)]);
 * assertEquals(await duplex(conn, source, sink), {
 *   sent: 7,
 *   received: 7,
 *   cut: false,
 * });
 * await echo;
 * ```
 */
export async function duplex(
  conn: Connection,
  source: Reader | AsyncIterable<Uint8Array>,
  sink: Writer,
  options: DuplexOptions = {},
): Promise<Transferred> {
  const { signal, stop, linger = LINGER } = options;
  signal?.throwIfAborted();
  const sender = new Sender(conn, source);
  const receiver = new Receiver(conn, sink);
  const abort = () => closeQuietly(conn);
  const stopSending = () => sender.stop();
  signal?.addEventListener("abort", abort, { once: true });
  stop?.addEventListener("abort", stopSending, { once: true });
  if (stop?.aborted) stopSending();
  const receiving = receiver.run();
  const sending = sender.run().then(async () => {
    if (sender.failure === undefined) return;
    // A peer that has stopped reading may still have something to say; but a
    // source that fails has no use for it.
    if (!sender.sourceFailed) await untilSilent(receiver, receiving, LINGER);
    closeQuietly(conn);
  });
  try {
    await receiving;
    await untilSilent(sender, sending, linger);
    if (sender.failure !== undefined) throw sender.failure;
    const { sent, cut } = sender;
    return { sent, received: receiver.received, cut };
  } catch (error) {
    signal?.throwIfAborted();
    throw sender.failure ?? error;
  } finally {
    sender.over = true;
    signal?.removeEventListener("abort", abort);
    stop?.removeEventListener("abort", stopSending);
  }
}

/** How long one direction is silent before it counts as done, milliseconds. */
export const LINGER = 250;

/** As much of a connection as a conversation needs. */
export type Connection = Pick<
  Deno.Conn,
  "read" | "write" | "closeWrite" | "close"
>;

/** One direction of a conversation, as {@linkcode untilSilent} sees it. */
export interface Direction {
  /** Grows with each turn. */
  turns: number;
  /** Whether it waits for something to come, not for it to be taken. */
  waiting: boolean;
  /** Whether nothing more comes. */
  done: boolean;
}

/**
 * Waits until a direction is done, or nothing has come for so long.
 *
 * @param direction The direction.
 * @param end Settles when it is done.
 * @param milliseconds How long.
 */
export async function untilSilent(
  direction: Direction,
  end: Promise<unknown>,
  milliseconds: number,
): Promise<void> {
  while (!direction.done) {
    const before = direction.turns;
    const { promise, resolve } = Promise.withResolvers<void>();
    const timer = setTimeout(resolve, milliseconds);
    // Whoever waits for `end` itself hears of its error.
    await Promise.race([promise, end.catch(() => {})]);
    clearTimeout(timer);
    if (direction.waiting && direction.turns === before) return;
  }
}

/** The receiving half of {@linkcode duplex}. */
class Receiver implements Direction, Reader, Writer {
  turns = 0;
  waiting = true;
  done = false;
  received = 0;
  #conn: Connection;
  #sink: Writer;

  constructor(conn: Connection, sink: Writer) {
    this.#conn = conn;
    this.#sink = sink;
  }

  async run(): Promise<void> {
    try {
      this.received = await copy(this, this);
    } finally {
      this.done = true;
    }
  }

  read(buffer: Uint8Array): Promise<number | null> {
    this.turns++;
    this.waiting = true;
    return this.#conn.read(buffer);
  }

  write(bytes: Uint8Array): Promise<number> {
    this.waiting = false;
    return this.#sink.write(bytes);
  }
}

/** The sending half of {@linkcode duplex}. */
class Sender implements Direction {
  turns = 0;
  waiting = true;
  done = false;
  sent = 0;
  /** What ended the sending early. */
  failure: unknown;
  sourceFailed = false;
  cut = false;
  /** Whether nothing more is to be sent: what the source gives now is late. */
  over = false;
  #conn: Connection;
  #source: AsyncIterable<Uint8Array>;
  #lastTurn = -Infinity;

  constructor(conn: Connection, source: Reader | AsyncIterable<Uint8Array>) {
    this.#conn = conn;
    this.#source = "read" in source ? readAhead(source) : source;
  }

  /** Never rejects: what goes wrong is in `failure`. */
  async run(): Promise<void> {
    try {
      for await (const chunk of this.#source) {
        if (this.over) return;
        this.waiting = false;
        await writeAll(this.#conn, chunk);
        this.waiting = true;
        this.turns++;
        this.#lastTurn = performance.now();
        this.sent += chunk.length;
        if (this.over) break;
      }
      if (!this.done) await this.#halfClose();
    } catch (error) {
      this.failure = error;
      this.sourceFailed = this.waiting;
      // So that a peer that waits for more learns that there is none.
      await this.#conn.closeWrite().catch(() => {});
    } finally {
      this.done = true;
    }
  }

  /** Takes nothing more; what is being written is written to its end. */
  stop(): void {
    if (this.done) return;
    this.over = true;
    // A source that was not silent just now probably had more.
    this.cut = !this.waiting || performance.now() - this.#lastTurn < LINGER;
    if (!this.waiting) return;
    this.done = true;
    this.#halfClose().catch((error) => this.failure = error);
  }

  async #halfClose(): Promise<void> {
    this.waiting = false;
    await this.#conn.closeWrite();
    this.waiting = true;
  }
}

function closeQuietly(conn: Pick<Deno.Conn, "close">): void {
  try {
    conn.close();
  } catch {
    // It is closed already.
  }
}
