/**
 * How often each size of a value came, in ranges that double, drawn with bars.
 *
 * @module
 */

/** A range of values and how many fell into it. */
export interface Row {
  /** The least value of the range, in microseconds. */
  from: number;
  /** Where the next range starts, in microseconds. */
  to: number;
  /** How many values are in the range. */
  count: number;
}

const RANGES = 40;

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
  #counts = new Float64Array(RANGES);

  /**
   * Counts a duration.
   *
   * @param milliseconds The duration.
   */
  add(milliseconds: number): void {
    const microseconds = milliseconds * 1000;
    const range = microseconds < 1
      ? 0
      : Math.floor(Math.log2(microseconds)) + 1;
    this.#counts[Math.min(range, RANGES - 1)]++;
  }

  /**
   * Gives the ranges from the first to the last that has any.
   *
   * @returns The ranges, empty ones between others too.
   */
  rows(): Row[] {
    const rows = Array.from(this.#counts, (count, range) => ({
      from: range === 0 ? 0 : 2 ** (range - 1),
      to: 2 ** range,
      count,
    }));
    const first = rows.findIndex(({ count }) => count > 0);
    const last = rows.findLastIndex(({ count }) => count > 0);
    return first === -1 ? [] : rows.slice(first, last + 1);
  }

  /**
   * Draws a bar for each range; the fullest has the whole width.
   *
   * @param width Length of the longest bar, in characters.
   * @returns A line for each range.
   */
  draw(width = 40): string[] {
    const rows = this.rows();
    const most = Math.max(1, ...rows.map(({ count }) => count));
    const labels = rows.map(({ from, to }) => `${time(from)} - ${time(to)}`);
    const room = Math.max(0, ...labels.map(({ length }) => length));
    return rows.map(({ count }, index) => {
      const label = labels[index].padEnd(room);
      const number = `${count}`.padStart(`${most}`.length);
      return `${label} ${number} ${bar(count / most * width)}`.trimEnd();
    });
  }
}

const EIGHTHS = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"];

/** A bar of so many characters; one that is more than nothing is seen. */
function bar(length: number): string {
  const eighths = length > 0 ? Math.max(1, Math.round(length * 8)) : 0;
  return "█".repeat(eighths >> 3) + EIGHTHS[eighths & 7];
}

function time(microseconds: number): string {
  if (microseconds < 1000) return `${microseconds} us`;
  const [value, unit] = microseconds < 1e6
    ? [microseconds / 1e3, "ms"]
    : [microseconds / 1e6, "s"];
  return `${Number(value.toPrecision(3))} ${unit}`;
}
