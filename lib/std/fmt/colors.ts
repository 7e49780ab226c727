/**
 * Stand-in for `@std/fmt/colors`, for machines that reach no registry.
 *
 * @module
 */

function paint(text: string, on: number, off: number): string {
  return Deno.noColor ? text : `\x1b[${on}m${text}\x1b[${off}m`;
}

/**
 * Makes text bold, unless `NO_COLOR` is set.
 *
 * @param text What to show bold.
 * @returns The text between the escape sequences for bold on and off.
 */
export function bold(text: string): string {
  return paint(text, 1, 22);
}

/**
 * Makes text faint, unless `NO_COLOR` is set.
 *
 * @param text What to show faint.
 * @returns The text between the escape sequences for faint on and off.
 */
export function dim(text: string): string {
  return paint(text, 2, 22);
}

/**
 * Makes text red, unless `NO_COLOR` is set.
 *
 * @param text What to show red.
 * @returns The text between the escape sequences for red on and off.
 */
export function red(text: string): string {
  return paint(text, 31, 39);
}

/**
 * Makes text cyan, unless `NO_COLOR` is set.
 *
 * @param text What to show cyan.
 * @returns The text between the escape sequences for cyan on and off.
 */
export function cyan(text: string): string {
  return paint(text, 36, 39);
}
