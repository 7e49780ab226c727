/**
 * What became of datagrams, in words. Beside the statistics, which need nothing
 * from elsewhere.
 *
 * @module
 */
import { format } from "@std/fmt/bytes";
import type { Report } from "./stats.ts";

/**
 * Puts a report into words.
 *
 * @param report The report.
 * @returns One line.
 *
 * @example
 * ```ts
 * import { assertMatch } from "@std/assert";
 * import { Statistics } from "./stats.ts";
 *
 * const statistics = new Statistics();
 * statistics.record(new TextEncoder().encode("hello"), "10.0.0.1:5000");
 * assertMatch(describeReport(statistics.report()), /^1 received, none numbered/);
 * ```
 */
export function describeReport(report: Report): string {
  const { received, lost, lostAtEnd, unnumbered, jitter, seconds } = report;
  const volume = `${format(report.bytes)} in ${seconds.toFixed(2)} s` +
    ` (${format(Math.round(report.rate))}/s)`;
  if (received === unnumbered) {
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
