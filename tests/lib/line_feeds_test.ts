/** The search for line feeds against `indexOf`, wherever the bytes lie in memory. */
import { assertEquals } from "@std/assert";
import fc from "fast-check";
import { LineFeeds } from "../../lib/line_feeds.ts";

/** A line feed, and bytes that differ from it by a bit, a borrow or a carry. */
const BYTES = [0x0a, 0x0b, 0x09, 0x8a, 0x4a, 0x00, 0x01, 0xff];

function assertFinds(bytes: Uint8Array): void {
  const feeds = new LineFeeds(bytes);
  for (let start = 0; start <= bytes.length; start++) {
    assertEquals(feeds.from(start), bytes.indexOf(0x0a, start), `${start}`);
  }
}

Deno.test("LineFeeds finds what indexOf finds when bytes are any, at any place in memory", () => {
  const memory = fc.uint8Array({ maxLength: 40 })
    .map((bytes) => bytes.map((byte) => BYTES[byte % BYTES.length]));
  fc.assert(
    fc.property(memory, fc.nat(12), fc.nat(12), (memory, before, after) => {
      assertFinds(memory.subarray(before, memory.length - after));
    }),
    { numRuns: 2000 },
  );
});

Deno.test("LineFeeds finds the one line feed when it is anywhere", () => {
  for (const length of [255, 256, 257, 258, 259, 260, 261, 300]) {
    for (let offset = 0; offset < 5; offset++) {
      for (let place = 0; place < length; place++) {
        const bytes = new Uint8Array(offset + length).subarray(offset);
        bytes[place] = 0x0a;
        const feeds = new LineFeeds(bytes);
        assertEquals(feeds.from(0), place);
        assertEquals(feeds.from(place), place);
        assertEquals(feeds.from(place + 1), -1);
      }
    }
  }
});

Deno.test("LineFeeds finds nothing beyond the bytes when there is some in memory", () => {
  const memory = new Uint8Array(16).fill(0x0a);
  memory.fill(0x61, 3, 12);
  for (let start = 3; start <= 12; start++) {
    for (let end = start; end <= 12; end++) {
      assertEquals(new LineFeeds(memory.subarray(start, end)).from(0), -1);
    }
  }
});
