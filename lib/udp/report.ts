// What a receiver says at its end: `Reception`, and `Histogram`.
import { format } from "@std/fmt/bytes";
import type { Log } from "../command/log.ts";
import { type Report, Statistics } from "../stats.ts";

/** Counts what comes, and says what became of it when it is disposed of. */
export class Reception implements Disposable {
  #statistics = new Statistics();
  #gaps = new Histogram();
  #arrival = NaN;

  constructor(readonly log: Pick<Log, "info">) {}

  /** Takes a datagram; gives the length of the header that it has. */
  record(payload: Uint8Array, from: string): number {
    const now = performance.now();
    if (now >= this.#arrival) this.#gaps.add(now - this.#arrival);
    this.#arrival = now;
    return this.#statistics.record(payload, from, now);
  }

  /** Tells of all, and of each of several senders. */
  [Symbol.dispose](): void {
    const now = performance.now();
    const { senders } = this.#statistics;
    for (const peer of [undefined, ...senders.length > 1 ? senders : []]) {
      const report = this.#statistics.report(now, peer);
      const [event, name] = peer ? ["sender", `${peer}: `] : ["stats", ""];
      const text = name + describeReport(report);
      this.log.info(event, text, { peer, ...report });
    }
    const rows = this.#gaps.rows();
    if (rows.length > 0) this.log.info("gaps", "Times between two datagrams:");
    for (const { line, ...row } of rows) this.log.info("gap", line, row);
  }
}

/** Puts a report into one line: `4 received, 1 lost (20.00 %), …`. */
export function describeReport(report: Report): string {
  const { received, lost, unnumbered, bytes, seconds } = report;
  const rate = format(seconds > 0 ? Math.round(bytes / seconds) : 0);
  const volume = `${format(bytes)} in ${seconds.toFixed(2)} s (${rate}/s)`;
  const numbered = received - unnumbered + lost;
  if (numbered === 0) return `${received} received, none numbered, ${volume}`;
  const rest = unnumbered > 0 ? ` (${unnumbered} not numbered)` : "";
  const percent = (100 * lost / numbered).toFixed(2);
  return `${received} received${rest}, ${lost} lost (${percent} %), ` +
    `${report.duplicated} duplicated, ${report.reordered} reordered, ` +
    `jitter ${report.jitter.toFixed(3)} ms, ${volume}`;
}

/** Counts durations in ranges of 0-1 µs, 1-2 µs, 2-4 µs, 4-8 µs and so on. */
export class Histogram {
  #counts = new Float64Array(33);

  /** Counts a duration; above 35 minutes all are in one range. */
  add(milliseconds: number): void {
    const microseconds = Math.min(1000 * milliseconds, 2 ** 32 - 1);
    this.#counts[32 - Math.clz32(microseconds)]++;
  }

  /** Gives the ranges in microseconds, with a bar for each as a line of text. */
  rows(): { from: number; to: number; count: number; line: string }[] {
    const most = Math.max(...this.#counts);
    const rows = Array.from(this.#counts, (count, i) => {
      const [from, to] = [Math.floor(2 ** (i - 1)), 2 ** i];
      const range = `${from / 1000} ms - ${to / 1000} ms`.padEnd(20);
      const bar = "█".repeat(Math.ceil(40 * count / most));
      const line = `${range} ${`${count}`.padStart(6)} ${bar}`;
      return { from, to, count, line };
    });
    return rows.filter(({ count }) => count > 0);
  }
}
