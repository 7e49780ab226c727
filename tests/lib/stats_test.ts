/** Statistics of numbered datagrams: exact, in any order that they come. */
import { assert, assertEquals, assertMatch } from "@std/assert";
import {
  type Header,
  HEADER_LENGTH,
  readHeader,
  type Report,
  Statistics,
  STOPPED,
  writeHeader,
} from "../../lib/stats.ts";
import { log } from "../../lib/command/log.ts";
import { describeReport, Reception } from "../../lib/udp/report.ts";
import { bytes } from "../support/helpers.ts";

function datagram(
  sequence: number,
  total = 0,
  time = 1000 * sequence,
  run = 1,
) {
  const bytes = new Uint8Array(HEADER_LENGTH + 4);
  writeHeader(bytes, { run, sequence, total }, time);
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
  { run: 0, sequence: 0, total: 0, time: 0 },
  { run: 2 ** 32 - 1, sequence: 1, total: 2, time: 2 ** 32 - 1 },
  { run: 1, sequence: STOPPED - 1, total: 0, time: 1 },
  {
    run: 7,
    sequence: STOPPED - 1,
    total: STOPPED,
    time: 2 ** 31,
  },
  { run: 7, sequence: STOPPED, total: 5, time: 0 },
];
for (const header of HEADERS) {
  Deno.test(`readHeader() reads back ${JSON.stringify(header)}`, () => {
    // Anywhere in its buffer.
    const space = new Uint8Array(40).subarray(5, 30);
    writeHeader(space, header, header.time);
    assertEquals(readHeader(space), header);
  });
}

Deno.test("writeHeader() writes the mark and five numbers, highest byte first", () => {
  const space = new Uint8Array(HEADER_LENGTH);
  const header = { run: 0x01020304, sequence: 0x05060708, total: 0x090a0b0c };
  writeHeader(space, header, 0x0d0e0f10);
  assertEquals(space.toHex(), "4e554d310102030405060708090a0b0c0d0e0f10");
});

Deno.test("writeHeader() writes the time in microseconds", () => {
  const space = new Uint8Array(HEADER_LENGTH);
  writeHeader(space, { run: 1, sequence: 0, total: 0 });
  const now = 1000 * Date.now();
  const ago = (now - readHeader(space)!.time) | 0;
  assert(ago > -1e6 && ago < 1e6, `${ago}`);
});

const MARK = "4e554d31";
const NO_HEADERS: [string, Uint8Array][] = [
  ["19 bytes", Uint8Array.fromHex(MARK + "00".repeat(15))],
  ["no bytes", new Uint8Array(0)],
  ["zeros", new Uint8Array(40)],
  ["ASCII", bytes("Hello, my name is Henry")],
  ["UTF-8", bytes("öäüöäüöäüöäü")],
  ["NTP", Uint8Array.fromHex("1b" + "00".repeat(47))],
  ["a mark that is not at the start", bytes(" NUM1" + " ".repeat(20))],
];
for (const [name, bytes] of NO_HEADERS) {
  Deno.test(`readHeader() finds none in ${name}`, () => {
    assertEquals(readHeader(bytes), undefined);
  });
}

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
  assertEquals(reportOf([0, 1, 2], 10, 9).lost, 7);
});

Deno.test("report() tells a sender's second run from duplicates", () => {
  const statistics = new Statistics();
  let arrival = 0;
  // Whatever its clock did meanwhile.
  for (const [run, start] of [[1, 0], [2, 50_000], [3, 0], [4, 2 ** 31]]) {
    for (const sequence of [0, 1, 3]) {
      const time = start + 1000 * sequence;
      statistics.record(datagram(sequence, 4, time, run), "peer", arrival++);
    }
  }
  assertEquals(counted(statistics.report(1e9)), [12, 4, 0, 0]);
});

Deno.test("report() counts a late datagram to its own run", () => {
  const statistics = new Statistics();
  const arrivals = [[1, 0], [1, 1], [1, 3], [2, 0], [1, 2], [2, 1], [1, 3]];
  arrivals.forEach(([run, sequence], arrival) =>
    statistics.record(datagram(sequence, 4, 0, run), "peer", arrival)
  );
  // Of run 1 all came, 3 twice, 2 late; of run 2 the first two.
  assertEquals(counted(statistics.report(1e9)), [6, 2, 1, 1]);
});

Deno.test("report() loses nothing of a run that was stopped", () => {
  const statistics = new Statistics();
  for (const sequence of [0, 1, 3]) {
    statistics.record(datagram(sequence, 100), "peer", sequence);
  }
  assertEquals(statistics.report(1e9).lost, 97);
  const stop = statistics.record(datagram(STOPPED, 5), "peer", 4);
  assertEquals(stop?.total, 5);
  assertEquals(counted(statistics.report(1e9)), [3, 2, 0, 0]);
  // What comes late still says the old total.
  statistics.record(datagram(2, 100), "peer", 5);
  statistics.record(datagram(4, 100), "peer", 6);
  assertEquals(counted(statistics.report(1e9)), [5, 0, 0, 1]);
});

Deno.test("report() counts a run of which nothing came but its end", () => {
  const statistics = new Statistics();
  statistics.record(datagram(STOPPED, 5), "peer", 0);
  const report = statistics.report(1e9);
  assertEquals(counted(report), [0, 5, 0, 0]);
  assertMatch(describeReport(report), /^0 received, 5 lost \(100\.00 %/);
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

for (const minutes of [30, 36, 60, 72, 200]) {
  Deno.test(`report() has no jitter where two datagrams are ${minutes} minutes apart`, () => {
    const statistics = new Statistics();
    const gap = minutes * 60_000;
    for (let i = 0; i < 5; i++) {
      const time = (1000 * gap * i) % 2 ** 32;
      statistics.record(datagram(i, 5, time), "peer", gap * i);
    }
    assert(statistics.report().jitter < 1e-3, `${statistics.report().jitter}`);
  });
}

Deno.test("report() remembers 16384 numbers back", () => {
  const statistics = new Statistics();
  const record = (sequence: number) =>
    statistics.record(datagram(sequence, 0, 0), "peer", 0);
  record(1);
  record(16_384);
  record(1); // known to be a copy
  record(2); // known to be late
  record(0); // another came in its place: nobody knows
  const { received, duplicated, reordered } = statistics.report();
  assertEquals([received, duplicated, reordered], [3, 2, 1]);
  record(300_000);
  record(300_000 - 16_383);
  assertEquals(statistics.report().reordered, 2);
});

Deno.test("record() takes no longer for numbers that jump", () => {
  const time = (sequenceOf: (i: number) => number) => {
    const statistics = new Statistics();
    const start = performance.now();
    for (let i = 0; i < 100_000; i++) {
      statistics.record(datagram(sequenceOf(i)), "peer", i);
    }
    return performance.now() - start;
  };
  // Of several runs the fastest: another process may slow one down.
  const fastest = (sequenceOf: (i: number) => number) =>
    Math.min(...[1, 2, 3, 4].map(() => time(sequenceOf)));
  const even = fastest((i) => i);
  for (const jump of [16_383, 16_384, 65_535, 65_536]) {
    const jumping = fastest((i) => (i * jump) % STOPPED);
    assert(jumping < 5 * even + 100, `${jumping} ms instead of ${even}`);
  }
});

Deno.test("record() needs little memory for runs without end", () => {
  const statistics = new Statistics();
  const before = Deno.memoryUsage().external;
  for (let run = 0; run < 20_000; run++) {
    const sequence = (run * 7919) % STOPPED;
    statistics.record(datagram(sequence, 0, 0, run), `peer ${run % 500}`, run);
  }
  const growth = Deno.memoryUsage().external - before;
  assert(growth < 20e6, `${growth} bytes`);
  const { received, unnumbered } = statistics.report();
  assertEquals([received, unnumbered], [20_000, 20_000 - 256]);
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
    assertEquals(statistics.record(bytes(text), "peer", 0), undefined);
  }
  const report = statistics.report();
  assertEquals(counted(report), [3, 0, 0, 0]);
  assertEquals([report.unnumbered, report.bytes], [3, 24]);
});

Deno.test("report() counts bytes and time from the first to the last", () => {
  const statistics = new Statistics();
  for (let i = 0; i < 5; i++) statistics.record(datagram(i), "peer", 500 * i);
  const report = statistics.report();
  assertEquals([report.bytes, report.seconds], [120, 2]);
  assertMatch(describeReport(report), / 120 B in 2\.00 s \(60 B\/s\)$/);
});

Deno.test("report() says nothing of nothing", () => {
  const statistics = new Statistics();
  const { seconds, ...report } = statistics.report();
  assertEquals([seconds, ...Object.values(report)], Array(8).fill(0));
  assertEquals(gapsOf([]), []);
});

Deno.test("record() gives the header, if there is one", () => {
  const header = { run: 1, sequence: 0, total: 1, time: 2 };
  const space = new Uint8Array(HEADER_LENGTH + 2);
  const statistics = new Statistics();
  assertEquals(statistics.record(space, "peer", 0), undefined);
  writeHeader(space, header, header.time);
  assertEquals(statistics.record(space, "peer", 0), header);
});

Deno.test("report() tells senders apart", () => {
  const statistics = new Statistics();
  statistics.record(datagram(0, 2), "one", 0);
  statistics.record(datagram(1, 2), "two", 1);
  statistics.record(datagram(1, 2), "one", 2);
  assertEquals(statistics.senders, ["one", "two"]);
  assertEquals(counted(statistics.report(1e9, "one")), [2, 0, 0, 0]);
  assertEquals(counted(statistics.report(1e9, "two")), [1, 1, 0, 0]);
  assertEquals(counted(statistics.report(1e9)), [3, 1, 0, 0]);
});

Deno.test("record() counts a run still when 300 have sent without numbers", () => {
  const statistics = new Statistics();
  for (let i = 0; i < 300; i++) statistics.record(bytes("x"), `peer ${i}`, i);
  for (const sequence of [0, 2]) {
    statistics.record(datagram(sequence, 3), "new", 300 + sequence);
  }
  assertEquals(counted(statistics.report(1e9, "new")), [2, 1, 0, 0]);
  assertEquals(statistics.report(1e9).unnumbered, 300);
});

Deno.test("record() keeps few senders apart, however many there are", () => {
  const statistics = new Statistics();
  for (let i = 0; i < 2000; i++) statistics.record(datagram(0), `peer ${i}`, i);
  assertEquals(statistics.report().received, 2000);
  assert(statistics.senders.length < 300);
});

Deno.test("describeReport() is one line with all that counts", () => {
  assertMatch(
    describeReport(reportOf([0, 2, 2, 1], 8)),
    /^3 received, 5 lost \(62\.50 %\), 1 duplicated, 1 reordered, jitter \d\.\d{3} ms, 96 B in 0\.00 s \(.*\/s\)$/,
  );
});

/** What a receiver tells of these times between two datagrams, in milliseconds. */
function gapsOf(times: number[]): Record<string, unknown>[] {
  const told: Record<string, unknown>[] = [];
  const { info } = log;
  const { now } = performance;
  try {
    log.info = (event, line, details) =>
      void (event === "gap" && told.push({ line, ...details }));
    using reception = new Reception();
    // Between two of them the clock stands nowhere.
    for (const clock of times.flatMap((time) => [NaN, 0, time])) {
      performance.now = () => clock;
      reception.record(bytes("x"), "peer");
    }
  } finally {
    performance.now = now;
    log.info = info;
  }
  return told;
}

Deno.test("Reception sorts the times between datagrams into ranges that double", () => {
  const rows = gapsOf([0, 0.0005, 0.001, 0.0019, 0.002, 1e12]);
  assertEquals(rows.map(({ from, to, count }) => [from, to, count]), [
    [0, 1, 2],
    [1, 2, 2],
    [2, 4, 1],
    [2 ** 49, 2 ** 50, 1],
  ]);
});

Deno.test("Reception draws to scale, and something for a single one", () => {
  const times = [...Array(1000).fill(0.001), ...Array(500).fill(0.002), 0.008];
  assertEquals(gapsOf(times).map(({ line }) => line), [
    `0.001 ms - 0.002 ms    1000 ${"█".repeat(40)}`,
    `0.002 ms - 0.004 ms     500 ${"█".repeat(20)}`,
    "0.008 ms - 0.016 ms       1 █",
  ]);
});
