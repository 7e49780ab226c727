/**
 * Stand-in for `@std/cli/parse-args`, for machines that reach no registry.
 *
 * @module
 */

/**
 * Splits a command line into options and positionals (`_`).
 *
 * Written from the documented behaviour of the published package, for the
 * forms that this repository uses: `--name`, `--name=value`, and `--`, after
 * which everything is positional.
 *
 * @param args The arguments, `Deno.args` for instance.
 * @param options `string`: options whose value stays text, `_` for positionals;
 * `collect`: those that may be given several times, whose values come as a list.
 * @returns One property an option, and `_`.
 *
 * @example
 * ```ts
 * import { parseArgs } from "@std/cli/parse-args";
 * import { assertEquals } from "@std/assert";
 *
 * const { mode, text, _ } = parseArgs(
 *   ["--mode=echo", "--text=a", "--text=b", "--", "host:80"],
 *   { string: ["mode", "text", "_"], collect: ["text"] },
 * );
 * assertEquals({ mode, text, _ }, {
 *   mode: "echo",
 *   text: ["a", "b"],
 *   _: ["host:80"],
 * });
 * ```
 */
export function parseArgs(
  args: readonly string[],
  { string = [], collect = [] }: Record<string, readonly string[]> = {},
): Record<string, unknown> & { _: (string | number)[] } {
  const result: Record<string, unknown> & { _: string[] } = { _: [] };
  for (const name of collect) result[name] = [];
  const end = [...args, "--"].indexOf("--");
  for (const argument of args.slice(0, end)) {
    const [, name, text] = /^--([^=]+)(?:=(.*))?$/s.exec(argument) ?? [];
    const value = text ?? (string.includes(name) ? "" : true);
    if (name === undefined) result._.push(argument);
    else if (!collect.includes(name)) result[name] = value;
    else (result[name] as unknown[]).push(value);
  }
  result._.push(...args.slice(end + 1));
  return result;
}
