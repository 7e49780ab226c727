/** What a sender sends. */
import { assertEquals, assertRejects } from "@std/assert";
import { type PayloadOptions, payloads, totalOf } from "../../lib/payloads.ts";
import { bytes, text } from "../support/helpers.ts";

/** Input that comes in pieces of a length. */
function input(given: string, length = given.length) {
  let rest = bytes(given);
  return {
    read(buffer: Uint8Array): Promise<number | null> {
      const piece = rest.subarray(0, length);
      rest = rest.subarray(piece.length);
      buffer.set(piece);
      return Promise.resolve(piece.length > 0 ? piece.length : null);
    },
  };
}

// Options, input, what is sent.
const SENT: [Partial<PayloadOptions>, string, string[]][] = [
  [{ texts: ["a", "", "ö"] }, "", ["a", "", "ö"]],
  [{ texts: ["a", "b"], count: 2 }, "", ["a", "b", "a", "b"]],
  [{ texts: ["hello"], size: 3 }, "", ["hel"]],
  [{ texts: ["A"], size: 5 }, "", ["Abcde"]],
  [{ texts: ["A"], size: 0 }, "", [""]],
  [{ count: 2, size: 4 }, "not read", ["abcd", "abcd"]],
  [{ size: 4 }, "not read", ["abcd"]],
  [{}, "one\ntwo\r\n\nlast", ["one", "two", "", "last"]],
  [{}, "", []],
  [{ texts: ["a"], header: 2 }, "", ["\0\0a"]],
  [{ texts: ["a"], header: 2, size: 4 }, "", ["\0\0ab"]],
  [{ header: 2 }, "one\n\n", ["\0\0one", "\0\0"]],
];
for (const [options, given, expected] of SENT) {
  const what = JSON.stringify([options, given]);
  Deno.test(`payloads() gives ${JSON.stringify(expected)} for ${what}`, async () => {
    const all = { texts: [], limit: 100, ...options };
    for (const length of [given.length, 1]) {
      const given1 = await Array.fromAsync(payloads(all, input(given, length)));
      assertEquals(given1.map(text), expected);
    }
    const lines = given !== "" && given !== "not read" || what === '[{},""]';
    assertEquals(totalOf(all), lines ? undefined : expected.length);
  });
}

Deno.test("payloads() gives 64 bytes where nothing is said", async () => {
  const given = payloads({ texts: [], count: 1, limit: 100 }, input(""));
  const [only] = await Array.fromAsync(given);
  assertEquals(only.length, 64);
});

Deno.test("payloads() refuses a line that is too long, after those before it", async () => {
  const options = { texts: [], limit: 10, header: 4 };
  const given: string[] = [];
  await assertRejects(
    async () => {
      for await (
        const payload of payloads(options, input("123456\n1234567\n"))
      ) {
        given.push(text(payload.subarray(4)));
      }
    },
    RangeError,
    "a line of 7 bytes or more: a datagram holds at most 6",
  );
  assertEquals(given, ["123456"]);
});
