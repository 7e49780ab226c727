/**
 * Steps of a piece of work, timed and drawn to scale: one look shows where the
 * time went.
 *
 * @module
 */

/** A step that was taken. */
export interface Step {
  /** What the step is called. */
  name: string;
  /** When it began, in milliseconds after the first step's beginning. */
  start: number;
  /** How long it took. */
  milliseconds: number;
}

/**
 * Times one step after another.
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 *
 * const stopwatch = new Stopwatch();
 * assertEquals(await stopwatch.time("add", () => Promise.resolve(1 + 1)), 2);
 * assertEquals(stopwatch.steps.map(({ name }) => name), ["add"]);
 * ```
 */
export class Stopwatch {
  /** The steps so far, a failed one too, in the order of their ends. */
  readonly steps: Step[] = [];
  #begin: number | undefined;
  #onStart: (name: string) => void;

  /**
   * Makes a stopwatch; its time begins with the first step.
   *
   * @param onStart Told the name of each step when it begins.
   */
  constructor(onStart: (name: string) => void = () => {}) {
    this.#onStart = onStart;
  }

  /**
   * Does a step and takes its time.
   *
   * @param name What it is called.
   * @param work Does it.
   * @returns What the work gives.
   * @throws {unknown} What the work throws; the step is kept all the same.
   */
  async time<Value>(
    name: string,
    work: () => Promise<Value>,
  ): Promise<Value> {
    const now = performance.now();
    this.#begin ??= now;
    this.#onStart(name);
    try {
      return await work();
    } finally {
      const milliseconds = performance.now() - now;
      this.steps.push({ name, start: now - this.#begin, milliseconds });
    }
  }
}

/**
 * Says how long steps took from the first's beginning to the last's end.
 *
 * @param steps The steps.
 * @returns The time in milliseconds; 0 for no steps.
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 *
 * const step = { name: "connect", start: 10, milliseconds: 30 };
 * assertEquals(totalOf([step]), 40);
 * ```
 */
export function totalOf(steps: readonly Step[]): number {
  return Math.max(
    0,
    ...steps.map(({ start, milliseconds }) => start + milliseconds),
  );
}

/** How {@linkcode drawSteps} draws. */
export interface DrawOptions {
  /**
   * Time that the whole width stands for, in milliseconds: the steps' own
   * total, if not given. With one scale, several drawings can be compared.
   */
  scale?: number;
  /**
   * Room for the bars, in characters.
   *
   * @default {40}
   */
  width?: number;
}

/** A bar's last character, by how many eighths of it are filled. */
const EIGHTHS = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"];

/**
 * Draws a bar for each step, where it lay and as long as it took, and the
 * total.
 *
 * @param steps The steps.
 * @param options Scale and width.
 * @returns A line for each step and one for the total, without line ends.
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 *
 * const steps = [
 *   { name: "resolve", start: 0, milliseconds: 25 },
 *   { name: "connect", start: 25, milliseconds: 75 },
 * ];
 * assertEquals(drawSteps(steps, { width: 8 }), [
 *   "resolve          ██            25.0 ms",
 *   "connect            ██████      75.0 ms",
 *   "total                         100.0 ms",
 * ]);
 * ```
 */
export function drawSteps(
  steps: readonly Step[],
  options: DrawOptions = {},
): string[] {
  const { scale = totalOf(steps), width = 40 } = options;
  const line = (name: string, bar: string, milliseconds: number) =>
    `${name.padEnd(17)}${bar.padEnd(width)}${
      milliseconds.toFixed(1).padStart(10)
    } ms`;
  const bars = steps.map(({ name, start, milliseconds }) => {
    // However short a step was, it was there.
    const eighths = Math.max(1, Math.round(milliseconds / scale * width * 8));
    const bar = "█".repeat(eighths >> 3) + EIGHTHS[eighths & 7];
    const before = Math.round(start / scale * width);
    const indent = Math.max(0, Math.min(before, width - bar.length));
    return line(name, " ".repeat(indent) + bar, milliseconds);
  });
  return [...bars, line("total", "", totalOf(steps))];
}
