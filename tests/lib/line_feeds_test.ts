/** The search for line feeds against `indexOf`, wherever the bytes lie in memory; and CRLF in their place. */
import { assertEquals } from "@std/assert";
import fc from "fast-check";
import { lineFeedFrom, withReturns } from "../../lib/framing/line_feeds.ts";

/** A line feed, and bytes that differ from it by a bit, a borrow or a carry. */
const BYTES = [0x0a, 0x0b, 0x09, 0x8a, 0x4a, 0x00, 0x01, 0xff];

function assertFinds(bytes: Uint8Array): void {
  for (let start = 0; start <= bytes.length; start++) {
    const found = lineFeedFrom(bytes, start);
    if (found !== bytes.indexOf(0x0a, start)) {
      assertEquals(found, bytes.indexOf(0x0a, start), `from ${start}`);
    }
  }
}

Deno.test("lineFeedFrom() finds what indexOf finds when bytes are any, at any place in memory", () => {
  const few = fc.constantFrom(...BYTES, 0x61, 0x61, 0x61, 0x61, 0x61, 0x61);
  const memory = fc.array(few, { minLength: 64, maxLength: 150 })
    .map((bytes) => new Uint8Array(bytes));
  fc.assert(
    fc.property(memory, fc.nat(12), fc.nat(12), (memory, before, after) => {
      assertFinds(memory.subarray(before, memory.length - after));
    }),
    { numRuns: 2000 },
  );
});

Deno.test("lineFeedFrom() finds the one line feed when it is anywhere", () => {
  for (const length of [60, 64, 65, 255, 256, 257, 258, 259, 260, 261, 400]) {
    for (let offset = 0; offset < 5; offset++) {
      for (let place = 0; place < length; place++) {
        const bytes = new Uint8Array(offset + length).subarray(offset);
        bytes[place] = 0x0a;
        const found = [0, place, place + 1].map((start) =>
          lineFeedFrom(bytes, start)
        );
        assertEquals(found, [place, place, -1]);
      }
    }
  }
});

Deno.test("lineFeedFrom() finds nothing beyond the bytes when there is some in memory", () => {
  const memory = new Uint8Array(90).fill(0x0a);
  memory.fill(0x61, 3, 85);
  for (let start = 3; start <= 12; start++) {
    for (let end = 70; end <= 85; end++) {
      assertEquals(lineFeedFrom(memory.subarray(start, end), 0), -1);
    }
  }
});

Deno.test("lineFeedFrom() finds what is there now when bytes were changed, or others are searched between", () => {
  const bytes = new Uint8Array(100);
  const others = new Uint8Array(100);
  others[90] = 0x0a;
  assertEquals(lineFeedFrom(bytes, 0), -1);
  bytes[50] = 0x0a;
  assertEquals(lineFeedFrom(bytes, 0), 50);
  assertEquals(lineFeedFrom(others, 0), 90);
  assertEquals(lineFeedFrom(others.subarray(5), 0), 85);
  assertEquals(lineFeedFrom(bytes, 0), 50);
});

Deno.test("withReturns() makes each line feed a CRLF and changes nothing else, wherever the bytes are cut", () => {
  const whole = "\n\r\na\n\nb\r\r\n\rc\n\r";
  const expected = "\r\n\r\na\r\n\r\nb\r\r\n\rc\r\n\r";
  const bytes = new TextEncoder().encode(whole);
  for (let cut = 1; cut < bytes.length; cut++) {
    const parts = [
      withReturns(bytes.subarray(0, cut)),
      withReturns(bytes.subarray(cut), bytes[cut - 1]),
    ];
    const text = parts.map((part) => new TextDecoder().decode(part)).join("");
    assertEquals(text, expected);
  }
});
