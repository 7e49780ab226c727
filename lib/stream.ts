/**
 * Bytes from one place to another: one way, or both ways at once.
 *
 * @module
 */

/** Where bytes come from: a connection, standard input, a file. */
export interface Reader {
  /**
   * Reads what is there, at least one byte.
   *
   * @param buffer Where to put it.
   * @returns How many bytes came; `null` at the end.
   */
  read(buffer: Uint8Array): Promise<number | null>;
}

/** Where bytes go: a connection, standard output, a file. */
export interface Writer {
  /**
   * Writes bytes, perhaps not all of them.
   *
   * @param bytes What to write.
   * @returns How many bytes were taken.
   */
  write(bytes: Uint8Array): Promise<number>;
}

const SMALLEST_BUFFER = 1024;
const LARGEST_BUFFER = 262_144;

/**
 * A read buffer that grows while reads fill it and shrinks when they don't: a
 * bulk stream gets 256 KiB, each of ten thousand idle connections 1 KiB.
 */
class ElasticBuffer {
  /** Where the next read goes. */
  space = new Uint8Array(SMALLEST_BUFFER);

  /** Takes note of how much was read, and gives it. */
  filled(length: number): Uint8Array<ArrayBuffer> {
    const { space } = this;
    if (length === space.length) {
      if (length < LARGEST_BUFFER) this.space = new Uint8Array(4 * length);
      return space;
    }
    if (length <= space.length / 16) {
      this.space = new Uint8Array(SMALLEST_BUFFER);
    }
    return space.subarray(0, length);
  }
}

/**
 * Writes all the bytes. A single `write` may take a part of them only.
 *
 * @param to Where to write.
 * @param bytes What to write.
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 *
 * const taken: number[] = [];
 * const narrow = {
 *   write: (bytes: Uint8Array) => {
 *     taken.push(Math.min(2, bytes.length));
 *     return Promise.resolve(taken.at(-1)!);
 *   },
 * };
 * await writeAll(narrow, new Uint8Array(5));
 * assertEquals(taken, [2, 2, 1]);
 * ```
 */
export async function writeAll(to: Writer, bytes: Uint8Array): Promise<void> {
  let written = 0;
  while (written < bytes.length) {
    written += await to.write(written === 0 ? bytes : bytes.subarray(written));
  }
}

/**
 * Puts pieces together, so that one write can send them.
 *
 * @param pieces The pieces, in order.
 * @returns All their bytes.
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 *
 * const pieces = [new Uint8Array([1, 2]), new Uint8Array([3])];
 * assertEquals(concatenate(pieces), new Uint8Array([1, 2, 3]));
 * ```
 */
export function concatenate(
  pieces: readonly Uint8Array[],
): Uint8Array<ArrayBuffer> {
  const length = pieces.reduce((sum, piece) => sum + piece.length, 0);
  const whole = new Uint8Array(length);
  let end = 0;
  for (const piece of pieces) {
    whole.set(piece, end);
    end += piece.length;
  }
  return whole;
}

/**
 * Copies until the source ends. Neither end is closed.
 *
 * A byte is read only when the one before it has been written, so a slow
 * reader slows the source down and memory stays as it is.
 *
 * @param from Where bytes come from.
 * @param to Where they go.
 * @returns How many bytes were copied.
 *
 * @example An echo server's whole conversation
 * ```ts
 * using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
 * using client = await Deno.connect({ port: listener.addr.port });
 * using conn = await listener.accept();
 * const echoed = copy(conn, conn);
 * await client.write(new Uint8Array(3));
 * await client.closeWrite();
 * if (await echoed !== 3) throw new Error("Three bytes were sent");
 * ```
 */
export async function copy(from: Reader, to: Writer): Promise<number> {
  const buffer = new ElasticBuffer();
  let total = 0;
  for (;;) {
    const length = await from.read(buffer.space);
    if (length === null) return total;
    const chunk = buffer.filled(length);
    let written = await to.write(chunk);
    while (written < length) written += await to.write(chunk.subarray(written));
    total += length;
  }
}

/**
 * Gives what a reader reads, a chunk at a time, on demand.
 *
 * Unlike `conn.readable` it leaves the connection open at the end, so that one
 * can still answer. No chunk is overwritten by the next: they may be kept.
 *
 * @param from Where bytes come from.
 * @param largest The most that one read asks for, in bytes.
 * @returns The chunks, none of them empty.
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 *
 * using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
 * using client = await Deno.connect({ port: listener.addr.port });
 * using conn = await listener.accept();
 * await client.write(new TextEncoder().encode("hi"));
 * await client.closeWrite();
 * const [chunk] = await Array.fromAsync(chunks(conn));
 * assertEquals(new TextDecoder().decode(chunk), "hi");
 * ```
 */
export async function* chunks(
  from: Reader,
  largest = 65_536,
): AsyncGenerator<Uint8Array<ArrayBuffer>, void> {
  // Small reads share one piece of memory, each taking the part after the last.
  let space = new Uint8Array(Math.min(SMALLEST_BUFFER, largest));
  for (;;) {
    const length = await from.read(space);
    if (length === null) return;
    yield space.subarray(0, length);
    const full = length === space.length;
    space = space.subarray(length);
    if (space.length === 0) {
      const size = full ? 4 * length : SMALLEST_BUFFER;
      space = new Uint8Array(
        Math.min(Math.max(size, SMALLEST_BUFFER), largest),
      );
    }
  }
}

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
  conn: Pick<Deno.Conn, "read" | "write" | "closeWrite" | "close">,
  source: Reader | AsyncIterable<Uint8Array>,
  sink: Writer,
  options: DuplexOptions = {},
): Promise<Transferred> {
  const { signal, stop, linger = 250 } = options;
  signal?.throwIfAborted();
  const sender = new Sender(conn, source);
  const abort = () => closeQuietly(conn);
  const stopSending = () => sender.stop();
  signal?.addEventListener("abort", abort, { once: true });
  stop?.addEventListener("abort", stopSending, { once: true });
  if (stop?.aborted) stopSending();
  const sending = sender.run();
  try {
    const received = await copy(conn, sink);
    await sender.quiet(sending, linger);
    if (sender.failure !== undefined) throw sender.failure;
    return { sent: sender.sent, received, cut: sender.cut };
  } catch (error) {
    signal?.throwIfAborted();
    // A source that fails closes the connection: it is the cause.
    throw sender.sourceFailed ? sender.failure : error;
  } finally {
    sender.over = true;
    signal?.removeEventListener("abort", abort);
    stop?.removeEventListener("abort", stopSending);
  }
}

/** The sending half of {@linkcode duplex}. */
class Sender {
  sent = 0;
  /** What ended the sending early. */
  failure: unknown;
  sourceFailed = false;
  cut = false;
  /** Whether nothing more is to be sent: what the source gives now is late. */
  over = false;
  #conn: Pick<Deno.Conn, "write" | "closeWrite" | "close">;
  #source: AsyncIterable<Uint8Array>;
  #writing = false;
  #done = false;

  constructor(
    conn: Pick<Deno.Conn, "write" | "closeWrite" | "close">,
    source: Reader | AsyncIterable<Uint8Array>,
  ) {
    this.#conn = conn;
    this.#source = "read" in source ? reusedChunks(source) : source;
  }

  /** Never rejects: what goes wrong is in `failure`. */
  async run(): Promise<void> {
    try {
      for await (const chunk of this.#source) {
        if (this.over) return;
        this.#writing = true;
        await writeAll(this.#conn, chunk);
        this.#writing = false;
        this.sent += chunk.length;
        if (this.over) break;
      }
      if (!this.#done) await this.#halfClose();
    } catch (error) {
      this.failure = error;
      // A peer that stops reading may still have something to say; but without
      // its source the conversation would never end.
      this.sourceFailed = !this.#writing;
      if (this.sourceFailed) closeQuietly(this.#conn);
    } finally {
      this.#done = true;
    }
  }

  /** Takes nothing more; what is being written is written to its end. */
  stop(): void {
    this.over = true;
    this.cut = this.#writing;
    if (!this.#writing && !this.#done) {
      this.#done = true;
      this.#halfClose().catch((error) => this.failure = error);
    }
  }

  /** Waits until all is sent, or the source has been silent for so long. */
  async quiet(sending: Promise<void>, linger: number): Promise<void> {
    while (!this.#done) {
      const before = this.sent;
      let timer: ReturnType<typeof setTimeout> | undefined;
      const silence = new Promise<void>((resolve) => {
        timer = setTimeout(resolve, linger);
      });
      await Promise.race([sending, silence]);
      clearTimeout(timer);
      if (!this.#writing && this.sent === before) return;
    }
  }

  async #halfClose(): Promise<void> {
    this.#writing = true;
    await this.#conn.closeWrite();
    this.#writing = false;
  }
}

/** Like {@linkcode chunks}, but each chunk is overwritten by the next. */
async function* reusedChunks(
  from: Reader,
): AsyncGenerator<Uint8Array<ArrayBuffer>, void> {
  const buffer = new ElasticBuffer();
  for (;;) {
    const length = await from.read(buffer.space);
    if (length === null) return;
    yield buffer.filled(length);
  }
}

function closeQuietly(conn: Pick<Deno.Conn, "close">): void {
  try {
    conn.close();
  } catch {
    // It is closed already.
  }
}
