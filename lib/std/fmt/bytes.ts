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
 * @returns Three significant digits and a unit; below 1 as it is.
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
  if (bytes < 1) return `${bytes} B`;
  const most = UNITS.length - 1;
  const exponent = Math.min(Math.floor(Math.log10(bytes) / 3), most);
  const scaled = Number((bytes / 1000 ** exponent).toPrecision(3));
  return `${scaled} ${UNITS[exponent]}`;
}
