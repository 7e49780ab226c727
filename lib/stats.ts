/**
 * What became of datagrams that their sender has numbered: lost, duplicated,
 * reordered, delayed unevenly.
 *
 * @module
 */
import { Histogram } from "./histogram.ts";
import { type Header, HEADER_LENGTH, readHeader } from "./numbering.ts";

export { Histogram, type Row } from "./histogram.ts";
export {
  type Header,
  HEADER_LENGTH,
  headerTime,
  MAX_NUMBERED,
  readHeader,
  writeHeader,
} from "./numbering.ts";

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
  /** Interarrival jitter (RFC 3550 6.4.1), in milliseconds. */
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
const WINDOW = 65_536;

/** One run of one sender, numbered from 0. */
class Run {
  received = 0;
  duplicated = 0;
  reordered = 0;
  jitter = 0;
  #highest = -1;
  /** When the highest was sent, by the sender's clock. */
  #highestTime = 0;
  #highestArrival = 0;
  #first: { sequence: number; arrival: number };
  #last: { time: number; arrival: number } | undefined;
  #total: number;
  /** By sequence modulo the window: 1 if that datagram came. */
  #came = new Uint8Array(WINDOW);

  constructor({ sequence, total }: Header, arrival: number) {
    this.#total = total;
    this.#first = { sequence, arrival };
  }

  /** Whether a datagram is of a later run: old numbers, but sent after. */
  isOver({ sequence, total, time }: Header): boolean {
    return total !== this.#total ||
      sequence <= this.#highest && elapsed(this.#highestTime, time) > 0;
  }

  record(header: Header, arrival: number): void {
    const { sequence, time } = header;
    if (sequence > this.#highest) this.#advance(header, arrival);
    // So far back nobody knows any more; then it counts as a copy.
    else if (
      this.#highest - sequence >= WINDOW || this.#came[sequence % WINDOW]
    ) {
      this.duplicated++;
      return;
    } else this.reordered++;
    this.#came[sequence % WINDOW] = 1;
    this.received++;
    if (this.#last !== undefined) {
      const sent = elapsed(this.#last.time, time) / 1000;
      const change = Math.abs(arrival - this.#last.arrival - sent);
      this.jitter += (change - this.jitter) / 16;
    }
    this.#last = { time, arrival };
  }

  #advance({ sequence, time }: Header, arrival: number): void {
    if (sequence - this.#highest >= WINDOW) this.#came.fill(0);
    else {
      for (let next = this.#highest + 1; next < sequence; next++) {
        this.#came[next % WINDOW] = 0;
      }
    }
    this.#highest = sequence;
    this.#highestTime = time;
    this.#highestArrival = arrival;
  }

  /** How many are missing in all, and how many of them at the end. */
  missing(now: number): { lost: number; lostAtEnd: number } {
    const left = Math.max(0, this.#total - 1 - this.#highest);
    // At the pace so far, the rest would have come by then.
    const steps = this.#highest - this.#first.sequence;
    const time = this.#highestArrival - this.#first.arrival;
    const due = this.#highestArrival + (steps > 0 ? left * time / steps : 0);
    const lostAtEnd = now >= due ? left : 0;
    return { lost: this.#highest + 1 - this.received + lostAtEnd, lostAtEnd };
  }
}

/** From one time of a header to another, in microseconds, signed. */
function elapsed(from: number, to: number): number {
  return (to - from) | 0;
}

/** All of one sender. */
class Sender {
  #run: Run | undefined;
  #earlier = emptyReport();
  #unnumbered = 0;
  #bytes = 0;
  first: number;
  last: number;

  constructor(arrival: number) {
    this.first = this.last = arrival;
  }

  record(header: Header | undefined, length: number, arrival: number): void {
    this.last = arrival;
    this.#bytes += length;
    if (header === undefined) {
      this.#unnumbered++;
      return;
    }
    if (this.#run?.isOver(header)) {
      this.#earlier = sum(this.#earlier, reportOf(this.#run, Infinity));
      this.#run = undefined;
    }
    this.#run ??= new Run(header, arrival);
    this.#run.record(header, arrival);
  }

  report(now: number): Report {
    const run = this.#run === undefined
      ? emptyReport()
      : reportOf(this.#run, now);
    const report = sum(this.#earlier, run);
    report.received += this.#unnumbered;
    return timed(
      { ...report, unnumbered: this.#unnumbered, bytes: this.#bytes },
      this.first,
      this.last,
    );
  }
}

function emptyReport(): Report {
  return {
    received: 0,
    lost: 0,
    lostAtEnd: 0,
    duplicated: 0,
    reordered: 0,
    jitter: 0,
    unnumbered: 0,
    bytes: 0,
    seconds: 0,
    rate: 0,
  };
}

function reportOf(run: Run, now: number): Report {
  const { received, duplicated, reordered, jitter } = run;
  const counted = { received, duplicated, reordered, jitter };
  return { ...emptyReport(), ...counted, ...run.missing(now) };
}

/** Both together; for the jitter, which does not add up, the worse. */
function sum(one: Report, other: Report): Report {
  const total = { ...one };
  for (const key of Object.keys(other) as (keyof Report)[]) {
    total[key] += other[key];
  }
  return { ...total, jitter: Math.max(one.jitter, other.jitter) };
}

function timed(report: Report, first: number, last: number): Report {
  const seconds = (last - first) / 1000;
  return { ...report, seconds, rate: seconds > 0 ? report.bytes / seconds : 0 };
}

/** How many senders are told apart. */
const MAX_SENDERS = 256;

/**
 * Counts what comes, sender by sender, in memory that is bounded.
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 *
 * const statistics = new Statistics();
 * for (const sequence of [0, 1, 3, 3, 2]) {
 *   const datagram = new Uint8Array(HEADER_LENGTH);
 *   writeHeader(datagram, { sequence, total: 5, time: 1000 * sequence });
 *   statistics.record(datagram, "10.0.0.1:5000", sequence);
 * }
 * const { received, lost, duplicated, reordered } = statistics.report();
 * assertEquals([received, lost, duplicated, reordered], [4, 1, 1, 1]);
 * ```
 */
export class Statistics {
  /** Times between one datagram's arrival and the next one's. */
  readonly gaps: Histogram = new Histogram();
  #senders = new Map<string, Sender>();
  #first: number | undefined;
  #last = 0;

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
    if (this.#first === undefined) this.#first = arrival;
    else this.gaps.add(arrival - this.#last);
    this.#last = arrival;
    const header = readHeader(datagram);
    const known = this.#senders.get(sender) ?? this.#admit(sender, arrival);
    if (known !== undefined) known.record(header, datagram.length, arrival);
    // Together, the senders that are too many have no numbers that make sense.
    else this.#others(arrival).record(undefined, datagram.length, arrival);
    return header === undefined ? datagram : datagram.subarray(HEADER_LENGTH);
  }

  #admit(name: string, arrival: number): Sender | undefined {
    if (this.#senders.size >= MAX_SENDERS) return undefined;
    const sender = new Sender(arrival);
    this.#senders.set(name, sender);
    return sender;
  }

  #others(arrival: number): Sender {
    const others = this.#senders.get("others") ?? new Sender(arrival);
    this.#senders.set("others", others);
    return others;
  }

  /**
   * Says what became of the datagrams of all senders.
   *
   * Where a sender has announced how many it sends, those after the last that
   * came are lost as soon as they would have come at the pace of the others.
   *
   * @param now The time, in milliseconds.
   * @returns The sums; the jitter is the worst sender's.
   */
  report(now: number = performance.now()): Report {
    const reports = [...this.senders(now).values()];
    const total = reports.reduce(sum, emptyReport());
    return timed(total, this.#first ?? 0, this.#last);
  }

  /**
   * Says what became of the datagrams of each sender.
   *
   * @param now The time, in milliseconds.
   * @returns The reports by sender, in the order of their first datagrams.
   */
  senders(now: number = performance.now()): Map<string, Report> {
    const reports = new Map<string, Report>();
    for (const [name, sender] of this.#senders) {
      reports.set(name, sender.report(now));
    }
    return reports;
  }
}
