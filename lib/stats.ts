/**
 * What became of numbered datagrams: lost, duplicated, reordered, delayed.
 *
 * A numbered datagram starts with 20 bytes, all numbers unsigned and the most
 * significant byte first:
 *
 *     |  0 .. 3  |  4 .. 7  |  8 .. 11 | 12 .. 15 | 16 .. 19 | 20 ...
 *     |   NUM1   |    run   | sequence |   total  |   time   | payload
 *
 * `NUM1` is the mark (4e 55 4d 31). `run` is a random number, which tells a
 * sender's second run from its first. `sequence` counts from 0. `total` is how
 * many there will be, 0 if the sender does not know: it tells that the last were
 * lost. `time` is the sender's clock in microseconds, from 0 again every 71
 * minutes. A sender that is stopped early says so with one more datagram, whose
 * sequence is 2^32 - 1 and whose total is how many it has sent.
 *
 * @module
 */

/** How many bytes a datagram's number takes at its start. */
export const HEADER_LENGTH = 20;
/** The sequence of the datagram that says how many were sent: the highest. */
export const STOPPED: number = 2 ** 32 - 1;

const MARK = 0x4e554d31; // NUM1

/** What the first 20 bytes of a numbered datagram say, as above. */
export type Header = Record<"run" | "sequence" | "total" | "time", number>;

/** Writes a header to the start of a datagram that is sent now, or at `time`. */
export function writeHeader(
  datagram: Uint8Array,
  { run, sequence, total }: Omit<Header, "time">,
  time: number = 1000 * (performance.timeOrigin + performance.now()),
): void {
  const view = new DataView(datagram.buffer, datagram.byteOffset);
  const numbers = [MARK, run, sequence, total, time];
  numbers.forEach((number, i) => view.setUint32(4 * i, number));
}

/** Reads the header of a datagram; gives `undefined` if it has none. */
export function readHeader(datagram: Uint8Array): Header | undefined {
  if (datagram.length < HEADER_LENGTH || numberAt(datagram, 0) !== MARK) return;
  const [run, sequence] = [numberAt(datagram, 4), numberAt(datagram, 8)];
  const [total, time] = [numberAt(datagram, 12), numberAt(datagram, 16)];
  return { run, sequence, total, time };
}

/** A DataView for each datagram would take 65 ns more. */
function numberAt(bytes: Uint8Array, start: number): number {
  return (bytes[start] << 24 | bytes[start + 1] << 16 |
    bytes[start + 2] << 8 | bytes[start + 3]) >>> 0;
}

/**
 * What became of the datagrams. `received` counts different ones, unnumbered
 * too; `duplicated` more copies of them; `reordered` those that came after a
 * higher number (RFC 4737). `jitter` is that of the worst run, in milliseconds
 * (RFC 3550 6.4.1). `bytes` are those of all that came, headers and copies too;
 * `seconds` is the time from the first datagram to the last.
 */
export type Report =
  & Record<"received" | "lost" | "duplicated" | "reordered", number>
  & Record<"jitter" | "unnumbered" | "bytes" | "seconds", number>;

const KNOWN_NUMBERS = 16_384; // in 64 KiB for each run
const MOST_APART = 256; // runs; half of them may be without numbers

/** One run of one sender, or what it sent without numbers. */
class Run {
  received = 0;
  duplicated = 0;
  reordered = 0;
  jitter = 0;
  bytes = 0;
  first = Infinity;
  last = 0;
  #total = Infinity;
  #highest = -1;
  #delay = NaN;
  /** At `sequence % length`: 1 + the last sequence that came for that place. */
  #came = new Uint32Array(KNOWN_NUMBERS);

  constructor(readonly sender: string, readonly run?: number) {}

  /** Counts one datagram, in the same time whatever its number. */
  record(header: Header | undefined, bytes: number, arrival: number): void {
    this.first = Math.min(this.first, arrival);
    this.last = arrival;
    this.bytes += bytes;
    if (!header || this.run === undefined) return void this.received++;
    const { sequence, total, time } = header;
    // A run that was stopped has sent less than what it said before.
    if (total > 0 && total < this.#total) this.#total = total;
    if (sequence === STOPPED) return;
    const place = sequence % KNOWN_NUMBERS;
    // It came before, or is too far back to tell.
    if (this.#came[place] > sequence) return void this.duplicated++;
    this.#came[place] = sequence + 1;
    this.received++;
    if (sequence < this.#highest) this.reordered++;
    else this.#highest = sequence;
    // In microseconds; the sender's clock starts again at 2 ** 32, hence `| 0`.
    const delay = 1000 * arrival - time;
    const change = Math.abs(delay - this.#delay | 0);
    this.jitter += (change / 1000 - this.jitter) / 16;
    this.#delay = delay;
  }

  /** How many are lost by now; those after the last too, once they were due. */
  lost(now: number): number {
    if (this.run === undefined) return 0;
    const pace = (this.last - this.first) / Math.max(1, this.received - 1);
    const rest = Math.max(0, this.#total - 1 - this.#highest);
    const isDue = now >= this.last + rest * pace;
    return this.#highest + 1 - this.received + (isDue ? rest : 0);
  }
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
 * ```
 */
export class Statistics {
  #runs = new Map<string, Run>();
  /** The last datagram's: most are of the same run as the one before. */
  #last: Run | undefined;

  /** Counts one that came at a time in milliseconds; gives its header. */
  record(datagram: Uint8Array, sender: string, at: number): Header | undefined {
    const header = readHeader(datagram);
    if (this.#last?.sender !== sender || this.#last.run !== header?.run) {
      this.#last = this.#find(sender, header?.run);
    }
    this.#last.record(header, datagram.length, at);
    return header;
  }

  /** Finds a run or makes it; where there are too many, new ones share one. */
  #find(sender: string, run?: number): Run {
    const most = run === undefined ? MOST_APART / 2 : MOST_APART;
    const isNew = !this.#runs.has(`${sender} ${run}`);
    if (isNew && this.#runs.size >= most) [sender, run] = ["others", undefined];
    const key = `${sender} ${run}`;
    return this.#runs.getOrInsertComputed(key, () => new Run(sender, run));
  }

  /** The senders, in the order of their first datagrams. */
  get senders(): string[] {
    return [...new Set(this.#runs.values().map(({ sender }) => sender))];
  }

  /**
   * Says what became of all datagrams, or a sender's, by now, in milliseconds.
   * Those after the last that came are lost once they were due, at its pace.
   */
  report(now: number = performance.now(), sender?: string): Report {
    const runs = [...this.#runs.values()]
      .filter((run) => run.sender === (sender ?? run.sender));
    const sum = (count: (run: Run) => number) =>
      runs.reduce((total, run) => total + count(run), 0);
    const times = runs.flatMap(({ first, last }) => [first, last]);
    return {
      received: sum(({ received }) => received),
      lost: sum((run) => run.lost(now)),
      duplicated: sum(({ duplicated }) => duplicated),
      reordered: sum(({ reordered }) => reordered),
      jitter: Math.max(0, ...runs.map(({ jitter }) => jitter)),
      unnumbered: sum(({ run, received }) => run === undefined ? received : 0),
      bytes: sum(({ bytes }) => bytes),
      seconds: Math.max(0, Math.max(...times) - Math.min(...times)) / 1000,
    };
  }
}
