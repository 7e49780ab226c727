// The options of a command: what kinds there are, those of both TCP scripts,
// and how a command line is read.
import { parseArgs } from "@std/cli/parse-args";
import { type NetAddress, parseAddress } from "../address.ts";
import { type Framing, parseFraming } from "../framing.ts";

/** An option of a command: `--name VALUE`, or a switch without a value. */
export interface Option<Value> {
  help: string;
  /** One letter, for `-n`. */
  short?: string;
  /** What the value is called in the help; a switch has none. */
  value?: string;
  /** Reads the values given, in order; none where the option is not given. */
  read: (texts: string[]) => Value;
}

/** The options of a command by name: `maxFrame` is `--max-frame`. */
// deno-lint-ignore no-explicit-any
export type OptionTable = Record<string, Option<any>>;

/** The values of the options in a table. */
export type Values<T extends OptionTable> = {
  [Name in keyof T]: ReturnType<T[Name]["read"]>;
};

/** The command line is wrong; the cause, if any, tells what was meant. */
export class UsageError extends Error {}

/** Runs a parser and rethrows its error as a {@linkcode UsageError}. */
export function usage<Value>(parse: () => Value, after = "", before = "") {
  try {
    return parse();
  } catch (error) {
    const message = before + (error as Error).message + after;
    throw new UsageError(message, { cause: error });
  }
}

/** Throws the first of these messages whose mistake was made. */
export function refuse(mistakes: Record<string, unknown>): void {
  for (const [message, made] of Object.entries(mistakes)) {
    if (made) throw new UsageError(message);
  }
}

/** A switch: given or not. */
export function toggle(help: string, short?: string): Option<boolean> {
  const read = (texts: string[]) => {
    refuse({ "takes no value": texts.some((text) => text !== "") });
    return texts.length > 0;
  };
  return { help, short, read };
}

/** An option that takes a value (of any text: `String`); the last one counts. */
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

/** An option that may be repeated; every value counts. */
export function list(value: string, help: string): Option<string[]> {
  return { help, value, read: (texts) => texts };
}

/** Makes a parser that takes one of several words. */
export function oneOf<Word extends string>(...words: Word[]) {
  const wanted = `${words.slice(0, -1).join(", ")} or ${words.at(-1)}`;
  return (value: string): Word =>
    words.find((word) => word === value) ?? mustBe(wanted, value);
}

/** Makes a parser of whole numbers. */
export function integer(least = 0, most = Number.MAX_SAFE_INTEGER) {
  const end = most < Number.MAX_SAFE_INTEGER ? ` to ${most}` : "";
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
  const isSize = Number.isSafeInteger(bytes);
  return isSize ? bytes : mustBe("a size, as in 512, 64k or 1m", value);
}

/** Reads `nats://HOST:PORT`, or `tls://HOST:PORT` where NATS begins with TLS. */
export function natsAddress(value: string): NetAddress {
  const isRight = /^(nats|tls):\/\/(?!unix:)[^/]+$/i.test(value);
  if (!isRight) mustBe("nats://HOST:PORT or tls://HOST:PORT", value);
  const place = value.replace(/^nats:\/\//i, "");
  return parseAddress(place, { port: 4222 }) as NetAddress;
}

function mustBe(wanted: string, value: string): never {
  throw new UsageError(`must be ${wanted}, not ${value}`);
}

/** Where one message ends and the next begins. */
export const FRAMING_OPTIONS = {
  framing: option("FRAMING", "see below (raw)", String, undefined, "f"),
  maxFrame: option("SIZE", "longest message (64k)", size, 65_536),
};

/** How standard input is sent and how what comes is printed. */
export const PIPE_OPTIONS = {
  noStdin: toggle("send nothing, only listen"),
  crlf: toggle("end lines with CRLF"),
};

/** Finds the framing that is asked for; refuses what does not go with it. */
export function framingFrom(
  values: { framing?: string; maxFrame: number; crlf?: boolean },
  fallback = "raw",
): Framing {
  const { framing: name = fallback, maxFrame, crlf } = values;
  refuse({
    "--max-frame needs a --framing": name === "raw" && maxFrame !== 65_536,
    "--crlf goes with raw and lines only": crlf && !/^(raw|lines)$/.test(name),
  });
  return usage(() => parseFraming(name, { maxFrameLength: maxFrame }));
}

/** From `maxFrame` to `--max-frame`. */
export function flagOf(name: string): string {
  return `--${name.replace(/[A-Z]/g, "-$&").toLowerCase()}`;
}

/** Reads a command line by a table of options; the rest is positional. */
export function parseOptions<T extends OptionTable>(
  table: T,
  args: readonly string[],
): { values: Values<T>; positionals: string[] } {
  const names = Object.keys(table);
  // Each option as `--name=value`: a value may look like an option.
  const words: string[] = [];
  const rest = [...args];
  while (rest.length > 0 && rest[0] !== "--") {
    const word = rest.shift()!;
    const [, given, sign, tail] = /^(--[^=]*|-[^-]|)(=?)(.*)$/su.exec(word)!;
    const long = given.slice(2).replace(/-./g, ([, one]) => one.toUpperCase());
    const name = names.find((name) =>
      name === long && given === flagOf(name) ||
      given === `-${table[name].short}`
    );
    if (given === "") words.push(word);
    else if (name === undefined) {
      const cause = { given, flags: names.map(flagOf) };
      throw new UsageError(`there is no option ${given}`, { cause });
    } else if (table[name].value === undefined) {
      // `-qv` is two switches, `--explain=page` one.
      if (tail && !sign) rest.unshift(`-${tail}`);
      words.push(`--${name}=${sign && tail}`);
    } else {
      const value = sign || tail ? tail : rest.shift();
      const missing = `${given} needs a value, ${table[name].value}`;
      refuse({ [missing]: value === undefined });
      words.push(`--${name}=${value}`);
    }
  }
  const kinds = { string: [...names, "_"], collect: names };
  const { _: positionals, ...texts } = parseArgs([...words, ...rest], kinds);
  const values = Object.fromEntries(names.map((name) => {
    const given = texts[name] as string[];
    const read = () => table[name].read(given);
    // Making the flags of all takes a third of a millisecond.
    const isGiven = given.length > 0;
    return [name, isGiven ? usage(read, "", `${flagOf(name)} `) : read()];
  }));
  return { values: values as Values<T>, positionals: positionals as string[] };
}
