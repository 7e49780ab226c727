/**
 * Stand-in for `@std/cli/parse-args`, for machines that reach no registry.
 *
 * @module
 */

/** Which options there are and how each takes its value. */
export interface ParseOptions {
  /** Options that take no value. */
  boolean?: readonly string[];
  /** Options whose value stays text. Name `_` to keep positionals text too. */
  string?: readonly string[];
  /** Options that may be given several times; their values come as a list. */
  collect?: readonly string[];
}

/**
 * Splits a command line into options and positionals (`_`).
 *
 * Written from the documented behaviour of the published package, for the
 * forms that this repository uses: `--name`, `--name=value`, and `--`, after
 * which everything is positional.
 *
 * @param args The arguments, `Deno.args` for instance.
 * @param options What to expect.
 * @returns One property an option, and `_`.
 *
 * @example
 * ```ts
 * import { parseArgs } from "@std/cli/parse-args";
 * import { assertEquals } from "@std/assert";
 *
 * const { verbose, mode, _ } = parseArgs(
 *   ["--verbose", "--mode=echo", "--", "host:80"],
 *   { boolean: ["verbose"], string: ["mode", "_"] },
 * );
 * assertEquals({ verbose, mode, _ }, {
 *   verbose: true,
 *   mode: "echo",
 *   _: ["host:80"],
 * });
 * ```
 */
export function parseArgs(
  args: readonly string[],
  options: ParseOptions = {},
): Record<string, unknown> & { _: (string | number)[] } {
  const { boolean = [], string = [], collect = [] } = options;
  const result: Record<string, unknown> & { _: string[] } = { _: [] };
  for (const name of boolean) result[name] = false;
  for (const name of collect) result[name] = [];

  const end = args.indexOf("--");
  for (const argument of end === -1 ? args : args.slice(0, end)) {
    const option = /^--([^=]+)(?:=(.*))?$/s.exec(argument);
    if (option === null) {
      result._.push(argument);
      continue;
    }
    const [, name, text] = option;
    const value = text ?? (string.includes(name) ? "" : true);
    result[name] = collect.includes(name)
      ? [...result[name] as unknown[], value]
      : value;
  }
  if (end !== -1) result._.push(...args.slice(end + 1));
  return result;
}
