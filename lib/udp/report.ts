// `Reception`: counts what a receiver gets, and reports it when disposed of.
import { format } from "@std/fmt/bytes";
import { log } from "../command/log.ts";
import { HEADER_LENGTH, type Report, Statistics, STOPPED } from "../stats.ts";

export class Reception implements Disposable {
  #statistics = new Statistics();
  /** How many datagrams came 0-1 µs after another, 1-2 µs, 2-4 µs and so on. */
  #gaps = new Float64Array(64);
  #arrival = NaN;

  /** Takes a datagram; gives what follows its number, unless it only ends a run. */
  record = (payload: Uint8Array, from: string): Uint8Array | undefined => {
    const now = performance.now();
    const header = this.#statistics.record(payload, from, now);
    if (header?.sequence === STOPPED) return undefined;
    const microseconds = 1000 * (now - this.#arrival);
    // Counting bits is faster than the logarithm, but a word has only 32.
    const bits = microseconds < 2 ** 32
      ? 32 - Math.clz32(microseconds)
      : 1 + Math.floor(Math.log2(microseconds));
    this.#gaps[bits]++;
    this.#arrival = now;
    return header ? payload.subarray(HEADER_LENGTH) : payload;
  };

  /** Tells of all, of each of several senders, and draws the times between. */
  [Symbol.dispose](): void {
    const now = performance.now();
    const { senders } = this.#statistics;
    for (const peer of [undefined, ...senders.length > 1 ? senders : []]) {
      const report = this.#statistics.report(now, peer);
      const [event, name] = peer ? ["sender", `${peer}: `] : ["stats", ""];
      log.info(event, name + describeReport(report), { peer, ...report });
    }
    const most = Math.max(...this.#gaps);
    if (most > 0) log.info("gaps", "Times between two datagrams:");
    for (const [i, count] of this.#gaps.entries()) {
      if (count === 0) continue;
      const [from, to] = [Math.floor(2 ** (i - 1)), 2 ** i];
      const range = `${from / 1000} ms - ${to / 1000} ms`.padEnd(20);
      const bar = "█".repeat(Math.ceil(40 * count / most));
      const line = `${range} ${`${count}`.padStart(6)} ${bar}`;
      log.info("gap", line, { from, to, count });
    }
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
