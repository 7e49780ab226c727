/**
 * The kinds of option that a command can have, and how each reads its value.
 *
 * @module
 */

/** An option of a command: `--name VALUE`, or a switch without a value. */
export interface Option<Value> {
  /** What it does, in a few words. */
  readonly help: string;
  /** One letter, for `-n`. */
  readonly short?: string;
  /** What the value is called in the help; a switch has none. */
  readonly value?: string;
  /** Whether it may be given with `=VALUE` or without, which reads as "". */
  readonly mayHaveValue?: boolean;
  /** Words that a shell may offer as its value. */
  readonly words?: readonly string[];
  /**
   * Reads the values given, in order; none where the option is not given.
   *
   * @throws {UsageError} If a value is not what the option takes.
   */
  readonly read: (texts: readonly string[]) => Value;
}

/** Reads a value, and throws {@linkcode UsageError} if it is wrong. */
export interface Parser<Value> {
  (text: string): Value;
  /** Words that a shell may offer as the value. */
  readonly words?: readonly string[];
}

/** The command line is wrong; the message says how. */
export class UsageError extends Error {
  /**
   * Makes the error.
   *
   * @param message What is wrong and what would be right.
   */
  constructor(message: string) {
    super(message);
    this.name = "UsageError";
  }
}

/**
 * Reads a part of the command line; what it throws is the typist's to mend.
 *
 * @param read Reads it.
 * @returns What it reads.
 * @throws {UsageError} If it throws, with the same message.
 */
export function usage<Value>(read: () => Value): Value {
  try {
    return read();
  } catch (error) {
    throw new UsageError(error instanceof Error ? error.message : `${error}`);
  }
}

/**
 * Refuses a command line for the first mistake in it.
 *
 * @param mistakes Whether each was made, under what is to be said about it.
 * @throws {UsageError} If one was made.
 *
 * @example
 * ```ts
 * import { assertThrows } from "@std/assert";
 *
 * refuse({ "--cert needs --key": false });
 * assertThrows(() => refuse({ "--cert needs --key": "a.pem" }), UsageError);
 * ```
 */
export function refuse(mistakes: Record<string, unknown>): void {
  for (const [message, made] of Object.entries(mistakes)) {
    if (made) throw new UsageError(message);
  }
}

/**
 * Makes a switch: there or not.
 *
 * @param help What it does.
 * @param short One letter for it.
 * @returns The option.
 */
export function toggle(help: string, short?: string): Option<boolean> {
  return { help, short, read: (texts) => texts.length > 0 };
}

/**
 * Makes an option that takes a value; where it is repeated, the last counts.
 *
 * @param value What the value is called in the help.
 * @param help What it does.
 * @param parse Reads the value.
 * @param fallback The value where the option is not given.
 * @param short One letter for it.
 * @returns The option.
 */
export function option<Value, Fallback extends Value | undefined = undefined>(
  value: string,
  help: string,
  parse: Parser<Value>,
  fallback?: Fallback,
  short?: string,
): Option<Value | Fallback> {
  const read = (texts: readonly string[]) => {
    const last = texts.at(-1);
    return last === undefined ? fallback as Fallback : parse(last);
  };
  return { help, short, value, words: parse.words, read };
}

/**
 * Makes an option that may be repeated; every value counts.
 *
 * @param value What a value is called in the help.
 * @param help What it does.
 * @returns The option.
 */
export function list(value: string, help: string): Option<string[]> {
  return { help, value, read: (texts) => [...texts] };
}

/**
 * Takes any text as it is.
 *
 * @param value The text.
 * @returns The same.
 */
export function text(value: string): string {
  return value;
}

/**
 * Makes a parser that takes any text; a shell suggests some words.
 *
 * @param words The words.
 * @returns The parser.
 */
export function suggesting(...words: string[]): Parser<string> {
  return Object.assign((value: string) => value, { words });
}

/**
 * Makes a parser that takes one of several words.
 *
 * @param words The words.
 * @returns The parser.
 *
 * @example
 * ```ts
 * import { assertThrows } from "@std/assert";
 *
 * const parse = oneOf("echo", "chat");
 * assertThrows(() => parse("chta"), UsageError, "must be echo or chat, not chta");
 * ```
 */
export function oneOf<Word extends string>(
  ...words: Word[]
): Parser<Word> {
  const parse = (value: string): Word => {
    const found = words.find((word) => word === value);
    if (found !== undefined) return found;
    const most = words.slice(0, -1).join(", ");
    throw new UsageError(`must be ${most} or ${words.at(-1)}, not ${value}`);
  };
  return Object.assign(parse, { words });
}

/**
 * Makes a parser of whole numbers.
 *
 * @param least The least that is taken.
 * @param most The most that is taken.
 * @returns The parser.
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 *
 * assertEquals(integer(0, 255)("64"), 64);
 * ```
 */
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

/**
 * Reads a duration: `250ms`, `2s`, `5m`, `1h`; a bare number is seconds.
 *
 * @param value The duration as text.
 * @returns The duration in milliseconds.
 * @throws {UsageError} If it is no duration, zero, or above 24 days.
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 *
 * assertEquals(["250ms", "1.5", "5m"].map(duration), [250, 1500, 300_000]);
 * ```
 */
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

const BYTES = { "": 1, k: 1024, m: 1024 ** 2, g: 1024 ** 3 };

/**
 * Reads a size: `512`, `64k`, `1m`, `1g`, in powers of 1,024.
 *
 * @param value The size as text.
 * @returns The size in bytes.
 * @throws {UsageError} If it is no size.
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 *
 * assertEquals(["512", "64k"].map(size), [512, 65_536]);
 * ```
 */
export function size(value: string): number {
  const match = /^(\d+)([kmg]?)$/i.exec(value);
  if (match !== null) {
    const unit = match[2].toLowerCase() as keyof typeof BYTES;
    const bytes = Number(match[1]) * BYTES[unit];
    if (Number.isSafeInteger(bytes)) return bytes;
  }
  throw new UsageError(`must be a size, as in 512, 64k or 1m, not ${value}`);
}
