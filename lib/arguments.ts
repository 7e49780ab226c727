/**
 * A command line as it was typed, made plain enough for any parser.
 *
 * @module
 */
import { UsageError } from "./options.ts";

/** How an option is written. */
export interface Entry {
  /** Its long name, without dashes. */
  flag: string;
  /** One letter for it. */
  short?: string;
  /** What its value is called; a switch has none. */
  value?: string;
  /** Whether it may be given with `=VALUE` or without. */
  mayHaveValue?: boolean;
}

/**
 * Says whether an option never has a value.
 *
 * @param entry The option.
 * @returns Whether it is there or not, and that is all.
 */
export function isSwitch({ value, mayHaveValue }: Entry): boolean {
  return value === undefined && !mayHaveValue;
}

/**
 * Gives each option its long name and its value, `-n VALUE` as `--name=VALUE`,
 * and puts positionals last: a value may be empty or start with a dash, a
 * missing one is found, and no switch takes the word after it for its own.
 *
 * @param args The arguments, as they were typed.
 * @param entries The options that there are.
 * @returns The same for `parseArgs`: options, `--`, positionals.
 * @throws {UsageError} If an option is unknown, or its value is missing or too
 * much.
 */
export function inOrder(args: readonly string[], entries: Entry[]): string[] {
  const options: string[] = [];
  const positionals: string[] = [];
  const rest = [...args];
  for (let arg = rest.shift(); arg !== undefined; arg = rest.shift()) {
    if (arg === "--") {
      positionals.push(...rest);
      break;
    }
    if (arg.length < 2 || !arg.startsWith("-")) {
      positionals.push(arg);
      continue;
    }
    const isGroup = arg.length > 2 && arg[1] !== "-" && arg[2] !== "=";
    if (isGroup) {
      // -qv is two switches, but -mchat one option and its value.
      const [letter, tail] = [arg[1], arg.slice(2)];
      const first = entries.find(({ short }) => short === letter);
      rest.unshift(`-${letter}`, first?.value ? tail : `-${tail}`);
      continue;
    }
    const sign = arg.indexOf("=");
    const [given, joined] = sign === -1
      ? [arg]
      : [arg.slice(0, sign), arg.slice(sign + 1)];
    const entry = entries.find(({ flag, short }) =>
      [`--${flag}`, short && `-${short}`].includes(given)
    );
    if (entry === undefined) {
      throw new UsageError(unknownOption(given, entries));
    }
    if (entry.mayHaveValue) {
      options.push(`--${entry.flag}=${joined ?? ""}`);
      continue;
    }
    if (entry.value === undefined) {
      if (joined !== undefined) throw new UsageError(`${given} takes no value`);
      options.push(`--${entry.flag}`);
      continue;
    }
    const value = joined ?? rest.shift();
    if (value === undefined) {
      throw new UsageError(`${given} needs a value, ${entry.value}`);
    }
    options.push(`--${entry.flag}=${value}`);
  }
  return [...options, "--", ...positionals];
}

function unknownOption(given: string, entries: Entry[]): string {
  const unknown = `there is no option ${given}`;
  // Any letter is as near as any other.
  if (!given.startsWith("--")) return unknown;
  if (/^--(allow|deny|unstable)-/.test(given)) {
    return `${unknown}; what Deno is to allow stands before the script's name`;
  }
  const names = entries.map(({ flag }) => `--${flag}`);
  return `${unknown}; did you mean ${nearest(given, names)}?`;
}

/**
 * Finds what somebody may have meant.
 *
 * @param given What was typed.
 * @param words What there is, one at least.
 * @returns The word that takes the fewest changes.
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 *
 * assertEquals(nearest("chta", ["echo", "chat", "room"]), "chat");
 * ```
 */
export function nearest(given: string, words: readonly string[]): string {
  const distances = words.map((word) => editDistance(given, word));
  return words[distances.indexOf(Math.min(...distances))];
}

/** Levenshtein: how many characters to add, drop or change. */
function editDistance(from: string, to: string): number {
  let row = Array.from({ length: to.length + 1 }, (_, i) => i);
  for (let i = 1; i <= from.length; i++) {
    const next = [i];
    for (let j = 1; j <= to.length; j++) {
      const changed = row[j - 1] + (from[i - 1] === to[j - 1] ? 0 : 1);
      next.push(Math.min(changed, row[j] + 1, next[j - 1] + 1));
    }
    row = next;
  }
  return row[to.length];
}
