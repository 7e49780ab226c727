// The options of a command: what kinds there are, and how a command line is
// read.
import { parseArgs } from "@std/cli/parse-args";
import { type NetAddress, parseAddress } from "../address.ts";

/** An option of a command: `--name VALUE`, or a switch without a value. */
export interface Option<Value> {
  help: string;
  /** One letter, for `-n`. */
  short?: string;
  /** What the value is called in the help; a switch has none. */
  value?: string;
  /** Reads the values given, in order; none where the option is not given. */
  read: (texts: string[]) => Value;

  // On request: the value of `--name` alone; any other needs `--name=VALUE`.
  implied?: string;
}

/** The options of a command by name: `maxFrame` is `--max-frame`. */
// deno-lint-ignore no-explicit-any
export type OptionTable = Record<string, Option<any>>;

/** What the options of a table come to. */
export type Values<T extends OptionTable> = {
  [Name in keyof T]: ReturnType<T[Name]["read"]>;
};

/** The command line is wrong; the message says how. */
export class UsageError extends Error {}

/** There is no such option. */
export class UnknownOption extends UsageError {
  constructor(readonly given: string, advice = "") {
    super(`there is no option ${given}${advice}`);
  }
}

/** Runs a parser and rethrows its error as a {@linkcode UsageError}. */
export function usage<Value>(parse: () => Value, after = "", before = "") {
  try {
    return parse();
  } catch (error) {
    throw new UsageError(before + (error as Error).message + after);
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
  const read = (texts: string[]) =>
    texts.length > 0 ? parse(texts.at(-1)!) : fallback as Fallback;
  return { help, short, value, read };
}

/** Makes an option that may be repeated; every value counts. */
export function list(value: string, help: string): Option<string[]> {
  return { help, value, read: (texts) => texts };
}

/** Takes any text as it is. */
export function text(value: string): string {
  return value;
}

/** Makes a parser that takes one of several words. */
export function oneOf<Word extends string>(...words: Word[]) {
  const wanted = `${words.slice(0, -1).join(", ")} or ${words.at(-1)}`;
  return (value: string): Word =>
    words.find((word) => word === value) ?? mustBe(wanted, value);
}

/** Makes a parser of whole numbers. */
export function integer(least = 0, most: number = Number.MAX_SAFE_INTEGER) {
  const end = most === Number.MAX_SAFE_INTEGER ? "" : ` to ${most}`;
  return (value: string): number => {
    const number = /^\d+$/.test(value) ? Number(value) : NaN;
    if (number >= least && number <= most) return number;
    return mustBe(`a whole number from ${least}${end}`, value);
  };
}

/** Reads `250ms`, `2s`, `5m`, `1h`, or seconds; gives milliseconds. */
export function duration(value: string): number {
  const [, number, unit] = /^(\d+(?:\.\d+)?)(ms|m|h|s?)$/.exec(value) ?? [];
  const factor = { ms: 1, m: 60_000, h: 3_600_000 }[unit] ?? 1000;
  const milliseconds = Number(number) * factor;
  // `setTimeout` takes little more than 24 days.
  if (milliseconds > 0 && milliseconds <= 24 * 86_400_000) return milliseconds;
  const wanted = "a duration above zero and up to 24 days";
  return mustBe(`${wanted}, as in 250ms, 2s, 5m or 1h`, value);
}

/** Reads `512`, `64k`, `1m`, `1g`, in powers of 1,024; gives bytes. */
export function size(value: string): number {
  const [, number, unit] = /^(\d+)([kmg]?)$/.exec(value.toLowerCase()) ?? [];
  const bytes = Number(number) * 1024 ** ["", "k", "m", "g"].indexOf(unit);
  if (Number.isSafeInteger(bytes)) return bytes;
  return mustBe("a size, as in 512, 64k or 1m", value);
}

/** Reads `nats://HOST:PORT`, or `tls://HOST:PORT` where NATS begins with TLS. */
export function natsAddress(value: string): NetAddress {
  const [, scheme, place] = /^(nats|tls):\/\/([^/]+)$/i.exec(value) ?? [];
  if (!place) return mustBe("nats://HOST:PORT or tls://HOST:PORT", value);
  const address = parseAddress(place, { port: 4222 }) as NetAddress;
  return /tls/i.test(scheme) ? { ...address, transport: "tls" } : address;
}

function mustBe(wanted: string, value: string): never {
  throw new UsageError(`must be ${wanted}, not ${value}`);
}

/** From `maxFrame` to `--max-frame`. */
export function flagOf(name: string): string {
  return `--${name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`;
}

/** Reads a command line by a table of options; the rest is positional. */
export function parseOptions<T extends OptionTable>(
  table: T,
  args: readonly string[],
): { values: Values<T>; positionals: string[] } {
  const names = Object.keys(table);
  const known = { string: [...names, "_"], collect: names };
  const parsed = parseArgs(spelledOut(table, args), known);
  const read = (name: string) => table[name].read(parsed[name] as string[]);
  const values = Object.fromEntries(names.map((name) => {
    return [name, usage(() => read(name), "", `${flagOf(name)} `)];
  }));
  return { values: values as Values<T>, positionals: parsed._ as string[] };
}

/** Writes each option as `--name=value`: a value may look like an option. */
function spelledOut(table: OptionTable, args: readonly string[]): string[] {
  const names = Object.keys(table);
  const words: string[] = [];
  const rest = [...args];
  while (rest.length > 0 && rest[0] !== "--") {
    const word = rest.shift()!;
    const [, given, sign, tail] = /^(--[^=]*|-[^-])(=?)(.*)$/su.exec(word) ??
      [];
    const name = names.find((name) =>
      given === flagOf(name) || given === `-${table[name].short}`
    );

    // On request: `--explain` may stand alone.
    if (name && table[name].implied && !sign) {
      words.push(`--${name}=${table[name].implied}`);
      continue;
    }

    if (given === undefined) words.push(word);
    else if (name === undefined) {
      throw new UnknownOption(given, adviceFor(given, names.map(flagOf)));
    } else if (table[name].value === undefined) {
      if (sign) throw new UsageError(`${given} takes no value`);
      if (tail) rest.unshift(`-${tail}`); // -qv is two switches
      words.push(`--${name}=`);
    } else {
      const value = sign || tail ? tail : rest.shift();
      if (value === undefined) {
        throw new UsageError(`${given} needs a value, ${table[name].value}`);
      }
      words.push(`--${name}=${value}`);
    }
  }
  return [...words, ...rest];
}

/** What was probably meant, if that is near. */
function adviceFor(given: string, known: string[]): string | undefined {
  if (/^--(allow|deny|unstable)-/.test(given)) {
    return "; what Deno is to allow stands before the script's name";
  }
  const near = known.find((flag) =>
    lacking(flag, given) + lacking(given, flag) <= given.length / 3
  );
  return near && `; did you mean ${near}?`;
}

/** How many letters of a word another has not. */
function lacking(word: string, other: string): number {
  return [...other].reduce((rest, one) => rest.replace(one, ""), word).length;
}
