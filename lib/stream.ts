/**
 * Bytes from one place to another.
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

/**
 * Less would save memory, but tear the packet of a peer that sends up to 1,024
 * bytes and takes what one `recv` gives for the whole echo.
 */
const SMALLEST_BUFFER = 1024;
const LARGEST_BUFFER = 262_144;
/** What is looked at byte by byte is no faster for coming in larger pieces. */
const LARGEST_CHUNK = 65_536;

/**
 * A read buffer that grows while reads fill it and shrinks when they don't: a
 * bulk stream gets 256 KiB, each of ten thousand idle connections 1 KiB.
 */
class ElasticBuffer {
  #largest: number;
  /** Where the next read goes. */
  space = new Uint8Array(SMALLEST_BUFFER);

  constructor(largest = LARGEST_BUFFER) {
    this.#largest = largest;
  }

  /** Takes note of how much was read, and gives it. */
  filled(length: number): Uint8Array<ArrayBuffer> {
    const { space } = this;
    if (length === space.length) {
      if (length < this.#largest) this.space = new Uint8Array(4 * length);
      return space;
    }
    if (space.length > SMALLEST_BUFFER && length <= space.length / 16) {
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

/**
 * Gives what a reader reads, like {@linkcode chunks}, but cheaper for a bulk
 * stream: each chunk is overwritten by the next.
 *
 * @param from Where bytes come from.
 * @returns The chunks, none of them empty.
 */
export async function* reusedChunks(
  from: Reader,
): AsyncGenerator<Uint8Array<ArrayBuffer>, void> {
  const buffer = new ElasticBuffer(LARGEST_CHUNK);
  for (;;) {
    const length = await from.read(buffer.space);
    if (length === null) return;
    yield buffer.filled(length);
  }
}

/**
 * Gives what a reader reads, like {@linkcode reusedChunks}, and reads the next
 * chunk while this one is used. Deno reads pipes in another thread: a gibibyte
 * from one to a socket takes a quarter less time. Only for a source that may
 * lose what is read ahead: nobody else will read it.
 *
 * @param from Where bytes come from.
 * @returns The chunks, none of them empty.
 */
export async function* readAhead(
  from: Reader,
): AsyncGenerator<Uint8Array<ArrayBuffer>, void> {
  let [current, other] = [new ElasticBuffer(), new ElasticBuffer()];
  let reading = from.read(current.space);
  for (;;) {
    const length = await reading;
    if (length === null) return;
    const chunk = current.filled(length);
    [current, other] = [other, current];
    reading = from.read(current.space);
    // Whoever leaves the loop hears nothing more of it, errors included.
    reading.catch(() => {});
    yield chunk;
  }
}
