/**
 * Fast paths for lines: `lineFeedFrom` finds where one ends, four bytes at a
 * time, and `wholeLines` finds what an echo can send back as it came.
 *
 * @module
 */

/** Ends a line. */
export const FEED = 0x0a;
/** May stand before it. */
export const RETURN = 0x0d;

/** The same byte in all four places of a word. */
const FOUR_FEEDS = 0x0a0a0a0a;
const LOW_BITS = 0x01010101;
const HIGH_BITS = 0x80808080;
/** How many words to look at: `indexOf` finds the end of a longer line sooner. */
const FEW_WORDS = 64;

// What was searched last, as a chunk has many lines: the bytes, the whole memory
// that they lie in, as words (they are aligned there), and where they begin in it.
let feedBytes = new Uint8Array(0);
let feedWords = new Int32Array(0);
let feedOffset = 0;

/**
 * Finds the first line feed from `start` on; -1 if there is none.
 *
 * `indexOf` alone would do. But one call of it takes as long as all else that
 * a line of 64 bytes needs: with this, such lines decode 1.6 times as fast
 * (tests/bench/frames.ts).
 */
export function lineFeedFrom(bytes: Uint8Array, start: number): number {
  const { length } = bytes;
  if (length - start < FEW_WORDS) return bytes.indexOf(FEED, start);
  if (bytes !== feedBytes) {
    feedBytes = bytes as Uint8Array<ArrayBuffer>;
    const { buffer } = feedBytes;
    feedWords = new Int32Array(buffer, 0, buffer.byteLength >> 2);
    feedOffset = bytes.byteOffset;
  }
  let at = start;
  for (; ((feedOffset + at) & 3) !== 0; at++) {
    if (bytes[at] === FEED) return at;
  }
  const first = (feedOffset + at) >> 2;
  const end = Math.min(first + FEW_WORDS, feedWords.length);
  let word = first;
  for (; word < end; word++) {
    // A byte of zero borrows from its high bit, which then is one.
    const difference = feedWords[word] ^ FOUR_FEEDS;
    if (((difference - LOW_BITS) & ~difference & HIGH_BITS) !== 0) break;
  }
  at += 4 * (word - first);
  if (word === end) return bytes.indexOf(FEED, at);
  for (; at < length; at++) {
    if (bytes[at] === FEED) return at;
  }
  return -1;
}

/**
 * Finds the run of whole lines in a chunk that an echo can send back as they
 * lie there, without decoding and encoding each: lines of 64 bytes are echoed
 * three times as fast. What is before and after the run is for the decoder.
 *
 * `inLine` says that the chunk begins inside a line. Gives [0, 0] where there
 * is no such run.
 */
export function wholeLines(
  chunk: Uint8Array,
  inLine: boolean,
  maxFrameLength: number,
): [start: number, end: number] {
  const start = inLine ? chunk.indexOf(FEED) + 1 : 0;
  const end = chunk.lastIndexOf(FEED) + 1;
  // No line is over the limit if all together are not, and none has a
  // carriage return to lose if there is none: two searches, for any number.
  const unchanged = end > start && end - start <= maxFrameLength &&
    !chunk.subarray(start, end).includes(RETURN);
  return unchanged ? [start, end] : [0, 0];
}
