// Reading, writing and copying bytes; and pauses, deadlines and turns.

/** Where bytes come from: a connection, standard input, a file. */
export type Reader = Pick<Deno.Conn, "read">;

/** Where bytes go, perhaps not all at once: a connection, standard output. */
export type Writer = Pick<Deno.Conn, "write">;

// A peer may expect the echo of up to 1,024 bytes from one `recv`.
const SMALLEST_BUFFER = 1024;
const LARGEST_BUFFER = 262_144;
/** Code that looks at each byte gains nothing from larger pieces. */
const LARGEST_CHUNK = 65_536;

/** The buffer for the next read: large in a bulk stream, small when idle. */
function resized(buffer: Uint8Array<ArrayBuffer>, used: number, most: number) {
  const { length } = buffer;
  if (used === length && length < most) return new Uint8Array(4 * length);
  if (used > length / 16 || length === SMALLEST_BUFFER) return buffer;
  return new Uint8Array(SMALLEST_BUFFER);
}

/**
 * Writes all the bytes. A single `write` may take only a part of them.
 *
 * @example
 * ```ts
 * using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
 * using conn = await Deno.connect({ port: listener.addr.port });
 * await writeAll(conn, new TextEncoder().encode("hello"));
 * ```
 */
export async function writeAll(to: Writer, bytes: Uint8Array): Promise<void> {
  for (let written = 0; written < bytes.length;) {
    written += await to.write(bytes.subarray(written));
  }
}

/**
 * Copies until the source ends. Neither end is closed.
 *
 * A byte is read only when the one before it has been written, so a slow
 * reader slows the source down and memory stays as it is.
 *
 * @example An echo server's whole conversation
 * ```ts
 * using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
 * using client = await Deno.connect({ port: listener.addr.port });
 * await client.closeWrite();
 * using conn = await listener.accept();
 * await copy(conn, conn);
 * ```
 */
export async function copy(from: Reader, to: Writer): Promise<void> {
  let buffer = new Uint8Array(SMALLEST_BUFFER);
  for (;;) {
    const length = await from.read(buffer);
    if (length === null) return;
    // As `writeAll` does, but without a promise of its own each time.
    for (let written = 0; written < length;) {
      written += await to.write(buffer.subarray(written, length));
    }
    buffer = resized(buffer, length, LARGEST_BUFFER);
  }
}

/**
 * Gives what a reader reads, a chunk at a time, on demand. Unlike
 * `conn.readable` it leaves the connection open: one can still answer.
 *
 * @param options With `reuse` each chunk is overwritten by the next, which is
 * cheaper; else chunks may be kept. `largest`: in bytes (65,536).
 *
 * @example
 * ```ts
 * using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
 * using client = await Deno.connect({ port: listener.addr.port });
 * await client.closeWrite();
 * using conn = await listener.accept();
 * for await (const chunk of chunks(conn)) console.log(chunk.length);
 * ```
 */
export async function* chunks(
  from: Reader,
  options: { reuse?: boolean; largest?: number } = {},
): AsyncGenerator<Uint8Array<ArrayBuffer>, void> {
  let buffer = new Uint8Array(SMALLEST_BUFFER);
  for (;;) {
    const length = await from.read(buffer);
    if (length === null) return;
    yield options.reuse ? buffer.subarray(0, length) : buffer.slice(0, length);
    buffer = resized(buffer, length, options.largest ?? LARGEST_CHUNK);
  }
}

/** One end of a conversation: a connection, or something like one. */
export type DuplexEnd = Reader & Writer & Pick<Deno.Conn, "closeWrite">;

/**
 * Carries on a conversation between two ends, until both have ended.
 *
 * Where one ends, the other is told by its `closeWrite` and read to its end: on
 * a connection a half-close (RFC 9293 3.6). Neither end is closed; closing one
 * ends the conversation.
 *
 * @throws {Deno.errors.ConnectionReset} If a peer cuts the connection.
 * @throws {Deno.errors.BrokenPipe} If one end stops reading before everything
 * that the other says is written; what it says itself is read to its end.
 *
 * @example A client goes on to a server elsewhere
 * ```ts
 * async function forward(client: Deno.Conn, to: Deno.ConnectOptions) {
 *   using server = await Deno.connect(to);
 *   await duplex(client, server);
 * }
 * ```
 */
export async function duplex(a: DuplexEnd, b: DuplexEnd): Promise<void> {
  const failures: unknown[] = [];

  /** Carries everything, then tells the other that it was all. */
  async function carry(from: DuplexEnd, to: DuplexEnd): Promise<void> {
    for await (const chunk of chunks(from, { reuse: true })) {
      try {
        await writeAll(to, chunk);
      } catch (error) {
        // An end that has stopped reading may still have something to say.
        failures.push(error);
        break;
      }
    }
    await to.closeWrite().catch(unlessGone);
  }

  await Promise.all([carry(b, a), carry(a, b)]);
  if (failures.length > 0) throw failures[0];
}

/** Puts pieces together, so that one write can send them. */
export function concatenate(pieces: readonly Uint8Array[]) {
  const length = pieces.reduce((sum, piece) => sum + piece.length, 0);
  const whole = new Uint8Array(length);
  let end = 0;
  for (const piece of pieces) {
    whole.set(piece, end);
    end += piece.length;
  }
  return whole;
}

/** Waits; an aborted signal ends the wait. */
export async function pause(milliseconds: number, signal?: AbortSignal) {
  if (signal?.aborted) return;
  const { promise, resolve } = Promise.withResolvers<unknown>();
  const timer = setTimeout(resolve, milliseconds);
  signal?.addEventListener("abort", resolve);
  await promise;
  clearTimeout(timer);
  signal?.removeEventListener("abort", resolve);
}

/** How long one end may be silent once the other has ended, in ms. */
export const SILENCE = 250;

// Calls `act` after so many milliseconds, unless disposed before. A stop of this
// process (SIGSTOP) counts as one step at most; what came can be read first.
export function after(milliseconds: number, act: () => void): Disposable {
  let isOver = false;
  const step = (left: number) => {
    if (isOver) return;
    if (left <= 0) return void setImmediate(() => isOver || act());
    // Not setTimeout: its first use takes 5 ms, longer than a short client.
    const part = AbortSignal.timeout(Math.min(left, 250));
    part.addEventListener("abort", () => step(left - 250));
  };
  step(milliseconds);
  return { [Symbol.dispose]: () => void (isOver = true) };
}

/** Tries until the system no longer says "not now" (EAGAIN). */
export async function patiently<Value>(attempt: () => Promise<Value>) {
  for (;;) {
    try {
      return await attempt();
    } catch (error) {
      if (!(error instanceof Deno.errors.WouldBlock)) throw error;
    }
    await pause(10);
  }
}

/** Rethrows, unless the peer has gone (EINVAL: soshutdown, sosetopt in xnu). */
export function unlessGone(error: unknown): void {
  const { name, code } = Object(error);
  if (name !== "NotConnected" && code !== "EINVAL") throw error;
}

/** Lets no message wait for the acknowledgement of the one before it. */
export function sendAtOnce(conn: Partial<Deno.TcpConn>): void {
  try {
    conn.setNoDelay?.();
  } catch (error) {
    unlessGone(error);
  }
}

/** All connections share it for what they throw away. */
const nowhere = new Uint8Array(65_536);

/** Reads everything, up to so many bytes, and says nothing. */
export async function discard(conn: Reader, most = Infinity): Promise<void> {
  for (let read = 0, length; read < most; read += length) {
    length = await conn.read(nowhere);
    if (length === null) return;
  }
}

// Ends what is sent, and reads on, a second and a megabyte at most: closing on
// unread bytes resets a connection, and takes away what the peer has not read.
export async function farewell(conn: Deno.Conn): Promise<void> {
  using _late = after(1000, () => conn[Symbol.dispose]());
  // The peer has what it was sent; how it leaves does not matter.
  await conn.closeWrite().then(() => discard(conn, 1_048_576)).catch(() => {});
}

/** Standard input, which a parent may have made non-blocking. */
export const standardInput: Reader = {
  read: (buffer) => patiently(() => Deno.stdin.read(buffer)),
};

/** Opens standard input; aborting the signal ends even a read that waits. */
export function openInput(signal?: AbortSignal): Reader | Promise<Reader> {
  // On request: what is typed.
  if (Deno.stdin.isTerminal()) return openKeyboard(signal);

  signal?.addEventListener("abort", () => Deno.stdin.close());
  return standardInput;
}

// On request: on Windows Deno.stdin gives no UTF-8 (denoland/deno#18240).
async function openKeyboard(signal?: AbortSignal): Promise<Reader> {
  const { stdin } = await import("node:process");
  signal?.addEventListener("abort", () => stdin.destroy());
  const typed = stdin[Symbol.asyncIterator]();
  let rest = new Uint8Array(0);
  return {
    async read(buffer) {
      if (rest.length === 0) rest = (await typed.next()).value ?? rest;
      const part = rest.subarray(0, buffer.length);
      buffer.set(part);
      rest = rest.subarray(part.length);
      return part.length || null;
    },
  };
}

// Yields to the event loop. Reads and writes of a ready socket do not, so a
// function with much to do for a single peer calls this now and then.
export function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
