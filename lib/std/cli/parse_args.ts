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
  /** From an option's short name to its long one. */
  alias?: Record<string, string>;
  /** Called for what none of the above names; `false` drops it. */
  unknown?: (argument: string, key?: string, value?: unknown) => unknown;
}

/**
 * Splits a command line into options and positionals (`_`).
 *
 * Written from the documented behaviour of the published package, for the
 * forms that this repository uses: `--name`, `--name=value`, `-n`, `-abc` for
 * three switches, and `--`, after which everything is positional.
 *
 * @param args The arguments, `Deno.args` for instance.
 * @param options What to expect.
 * @returns One property an option, under its long and its short name, and `_`.
 *
 * @example
 * ```ts
 * import { parseArgs } from "@std/cli/parse-args";
 * import { assertEquals } from "@std/assert";
 *
 * const { verbose, mode, _ } = parseArgs(["-v", "--mode=echo", "host:80"], {
 *   boolean: ["verbose"],
 *   string: ["mode", "_"],
 *   alias: { v: "verbose" },
 * });
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
  const { boolean = [], string = [], collect = [], alias = {} } = options;
  const result: Record<string, unknown> & { _: string[] } = { _: [] };
  for (const name of boolean) result[name] = false;
  for (const name of collect) result[name] = [];

  function set(key: string, value: string | boolean, argument: string): void {
    const name = alias[key] ?? key;
    if (!boolean.includes(name) && !string.includes(name)) {
      if (options.unknown?.(argument, key, value) === false) return;
    }
    const kept = collect.includes(name)
      ? [...result[name] as unknown[], value]
      : value;
    result[name] = kept;
    for (const [short, long] of Object.entries(alias)) {
      if (long === name) result[short] = kept;
    }
  }

  const end = args.indexOf("--");
  const parsed = end === -1 ? args : args.slice(0, end);
  for (const argument of parsed) {
    const long = /^--([^=]+)(?:=(.*))?$/s.exec(argument);
    if (long !== null) {
      const missing = string.includes(long[1]) ? "" : true;
      set(long[1], long[2] ?? missing, argument);
    } else if (/^-./s.test(argument)) {
      for (const letter of argument.slice(1)) set(letter, true, argument);
    } else if (options.unknown?.(argument) !== false) {
      result._.push(argument);
    }
  }
  if (end !== -1) result._.push(...args.slice(end + 1));
  return result;
}
