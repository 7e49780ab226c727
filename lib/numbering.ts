/**
 * Datagrams with a number and a time. `stats.ts` is the way in.
 *
 * A numbered datagram starts with 12 bytes, all numbers unsigned and the most
 * significant byte first:
 *
 *     |  0  1  2  3 |  4  5  6  7 |  8  9 10 11 | 12 ...
 *     |  sequence   |    total    |    time     | payload
 *
 * `sequence` counts from 0. `total` is how many there will be, 0 if the sender
 * does not know: without it, nobody could tell that the last ones were lost.
 * `time` is the sender's clock in microseconds, which starts again at 0 every
 * 71 minutes; only differences of it are used. Sequence and total stay below
 * 2^29, so the first byte is below 0x20, which no text starts with.
 *
 * @module
 */

/** How many bytes a datagram's number takes at its start. */
export const HEADER_LENGTH = 12;
/** The most datagrams that can be numbered in one go. */
export const MAX_NUMBERED: number = 2 ** 29 - 1;

/** What the first 12 bytes of a numbered datagram say. */
export interface Header {
  /** Number of the datagram, from 0. */
  sequence: number;
  /** How many datagrams there will be; 0 if that is not known. */
  total: number;
  /** When it was sent, in microseconds modulo 2^32. */
  time: number;
}

/**
 * Writes a header.
 *
 * @param datagram Where to, at its start.
 * @param header What to write.
 * @throws {RangeError} If the number is beyond {@linkcode MAX_NUMBERED}.
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 *
 * const datagram = new Uint8Array(HEADER_LENGTH);
 * writeHeader(datagram, { sequence: 7, total: 2000, time: 123 });
 * assertEquals(
 *   datagram.toHex(),
 *   "00000007" + "000007d0" + "0000007b",
 * );
 * assertEquals(readHeader(datagram), { sequence: 7, total: 2000, time: 123 });
 * ```
 */
export function writeHeader(datagram: Uint8Array, header: Header): void {
  if (header.sequence > MAX_NUMBERED || header.total > MAX_NUMBERED) {
    throw new RangeError(`Cannot number more than ${MAX_NUMBERED} datagrams`);
  }
  const view = new DataView(datagram.buffer, datagram.byteOffset);
  view.setUint32(0, header.sequence);
  view.setUint32(4, header.total);
  view.setUint32(8, header.time);
}

/**
 * Reads the header of a datagram.
 *
 * @param datagram The datagram.
 * @returns The header; `undefined` if the datagram has none, as far as one can
 * tell.
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 *
 * const text = new TextEncoder().encode("Hello, my name is Henry");
 * assertEquals(readHeader(text), undefined);
 * ```
 */
export function readHeader(datagram: Uint8Array): Header | undefined {
  if (datagram.length < HEADER_LENGTH) return undefined;
  const view = new DataView(datagram.buffer, datagram.byteOffset);
  const sequence = view.getUint32(0);
  const total = view.getUint32(4);
  const possible = sequence <= MAX_NUMBERED && total <= MAX_NUMBERED &&
    (total === 0 || sequence < total);
  return possible ? { sequence, total, time: view.getUint32(8) } : undefined;
}

/**
 * Gives the time for a header.
 *
 * @returns Microseconds, modulo 2^32.
 *
 * @example
 * ```ts
 * import { assert } from "@std/assert";
 *
 * const before = headerTime();
 * assert(((headerTime() - before) | 0) >= 0);
 * ```
 */
export function headerTime(): number {
  const milliseconds = performance.timeOrigin + performance.now();
  return Math.floor(milliseconds * 1000) % 2 ** 32;
}
