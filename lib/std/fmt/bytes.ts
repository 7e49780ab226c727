/**
 * Stand-in for `@std/fmt/bytes`, for machines that reach no registry.
 *
 * @module
 */

const UNITS = ["B", "kB", "MB", "GB", "TB", "PB", "EB", "ZB", "YB"];

/**
 * Writes a number of bytes for a person, in powers of 1,000.
 *
 * @param bytes How many bytes.
 * @returns Three significant digits and a unit.
 *
 * @example
 * ```ts
 * import { format } from "@std/fmt/bytes";
 * import { assertEquals } from "@std/assert";
 *
 * assertEquals(format(1337), "1.34 kB");
 * ```
 */
export function format(bytes: number): string {
  const exponent = bytes < 1
    ? 0
    : Math.min(Math.floor(Math.log10(bytes) / 3), UNITS.length - 1);
  const scaled = Number((bytes / 1000 ** exponent).toPrecision(3));
  return `${scaled.toLocaleString("en-US")} ${UNITS[exponent]}`;
}
