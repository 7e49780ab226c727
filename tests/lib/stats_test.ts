/** Statistics of numbered datagrams: exact, in any order that they come. */
import { assert, assertEquals, assertMatch, assertThrows } from "@std/assert";
import { Histogram } from "../../lib/histogram.ts";
import { describeReport } from "../../lib/describe_report.ts";
import {
  type Header,
  HEADER_LENGTH,
  MAX_NUMBERED,
  readHeader,
  type Report,
  Statistics,
  writeHeader,
} from "../../lib/stats.ts";
import { bytes } from "../support/helpers.ts";

function datagram(sequence: number, total = 0, time = 1000 * sequence) {
  const bytes = new Uint8Array(HEADER_LENGTH + 4);
  writeHeader(bytes, { sequence, total, time });
  return bytes;
}

/** What comes of numbers that arrive a millisecond after one another. */
function reportOf(sequences: number[], total = 0, now?: number): Report {
  const statistics = new Statistics();
  sequences.forEach((sequence, arrival) =>
    statistics.record(datagram(sequence, total), "peer", arrival)
  );
  return statistics.report(now ?? 1e9);
}

function counted({ received, lost, duplicated, reordered }: Report) {
  return [received, lost, duplicated, reordered];
}

const HEADERS: Header[] = [
  { sequence: 0, total: 0, time: 0 },
  { sequence: 1, total: 2, time: 2 ** 32 - 1 },
  { sequence: MAX_NUMBERED, total: 0, time: 1 },
  { sequence: MAX_NUMBERED - 1, total: MAX_NUMBERED, time: 2 ** 31 },
];
for (const header of HEADERS) {
  Deno.test(`readHeader() reads back ${JSON.stringify(header)}`, () => {
    // Anywhere in its buffer.
    const space = new Uint8Array(40).subarray(5, 25);
    writeHeader(space, header);
    assertEquals(readHeader(space), header);
  });
}

const NO_HEADERS: [string, Uint8Array][] = [
  ["11 bytes", new Uint8Array(11)],
  ["no bytes", new Uint8Array(0)],
  ["ASCII", bytes("Hello, my name is Henry")],
  ["a space first", bytes("            ")],
  ["UTF-8", bytes("öäüöäüöäü")],
  [
    "a number above the total",
    Uint8Array.fromHex("00000005000000050000000000"),
  ],
];
for (const [name, bytes] of NO_HEADERS) {
  Deno.test(`readHeader() finds none in ${name}`, () => {
    assertEquals(readHeader(bytes), undefined);
  });
}

Deno.test("writeHeader() refuses a number that reads as text", () => {
  const space = new Uint8Array(HEADER_LENGTH);
  const header = { sequence: MAX_NUMBERED + 1, total: 0, time: 0 };
  assertThrows(() => writeHeader(space, header), RangeError, `${MAX_NUMBERED}`);
});

// From the sequences that came to [received, lost, duplicated, reordered].
const ARRIVALS: [string, number[], number, number[]][] = [
  ["nothing is wrong", [0, 1, 2, 3], 4, [4, 0, 0, 0]],
  ["one is lost", [0, 2, 3], 4, [3, 1, 0, 0]],
  ["the first is lost", [1, 2, 3], 4, [3, 1, 0, 0]],
  ["the last are lost", [0, 1], 4, [2, 2, 0, 0]],
  ["the last are lost and nobody knows", [0, 1], 0, [2, 0, 0, 0]],
  ["all but one are lost", [2], 4, [1, 3, 0, 0]],
  ["two change places", [0, 2, 1, 3], 4, [4, 0, 0, 1]],
  ["one is late by three", [0, 2, 3, 4, 1], 5, [5, 0, 0, 1]],
  ["all come backwards", [3, 2, 1, 0], 4, [4, 0, 0, 3]],
  ["one comes twice", [0, 1, 1, 2], 3, [3, 0, 1, 0]],
  ["one comes thrice, late", [0, 1, 2, 0, 0], 3, [3, 0, 2, 0]],
  ["everything at once", [1, 3, 3, 2, 6, 1], 8, [4, 4, 2, 1]],
];
for (const [name, sequences, total, expected] of ARRIVALS) {
  Deno.test(`report() is exact when ${name}`, () => {
    assertEquals(counted(reportOf(sequences, total)), expected);
  });
}

Deno.test("report() is exact for 200 random arrivals", () => {
  for (let run = 0; run < 200; run++) {
    const total = 1 + Math.floor(Math.random() * 300);
    const sequences: number[] = [];
    for (let i = 0; i < total; i++) {
      if (Math.random() < 0.2) continue;
      sequences.push(i);
      if (Math.random() < 0.1) sequences.push(i);
    }
    for (let i = 0; i < sequences.length / 5; i++) {
      const from = Math.floor(Math.random() * sequences.length);
      const to = Math.floor(Math.random() * sequences.length);
      sequences.splice(to, 0, ...sequences.splice(from, 1));
    }
    // Counted once more, as simply as it can be.
    const seen = new Set<number>();
    let [duplicated, reordered, highest] = [0, 0, -1];
    for (const sequence of sequences) {
      if (seen.has(sequence)) duplicated++;
      else if (sequence < highest) reordered++;
      seen.add(sequence);
      highest = Math.max(highest, sequence);
    }
    const expected = [seen.size, total - seen.size, duplicated, reordered];
    const message = sequences.join(" ");
    if (sequences.length === 0) continue;
    assertEquals(counted(reportOf(sequences, total)), expected, message);
  }
});

Deno.test("report() does not call lost what may still come", () => {
  // A millisecond each: number 3 is due at 3 ms, and number 9 at 9 ms.
  assertEquals(reportOf([0, 1, 2], 10, 8.5).lost, 0);
  const report = reportOf([0, 1, 2], 10, 9);
  assertEquals([report.lost, report.lostAtEnd], [7, 7]);
});

Deno.test("report() tells a sender's second run from duplicates", () => {
  const statistics = new Statistics();
  let arrival = 0;
  for (const start of [0, 50_000]) {
    for (const sequence of [0, 1, 3]) {
      const time = start + 1000 * sequence;
      statistics.record(datagram(sequence, 4, time), "peer", arrival++);
    }
  }
  assertEquals(counted(statistics.report(1e9)), [6, 2, 0, 0]);
});

Deno.test("report() keeps the time when the sender's clock wraps", () => {
  const statistics = new Statistics();
  for (let i = 0; i < 100; i++) {
    const time = (2 ** 32 - 50_000 + 1000 * i) % 2 ** 32;
    statistics.record(datagram(i, 100, time), "peer", i);
  }
  const report = statistics.report(1e9);
  assertEquals(counted(report), [100, 0, 0, 0]);
  assert(report.jitter < 1e-9, `${report.jitter}`);
});

Deno.test("report() remembers 65536 numbers, and not one more", () => {
  const statistics = new Statistics();
  const record = (sequence: number) =>
    statistics.record(datagram(sequence, 0, 0), "peer", 0);
  record(1);
  record(65_536);
  record(1); // known to be a copy
  record(2); // known to be late
  record(0); // too far back: nobody knows
  const { received, duplicated, reordered } = statistics.report();
  assertEquals([received, duplicated, reordered], [3, 2, 1]);
  // A jump over more than the window forgets all of it.
  record(300_000);
  record(300_000 - 65_535);
  assertEquals(statistics.report().reordered, 2);
});

Deno.test("report() has the jitter of RFC 3550 6.4.1", () => {
  const arrivals = [0, 10, 25, 30, 48, 50];
  let expected = 0;
  arrivals.forEach((arrival, i) => {
    if (i === 0) return;
    const difference = (arrival - arrivals[i - 1]) - 10;
    expected += (Math.abs(difference) - expected) / 16;
  });
  const statistics = new Statistics();
  arrivals.forEach((arrival, i) =>
    statistics.record(datagram(i, 0, 10_000 * i), "peer", arrival)
  );
  assert(Math.abs(statistics.report().jitter - expected) < 1e-9);
});

Deno.test("report() counts datagrams without a number as received", () => {
  const statistics = new Statistics();
  for (const text of ["Hello, my name is Henry", "", "x"]) {
    assertEquals(statistics.record(bytes(text), "peer"), bytes(text));
  }
  const report = statistics.report();
  assertEquals(counted(report), [3, 0, 0, 0]);
  assertEquals([report.unnumbered, report.bytes], [3, 24]);
});

Deno.test("report() counts bytes and rate from the first to the last", () => {
  const statistics = new Statistics();
  for (let i = 0; i < 5; i++) statistics.record(datagram(i), "peer", 500 * i);
  const { bytes, seconds, rate } = statistics.report();
  assertEquals([bytes, seconds, rate], [80, 2, 40]);
});

Deno.test("report() says nothing of nothing", () => {
  const statistics = new Statistics();
  const { rate, seconds, ...report } = statistics.report();
  assertEquals([rate, seconds, counted(report as Report)], [0, 0, [
    0,
    0,
    0,
    0,
  ]]);
  assertEquals(statistics.gaps.draw(), []);
});

Deno.test("record() gives what comes after the header", () => {
  const space = new Uint8Array(HEADER_LENGTH + 2);
  space.set(bytes("hi"), HEADER_LENGTH);
  writeHeader(space, { sequence: 0, total: 1, time: 0 });
  assertEquals(new Statistics().record(space, "peer"), bytes("hi"));
});

Deno.test("senders() tells senders apart", () => {
  const statistics = new Statistics();
  statistics.record(datagram(0, 2), "one", 0);
  statistics.record(datagram(1, 2), "two", 1);
  statistics.record(datagram(1, 2), "one", 2);
  const senders = statistics.senders(1e9);
  assertEquals([...senders.keys()], ["one", "two"]);
  assertEquals(counted(senders.get("one")!), [2, 0, 0, 0]);
  assertEquals(counted(senders.get("two")!), [1, 1, 0, 0]);
  assertEquals(counted(statistics.report(1e9)), [3, 1, 0, 0]);
});

Deno.test("record() keeps few senders apart, however many there are", () => {
  const statistics = new Statistics();
  for (let i = 0; i < 2000; i++) statistics.record(datagram(0), `peer ${i}`, i);
  assertEquals(statistics.report().received, 2000);
  assert(statistics.senders().size < 300);
});

Deno.test("describeReport() is one line with all that counts", () => {
  assertMatch(
    describeReport(reportOf([0, 2, 2, 1], 8)),
    /^3 received, 5 lost \(62\.50 %, 5 of them at the end\), 1 duplicated, 1 reordered, jitter \d\.\d{3} ms, 64 B in 0\.00 s \(.*\/s\)$/,
  );
});

Deno.test("Histogram sorts durations into ranges that double", () => {
  const histogram = new Histogram();
  for (const milliseconds of [0, 0.0005, 0.001, 0.0019, 0.002, 1e12]) {
    histogram.add(milliseconds);
  }
  const rows = histogram.rows().filter(({ count }) => count > 0);
  assertEquals(rows.map(({ from, to, count }) => [from, to, count]), [
    [0, 1, 2],
    [1, 2, 2],
    [2, 4, 1],
    [2 ** 38, 2 ** 39, 1], // the last range takes all above it
  ]);
});

Deno.test("Histogram draws to scale, and something for a single one", () => {
  const histogram = new Histogram();
  for (let i = 0; i < 1000; i++) histogram.add(0.001);
  for (let i = 0; i < 500; i++) histogram.add(0.002);
  histogram.add(0.008);
  assertEquals(histogram.draw(10), [
    "1 us - 2 us  1000 ██████████",
    "2 us - 4 us   500 █████",
    "4 us - 8 us     0",
    "8 us - 16 us    1 ▏",
  ]);
});
