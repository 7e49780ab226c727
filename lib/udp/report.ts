/**
 * What a receiver says at its end: `logReport`, and `Histogram`.
 *
 * @module
 */
import { format } from "@std/fmt/bytes";
import type { Log } from "../command/log.ts";
import type { Report, Statistics } from "../stats.ts";

/** Says what became of the datagrams: of all, and of each of several senders. */
export function logReport(
  statistics: Statistics,
  gaps: Histogram,
  log: Log,
): void {
  const now = performance.now();
  const total = statistics.report(now);
  log.info("stats", describeReport(total), { ...total });
  const { senders } = statistics;
  for (const peer of senders.length > 1 ? senders : []) {
    const each = statistics.report(now, peer);
    log.info("sender", `${peer}: ${describeReport(each)}`, { peer, ...each });
  }
  const rows = gaps.rows();
  if (rows.length > 0) log.info("gaps", "Times between two datagrams:");
  for (const { line, ...row } of rows) log.info("gap", line, row);
}

/** Puts a report into one line: `4 received, 1 lost (20.00 %), …`. */
export function describeReport(report: Report): string {
  const { received, lost, lostAtEnd, unnumbered, jitter, seconds } = report;
  const volume = `${format(report.bytes)} in ${seconds.toFixed(2)} s` +
    ` (${format(Math.round(report.rate))}/s)`;
  if (received === unnumbered && lost === 0) {
    return `${received} received, none numbered, ${volume}`;
  }
  const percent = (100 * lost / (received - unnumbered + lost)).toFixed(2);
  const end = lostAtEnd > 0 ? `, ${lostAtEnd} of them at the end` : "";
  const rest = unnumbered > 0 ? ` (${unnumbered} not numbered)` : "";
  return `${received} received${rest}, ${lost} lost (${percent} %${end}), ` +
    `${report.duplicated} duplicated, ${report.reordered} reordered, ` +
    `jitter ${jitter.toFixed(3)} ms, ${volume}`;
}

const EIGHTHS_OF_A_BAR = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"];
const LONGEST_BAR = 40;

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
    const counts = [...this.#counts];
    const most = Math.max(...counts);
    const rows = counts.map((count, i) => {
      const to = 2 ** i;
      const from = i === 0 ? 0 : to / 2;
      const range = `${inWords(from)} - ${inWords(to)}`.padEnd(17);
      const number = `${count}`.padStart(`${most}`.length);
      // A single one is seen, too.
      const eighths = Math.round(8 * LONGEST_BAR * count / most) ||
        Math.sign(count);
      const bar = "█".repeat(eighths >> 3) + EIGHTHS_OF_A_BAR[eighths & 7];
      return { from, to, count, line: `${range} ${number} ${bar}`.trimEnd() };
    });
    const first = counts.findIndex((count) => count > 0);
    return rows.slice(first, 1 + counts.findLastIndex((count) => count > 0));
  }
}

function inWords(microseconds: number): string {
  const thousands = Math.floor(Math.log10(Math.max(1, microseconds)) / 3);
  const unit = Math.min(thousands, 2);
  const value = Number((microseconds / 1000 ** unit).toPrecision(3));
  return `${value} ${["us", "ms", "s"][unit]}`;
}
