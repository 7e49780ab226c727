/** A series of datagrams: what they hold, and when they are due. */
import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { paceOf, seriesOf } from "../../lib/udp/series.ts";
import { bytes, text, within } from "../support/helpers.ts";

/** Input that comes in pieces of a length. */
function input(given: string, length = given.length) {
  let rest = bytes(given);
  return {
    read(buffer: Uint8Array): Promise<number | null> {
      const piece = rest.subarray(0, Math.min(length, buffer.length));
      buffer.set(piece);
      rest = rest.subarray(piece.length);
      return Promise.resolve(piece.length || null);
    },
  };
}

interface Options {
  texts?: string[];
  count?: number;
  size?: number;
  header?: number;
}

function series(options: Options, given = "", length?: number) {
  const { texts = [], header = 0, ...rest } = options;
  const from = input(given, length);
  return seriesOf(texts, rest, header, () => from, 4);
}

// Options, input, what is sent.
const SENT: [Options, string, string[]][] = [
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
  Deno.test(`seriesOf() gives ${JSON.stringify(expected)} for ${what}`, async () => {
    for (const length of [given.length, 1]) {
      const { total, datagrams } = series(options, given, length);
      assertEquals((await Array.fromAsync(datagrams)).map(text), expected);
      const { texts, count, size } = options;
      const lines = (texts ?? count ?? size) === undefined;
      assertEquals(total, lines ? 0 : expected.length);
    }
  });
}

Deno.test("seriesOf() gives 64 bytes where nothing is said", async () => {
  const [only] = await Array.fromAsync(series({ count: 1 }).datagrams);
  assertEquals(only.length, 64);
});

Deno.test("seriesOf() refuses what does not fit", () => {
  assertThrows(() => series({ size: 65_508 }), RangeError, "65508 bytes");
  const long = { texts: ["short", "x".repeat(65_500)], header: 20 };
  assertThrows(() => series(long), RangeError, "65520 bytes");
});

Deno.test("seriesOf() refuses a line that is too long, after those before it", async () => {
  const long = "x".repeat(65_488);
  const given: string[] = [];
  const { datagrams } = series({ header: 20 }, `123456\n${long}\n`);
  await assertRejects(
    async () => {
      for await (const datagram of datagrams) {
        given.push(text(datagram.subarray(20)));
      }
    },
    RangeError,
    "a datagram of 65508 bytes: over IPv4 it holds at most 65507",
  );
  assertEquals(given, ["123456"]);
});

const never = new AbortController().signal;

Deno.test("paceOf() is never early and never in a burst", async () => {
  const start = performance.now();
  const pace = paceOf(2, never);
  const times: number[] = [];
  for (let turn = 0; turn < 200; turn++) {
    await pace();
    times.push(performance.now());
    assert(times[turn] - start >= 2 * turn, `turn ${turn} was early`);
  }
  // Ten turns take 20 ms, or 5 ms where they catch up. Here, a busy machine
  // may add something to the time of the first.
  for (let turn = 10; turn < times.length; turn++) {
    const taken = times[turn] - times[turn - 10];
    assert(taken >= 3, `ten turns until turn ${turn} took ${taken} ms`);
  }
});

Deno.test("paceOf() catches up after a delay, at most four times as fast", async () => {
  const pace = paceOf(4, never);
  const start = performance.now();
  await pace();
  while (performance.now() < start + 40); // busy with something else
  const late = performance.now();
  // Ten turns are due by now: one comes at once, the others at 1 ms.
  for (let turn = 0; turn < 6; turn++) await pace();
  assert(performance.now() - late >= 5);
});

Deno.test("paceOf() waits for nothing at interval 0, and lets others have a turn", async () => {
  let others = 0;
  const timer = setInterval(() => others++, 1);
  const start = performance.now();
  const pace = paceOf(0, never);
  while (performance.now() < start + 100) await pace();
  clearInterval(timer);
  assert(others > 0);
});

Deno.test("paceOf() ends early when the signal is aborted", async () => {
  const stop = new AbortController();
  const pace = paceOf(3_600_000, stop.signal);
  await pace();
  const turn = pace();
  stop.abort();
  await within(turn);
  assertEquals(stop.signal.aborted, true);
});
