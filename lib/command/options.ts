/**
 * The options of a command: what kinds there are, and how a command line is
 * read.
 *
 * @module
 */
import { parseArgs } from "@std/cli/parse-args";

/** An option of a command: `--name VALUE`, or a switch without a value. */
export interface Option<Value> {
  /** What it does, in a few words. */
  readonly help: string;
  /** One letter, for `-n`. */
  readonly short?: string;
  /** What the value is called in the help; a switch has none. */
  readonly value?: string;
  /** Reads the values given, in order; none where the option is not given. */
  readonly read: (texts: readonly string[]) => Value;
}

/** The options of a command by name: `maxFrame` is `--max-frame`. */
// deno-lint-ignore no-explicit-any
export type OptionTable = Record<string, Option<any>>;

/** What the options of a table come to. */
export type Values<T extends OptionTable> = {
  [Name in keyof T]: ReturnType<T[Name]["read"]>;
};

/** The command line is wrong; the message says how. */
export class UsageError extends Error {
  override name = "UsageError";
}

/** Runs a parser and rethrows its error as a {@linkcode UsageError}. */
export function usage<Value>(parse: () => Value, advice = ""): Value {
  try {
    return parse();
  } catch (error) {
    const message = error instanceof Error ? error.message : `${error}`;
    throw new UsageError(message + advice);
  }
}

/** Throws the first of these messages whose mistake was made. */
export function refuse(mistakes: Record<string, unknown>): void {
  for (const [message, made] of Object.entries(mistakes)) {
    if (made) throw new UsageError(message);
  }
}

/** Makes a switch: there or not. */
export function toggle(help: string, short?: string): Option<boolean> {
  return { help, short, read: (texts) => texts.length > 0 };
}

/** Makes an option that takes a value; where it is repeated, the last counts. */
export function option<Value, Fallback extends Value | undefined = undefined>(
  value: string,
  help: string,
  parse: (text: string) => Value,
  fallback?: Fallback,
  short?: string,
): Option<Value | Fallback> {
  const read = (texts: readonly string[]) => {
    const last = texts.at(-1);
    return last === undefined ? fallback as Fallback : parse(last);
  };
  return { help, short, value, read };
}

/** Makes an option that may be repeated; every value counts. */
export function list(value: string, help: string): Option<string[]> {
  return { help, value, read: (texts) => [...texts] };
}

/** Takes any text as it is. */
export function text(value: string): string {
  return value;
}

/** Makes a parser that takes one of several words. */
export function oneOf<Word extends string>(
  ...words: Word[]
): (value: string) => Word {
  return (value) => {
    const found = words.find((word) => word === value);
    if (found !== undefined) return found;
    const most = words.slice(0, -1).join(", ");
    throw new UsageError(`must be ${most} or ${words.at(-1)}, not ${value}`);
  };
}

/** Makes a parser of whole numbers. */
export function integer(
  least = 0,
  most: number = Number.MAX_SAFE_INTEGER,
): (value: string) => number {
  return (value) => {
    const number = /^\d+$/.test(value) ? Number(value) : NaN;
    if (number >= least && number <= most) return number;
    const range = most === Number.MAX_SAFE_INTEGER
      ? `from ${least}`
      : `from ${least} to ${most}`;
    throw new UsageError(`must be a whole number ${range}, not ${value}`);
  };
}

const MILLISECONDS = { ms: 1, s: 1000, m: 60_000, h: 3_600_000 };
/** 24 days: `setTimeout` takes little more. */
const MAX_DURATION = 24 * 24 * MILLISECONDS.h;

/** Reads `250ms`, `2s`, `5m`, `1h`, or seconds; gives milliseconds. */
export function duration(value: string): number {
  const match = /^(\d+(?:\.\d+)?)(ms|s|m|h)?$/.exec(value);
  if (match !== null) {
    const unit = (match[2] ?? "s") as keyof typeof MILLISECONDS;
    const milliseconds = Number(match[1]) * MILLISECONDS[unit];
    if (milliseconds > 0 && milliseconds <= MAX_DURATION) return milliseconds;
  }
  throw new UsageError(
    `must be a duration above zero and up to 24 days, as in 250ms, 2s, 5m or 1h, not ${value}`,
  );
}

/** Reads `512`, `64k`, `1m`, `1g`, in powers of 1,024; gives bytes. */
export function size(value: string): number {
  const [, number, unit] = /^(\d+)([kmg]?)$/.exec(value.toLowerCase()) ?? [];
  const bytes = Number(number) * 1024 ** ["", "k", "m", "g"].indexOf(unit);
  if (Number.isSafeInteger(bytes)) return bytes;
  throw new UsageError(`must be a size, as in 512, 64k or 1m, not ${value}`);
}

/** From `maxFrame` to `max-frame`. */
export function flagOf(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
}

/** Reads a command line by a table of options; the rest is positional. */
export function parseOptions<T extends OptionTable>(
  table: T,
  args: readonly string[],
): { values: Values<T>; positionals: string[] } {
  const entries = Object.entries(table);
  const flags = new Map(entries.map(([name, one]) => [flagOf(name), one]));
  const letters = new Map(
    entries.map(([name, { short }]) => [short, flagOf(name)]),
  );
  const names = (switches: boolean) =>
    [...flags].filter(([, { value }]) => (value === undefined) === switches)
      .map(([flag]) => flag);
  const parsed = parseArgs(spelledOut(args, flags, letters), {
    boolean: names(true),
    string: [...names(false), "_"],
    collect: names(false),
  });
  const values: Record<string, unknown> = {};
  for (const [name, { read }] of entries) {
    const flag = flagOf(name);
    const given = parsed[flag] as boolean | string[];
    try {
      values[name] = read(Array.isArray(given) ? given : given ? [""] : []);
    } catch (error) {
      // Parsers of addresses and framings throw errors of their own.
      throw new UsageError(`--${flag} ${(error as Error).message}`);
    }
  }
  return { values: values as Values<T>, positionals: parsed._.map(String) };
}

/**
 * Gives each option its long name and joins it with its value, and puts
 * positionals last: so a value may be empty or begin with a dash, a missing one
 * is found, and no switch takes the word after it.
 */
function spelledOut(
  args: readonly string[],
  flags: Map<string, Option<unknown>>,
  letters: Map<string | undefined, string>,
): string[] {
  const options: string[] = [];
  const positionals: string[] = [];
  const rest = [...args];
  for (let arg = rest.shift(); arg !== undefined; arg = rest.shift()) {
    if (arg === "--") {
      positionals.push(...rest);
      break;
    }
    if (!/^-./.test(arg)) {
      positionals.push(arg);
      continue;
    }
    const [, given, sign, tail] = /^(--[^=]*|-.)(=?)(.*)$/s.exec(arg)!;
    const flag = given.startsWith("--")
      ? given.slice(2)
      : letters.get(given[1]) ?? "";
    const known = flags.get(flag);
    if (known === undefined) throw new UsageError(unknown(given, flags));
    if (known.value === undefined) {
      if (sign) throw new UsageError(`${given} takes no value`);
      options.push(`--${flag}`);
      if (tail !== "") rest.unshift(`-${tail}`); // -qv is two switches
      continue;
    }
    const value = sign || tail ? tail : rest.shift();
    if (value === undefined) {
      throw new UsageError(`${given} needs a value, ${known.value}`);
    }
    options.push(`--${flag}=${value}`);
  }
  return [...options, "--", ...positionals];
}

function unknown(given: string, flags: Map<string, unknown>): string {
  const problem = `there is no option ${given}`;
  // Any letter is as near as any other.
  if (!given.startsWith("--")) return problem;
  if (/^--(allow|deny|unstable)-/.test(given)) {
    return `${problem}; what Deno is to allow stands before the script's name`;
  }
  const names = [...flags.keys()].map((flag) => `--${flag}`);
  const distances = names.map((name) => editDistance(given, name));
  const nearest = names[distances.indexOf(Math.min(...distances))];
  return `${problem}; did you mean ${nearest}?`;
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
