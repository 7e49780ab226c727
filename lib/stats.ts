/**
 * What became of datagrams that their sender has numbered: lost, duplicated,
 * reordered, delayed unevenly.
 *
 * A numbered datagram starts with 20 bytes, all numbers unsigned and the most
 * significant byte first:
 *
 *     |  0 .. 3  |  4 .. 7  |  8 .. 11 | 12 .. 15 | 16 .. 19 | 20 ...
 *     |   NUM1   |    run   | sequence |   total  |   time   | payload
 *
 * `NUM1` is the mark (4e 55 4d 31); what has none is not numbered. `run` is
 * drawn at random, so that a sender's second run is told from its first.
 * `sequence` counts from 0. `total` is how many there will be, 0 if the sender
 * does not know: without it, nobody could tell that the last ones were lost.
 * `time` is the sender's clock in microseconds, which starts again at 0 every
 * 71 minutes; only differences of it are used. A sender that is stopped early
 * says so with one more datagram, whose sequence is 2^32 - 1 and whose total is
 * how many it has sent.
 *
 * @module
 */
import { format } from "@std/fmt/bytes";

/** How many bytes a datagram's number takes at its start. */
export const HEADER_LENGTH = 20;
/** The most datagrams that can be numbered in one run. */
export const MAX_NUMBERED: number = 2 ** 32 - 1;
/** The sequence of the datagram that says how many were sent. */
export const STOPPED: number = 2 ** 32 - 1;

/** `NUM1`. */
const MARK = 0x4e554d31;

/** What the first 20 bytes of a numbered datagram say. */
export interface Header {
  /** Number of the run, the same in all its datagrams. */
  run: number;
  /** Number of the datagram, from 0, or {@linkcode STOPPED}. */
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
 * @param time When it is sent, if not now.
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 *
 * const datagram = new Uint8Array(HEADER_LENGTH);
 * writeHeader(datagram, { run: 1, sequence: 7, total: 2000 }, 123);
 * assertEquals(
 *   datagram.toHex(),
 *   "4e554d31" + "00000001" + "00000007" + "000007d0" + "0000007b",
 * );
 * assertEquals(readHeader(datagram)?.sequence, 7);
 * assertEquals(readHeader(new Uint8Array(100)), undefined);
 * ```
 */
export function writeHeader(
  datagram: Uint8Array,
  { run, sequence, total }: Omit<Header, "time">,
  time: number = 1000 * (performance.timeOrigin + performance.now()),
): void {
  const view = new DataView(datagram.buffer, datagram.byteOffset);
  view.setUint32(0, MARK);
  view.setUint32(4, run);
  view.setUint32(8, sequence);
  view.setUint32(12, total);
  view.setUint32(16, time);
}

/**
 * Reads the header of a datagram.
 *
 * @param datagram The datagram.
 * @returns The header; `undefined` if the datagram has none.
 */
export function readHeader(datagram: Uint8Array): Header | undefined {
  if (datagram.length < HEADER_LENGTH || numberAt(datagram, 0) !== MARK) {
    return undefined;
  }
  const sequence = numberAt(datagram, 8);
  const total = numberAt(datagram, 12);
  const possible = total === 0 || sequence < total || sequence === STOPPED;
  if (!possible) return undefined;
  return {
    run: numberAt(datagram, 4),
    sequence,
    total,
    time: numberAt(datagram, 16),
  };
}

/** Making a DataView for each datagram takes longer. */
function numberAt(bytes: Uint8Array, start: number): number {
  return (bytes[start] << 24 | bytes[start + 1] << 16 |
    bytes[start + 2] << 8 | bytes[start + 3]) >>> 0;
}

/** What became of the datagrams, of one sender or of all. */
export interface Report {
  /** Different datagrams that came: received and lost are all that were sent. */
  received: number;
  /** Numbers that are missing. */
  lost: number;
  /** Of those, the ones after the last that came. */
  lostAtEnd: number;
  /** Copies of datagrams that had come before. */
  duplicated: number;
  /** Datagrams that came after one with a higher number (RFC 4737). */
  reordered: number;
  /** Interarrival jitter (RFC 3550 6.4.1) of the worst run, in milliseconds. */
  jitter: number;
  /** Datagrams without a number; they count as received. */
  unnumbered: number;
  /** Bytes of all that came, headers and copies too. */
  bytes: number;
  /** Time from the first datagram to the last, in seconds. */
  seconds: number;
  /** Bytes a second; 0 if there was but one datagram. */
  rate: number;
}

/** How far back a datagram is known to have come or not. */
const KNOWN_NUMBERS = 16_384;
/** How many senders, and how many runs, are told apart: 16 MiB at the most. */
const MOST_APART = 256;

/** One run of one sender. */
class Run {
  received = 0;
  duplicated = 0;
  reordered = 0;
  jitter = 0;
  #total = 0;
  #sent: number | undefined;
  #first: { sequence: number; arrival: number } | undefined;
  #highest = -1;
  #highestArrival = 0;
  #delay = 0;
  /** By sequence modulo the length: the last sequence that came, and one. */
  #came = new Uint32Array(KNOWN_NUMBERS);

  /** Counts one datagram, in a time that no number makes longer. */
  record({ sequence, total, time }: Header, arrival: number): void {
    if (sequence === STOPPED) {
      this.#sent = total;
      return;
    }
    const place = sequence % KNOWN_NUMBERS;
    // It has come before, or is so far back that nobody knows any more.
    if (this.#came[place] > sequence) {
      this.duplicated++;
      return;
    }
    this.#came[place] = sequence + 1;
    this.received++;
    this.#total = total;
    this.#first ??= { sequence, arrival };
    if (sequence < this.#highest) this.reordered++;
    else {
      this.#highest = sequence;
      this.#highestArrival = arrival;
    }
    // In microseconds, and wrong by as much as the clocks differ.
    const delay = 1000 * arrival - time;
    if (this.received > 1) {
      const change = delay - this.#delay;
      // A clock of 32 bits starts again: the nearest time is meant.
      const nearest = change - 2 ** 32 * Math.round(change / 2 ** 32);
      this.jitter += (Math.abs(nearest) / 1000 - this.jitter) / 16;
    }
    this.#delay = delay;
  }

  /** How many are missing in all, and how many of them at the end. */
  missing(now: number): { lost: number; lostAtEnd: number } {
    const left = Math.max(0, (this.#sent ?? this.#total) - 1 - this.#highest);
    // At the pace so far, the rest would have come by then.
    const { sequence, arrival } = this.#first ?? { sequence: 0, arrival: 0 };
    const pace = (this.#highestArrival - arrival) /
      Math.max(1, this.#highest - sequence);
    const lostAtEnd = now >= this.#highestArrival + left * pace ? left : 0;
    return { lost: this.#highest + 1 - this.received + lostAtEnd, lostAtEnd };
  }
}

/** All that one sender sent. */
interface Sender {
  runs: Map<number, Run>;
  unnumbered: number;
  bytes: number;
  first: number;
  last: number;
}

/**
 * Counts what comes, by sender and run, in memory that is bounded.
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 *
 * const statistics = new Statistics();
 * for (const sequence of [0, 1, 3, 3, 2]) {
 *   const datagram = new Uint8Array(HEADER_LENGTH);
 *   writeHeader(datagram, { run: 1, sequence, total: 5 }, 1000 * sequence);
 *   statistics.record(datagram, "10.0.0.1:5000", sequence);
 * }
 * const { received, lost, duplicated, reordered } = statistics.report();
 * assertEquals([received, lost, duplicated, reordered], [4, 1, 1, 1]);
 * // In words:
 * console.log(describeReport(statistics.report()));
 * ```
 */
export class Statistics {
  /** Times between one datagram's arrival and the next one's. */
  readonly gaps: Histogram = new Histogram();
  #senders = new Map<string, Sender>();
  #runs = 0;
  #last: number | undefined;

  /**
   * Counts a datagram.
   *
   * @param datagram What it holds.
   * @param sender Who sent it.
   * @param arrival When it came, in milliseconds.
   * @returns What it holds after the header, if it has one.
   */
  record(
    datagram: Uint8Array,
    sender: string,
    arrival: number = performance.now(),
  ): Uint8Array {
    if (this.#last !== undefined) this.gaps.add(arrival - this.#last);
    this.#last = arrival;
    const from = this.#senders.get(sender) ?? this.#admit(sender, arrival);
    from.last = arrival;
    from.bytes += datagram.length;
    const header = readHeader(datagram);
    const run = header &&
      (from.runs.get(header.run) ?? this.#begin(from, header));
    if (run === undefined) from.unnumbered++;
    else run.record(header!, arrival);
    return header === undefined ? datagram : datagram.subarray(HEADER_LENGTH);
  }

  /** Makes a place for a sender; those that are too many share one. */
  #admit(name: string, arrival: number): Sender {
    if (this.#senders.size >= MOST_APART) name = "others";
    const [first, last] = [arrival, arrival];
    const sender = this.#senders.get(name) ??
      { runs: new Map(), unnumbered: 0, bytes: 0, first, last };
    this.#senders.set(name, sender);
    return sender;
  }

  /** Makes a place for a run, unless there are too many. */
  #begin({ runs }: Sender, { run }: Header): Run | undefined {
    if (this.#runs >= MOST_APART) return undefined;
    this.#runs++;
    return runs.set(run, new Run()).get(run);
  }

  /**
   * Says what became of the datagrams of all senders.
   *
   * Where a sender has announced how many it sends, those after the last that
   * came are lost as soon as they would have come at the pace of the others.
   *
   * @param now The time, in milliseconds.
   * @returns The sums; the jitter is the worst run's.
   */
  report(now: number = performance.now()): Report {
    return reportOn([...this.#senders.values()], now);
  }

  /**
   * Says what became of the datagrams of each sender.
   *
   * @param now The time, in milliseconds.
   * @returns The reports by sender, in the order of their first datagrams.
   */
  senders(now: number = performance.now()): Map<string, Report> {
    return new Map(
      [...this.#senders].map(([name, one]) => [name, reportOn([one], now)]),
    );
  }
}

function reportOn(senders: Sender[], now: number): Report {
  const runs = senders.flatMap(({ runs }) => [...runs.values()]);
  const missing = runs.map((run) => run.missing(now));
  const unnumbered = sum(senders, "unnumbered");
  const bytes = sum(senders, "bytes");
  const first = Math.min(...senders.map((sender) => sender.first));
  const last = Math.max(first, ...senders.map((sender) => sender.last));
  const seconds = senders.length > 0 ? (last - first) / 1000 : 0;
  return {
    received: sum(runs, "received") + unnumbered,
    lost: sum(missing, "lost"),
    lostAtEnd: sum(missing, "lostAtEnd"),
    duplicated: sum(runs, "duplicated"),
    reordered: sum(runs, "reordered"),
    jitter: Math.max(0, ...runs.map(({ jitter }) => jitter)),
    unnumbered,
    bytes,
    seconds,
    rate: seconds > 0 ? bytes / seconds : 0,
  };
}

function sum<Key extends string>(
  parts: Record<Key, number>[],
  key: Key,
): number {
  return parts.reduce((total, part) => total + part[key], 0);
}

/**
 * Puts a report into words.
 *
 * @param report The report.
 * @returns One line, as `4 received, 1 lost (20.00 %), 1 duplicated, …`.
 */
export function describeReport(report: Report): string {
  const { received, lost, lostAtEnd, unnumbered, jitter, seconds } = report;
  const volume = `${format(report.bytes)} in ${seconds.toFixed(2)} s` +
    ` (${format(Math.round(report.rate))}/s)`;
  if (received === unnumbered && lost === 0) {
    return `${received} received, none numbered, ${volume}`;
  }
  const numbered = received - unnumbered;
  const percent = (100 * lost / (numbered + lost)).toFixed(2);
  const end = lostAtEnd > 0 ? `, ${lostAtEnd} of them at the end` : "";
  const rest = unnumbered > 0 ? ` (${unnumbered} not numbered)` : "";
  return `${received} received${rest}, ${lost} lost (${percent} %${end}), ` +
    `${report.duplicated} duplicated, ${report.reordered} reordered, ` +
    `jitter ${jitter.toFixed(3)} ms, ${volume}`;
}

/** A range of durations, and how many fell into it. */
export interface Row {
  /** The least duration of the range, in microseconds. */
  from: number;
  /** Where the next range starts, in microseconds. */
  to: number;
  /** How many durations are in the range. */
  count: number;
}

const EIGHTHS_OF_A_BAR = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"];

/**
 * Counts durations in ranges of 0-1 µs, 1-2 µs, 2-4 µs, 4-8 µs and so on: as
 * little memory for a million of them as for one.
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 *
 * const histogram = new Histogram();
 * for (const milliseconds of [0.9, 1, 1.1, 1.2]) histogram.add(milliseconds);
 * assertEquals(histogram.rows(), [
 *   { from: 512, to: 1024, count: 2 },
 *   { from: 1024, to: 2048, count: 2 },
 * ]);
 * assertEquals(histogram.draw(8), [
 *   "512 us - 1.02 ms  2 ████████",
 *   "1.02 ms - 2.05 ms 2 ████████",
 * ]);
 * ```
 */
export class Histogram {
  #counts = new Float64Array(33);

  /**
   * Counts a duration.
   *
   * @param milliseconds The duration; above 35 minutes all are in one range.
   */
  add(milliseconds: number): void {
    const microseconds = Math.min(1000 * milliseconds, 2 ** 32 - 1);
    this.#counts[32 - Math.clz32(microseconds)]++;
  }

  /**
   * Gives the ranges from the first to the last that has any.
   *
   * @returns The ranges, empty ones between others too.
   */
  rows(): Row[] {
    const first = this.#counts.findIndex((count) => count > 0);
    const last = this.#counts.findLastIndex((count) => count > 0);
    const counts = [...this.#counts.subarray(Math.max(0, first), last + 1)];
    return counts.map((count, i) => {
      const to = 2 ** (first + i);
      return { from: to === 1 ? 0 : to / 2, to, count };
    });
  }

  /**
   * Draws a bar for each range; the fullest has the whole width.
   *
   * @param width Length of the longest bar, in characters.
   * @returns A line for each range.
   */
  draw(width = 40): string[] {
    const rows = this.rows();
    const most = Math.max(...rows.map(({ count }) => count));
    const labels = rows.map(({ from, to }) =>
      `${durationInWords(from)} - ${durationInWords(to)}`
    );
    const room = Math.max(...labels.map(({ length }) => length));
    return rows.map(({ count }, i) => {
      const number = `${count}`.padStart(`${most}`.length);
      // A single one is seen, too.
      const eighths = Math.max(
        +(count > 0),
        Math.round(8 * width * count / most),
      );
      const bar = "█".repeat(eighths >> 3) + EIGHTHS_OF_A_BAR[eighths & 7];
      return `${labels[i].padEnd(room)} ${number} ${bar}`.trimEnd();
    });
  }
}

function durationInWords(microseconds: number): string {
  if (microseconds < 1000) return `${microseconds} us`;
  const [value, unit] = microseconds < 1e6
    ? [microseconds / 1e3, "ms"]
    : [microseconds / 1e6, "s"];
  return `${Number(value.toPrecision(3))} ${unit}`;
}
