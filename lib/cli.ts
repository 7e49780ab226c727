/**
 * A command's frame: its options as one table, its help, its signals, its exit
 * code, and each of its errors as one line.
 *
 * @module
 */
import { parseArgs } from "@std/cli/parse-args";
import { dim } from "@std/fmt/colors";
import { inOrder, isSwitch } from "./arguments.ts";
import type { Shell } from "./completions.ts";
import type { ExplainFormat } from "./explain.ts";
import { Log, writeToStandardError } from "./log.ts";
import { OutputError } from "./output.ts";
import { oneOf, type Option, option, toggle, UsageError } from "./options.ts";

export {
  duration,
  integer,
  list,
  oneOf,
  type Option,
  option,
  refuse,
  size,
  suggesting,
  text,
  toggle,
  usage,
  UsageError,
} from "./options.ts";

/** Version of the collection; deno.json has the same. */
export const VERSION = "0.1.0";

/** The options of a command by name: `maxFrame` is `--max-frame`. */
// deno-lint-ignore no-explicit-any
export type OptionTable = Record<string, Option<any>>;

/** What the options of a table come to. */
export type Values<T extends OptionTable> = {
  [Name in keyof T]: T[Name] extends Option<infer Value> ? Value : never;
};

/** `--explain` alone is text, as it happens. */
const EXPLAIN: Option<ExplainFormat | undefined> = {
  help: "tell each socket call; =mermaid draws them",
  mayHaveValue: true,
  read(texts) {
    const last = texts.at(-1);
    if (last === undefined) return undefined;
    return last === "" ? "text" : oneOf("text", "mermaid")(last);
  },
};

/** Every command has these. */
const COMMON = {
  verbose: toggle("say more", "v"),
  quiet: toggle("say only what goes wrong", "q"),
  json: toggle("log as JSON"),
  help: toggle("print this help and leave", "h"),
  version: toggle("print the version and leave", "V"),
  explain: EXPLAIN,
  completions: option(
    "SHELL",
    "print completions",
    oneOf<Shell>("bash", "zsh", "fish"),
  ),
};

/** What a command is called, what it takes, and what it does. */
export interface Command<T extends OptionTable> {
  /** Name of the script, without its ending. */
  name: string;
  /** What it does, in a line. */
  summary: string;
  /** Positionals, as the usage line shows them. */
  positionals: string;
  /** How many positionals there may be. */
  most: number;
  /** The options, in the order of the help. */
  options: T;
  /** What the help has above an option, where a group of them begins. */
  headings: { readonly [Name in keyof T]?: string };
  /** What comes after the options in the help: permission, examples. */
  epilogue: string;
  /**
   * Whether it opens sockets, so that there is something to `--explain`.
   *
   * @default {true}
   */
  sockets?: boolean;
  /**
   * Does the command's work.
   *
   * @throws {UsageError} If the command line is wrong: exit code 2.
   * @throws {unknown} If the network, or the peer, fails: exit code 1.
   */
  run(invocation: Invocation<T>): Promise<void>;
}

/** One run of a command. */
export interface Invocation<T extends OptionTable> {
  /** What the options come to. */
  options: Values<T>;
  /** What is not an option. */
  positionals: string[];
  /** Where to say what happens. */
  log: Log;
}

/**
 * Runs a command: parses its arguments, prints help, reports its error.
 *
 * @param command The command.
 * @param args Its arguments, `Deno.args`.
 * @returns The exit code: 0 done, 1 the network or the peer failed, 2 the
 * command line is wrong.
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 *
 * const code = await runCommand({
 *   name: "sleeper",
 *   summary: "Sleeps.",
 *   positionals: "",
 *   most: 0,
 *   options: { long: toggle("sleep longer") },
 *   headings: { long: "How long" },
 *   epilogue: "",
 *   run: ({ options }) => Promise.resolve(assertEquals(options.long, true)),
 * }, ["--long"]);
 * assertEquals(code, 0);
 * ```
 */
export async function runCommand<T extends OptionTable>(
  command: Command<T>,
  args: readonly string[],
): Promise<number> {
  let log = new Log();
  try {
    const { options, common, positionals } = parseCommandLine(command, args);
    log = new Log(common);
    // What a run has no use for is not loaded: a module takes 0.3 ms.
    const { name } = command;
    const { explain: format, completions: shell } = common;
    if (common.help) {
      const entries = entriesOf(command);
      print((await import("./help.ts")).helpText(command, entries));
    } else if (common.version) print(`${name} ${VERSION}\n`);
    else if (shell) {
      const entries = entriesOf(command);
      print(
        (await import("./completions.ts")).completions(shell, name, entries),
      );
    } else {
      using _explaining = format &&
        (await import("./explain.ts")).explain(name, format, writeExplanation);
      await command.run({ options, positionals, log });
    }
    return 0;
  } catch (error) {
    // `| head -1` has had enough: no fault, and nobody to tell.
    if (error instanceof OutputError && error.closed) return 0;
    if (error instanceof StopRequest) return 0;
    const message = error instanceof Error ? error.message : String(error);
    if (error instanceof UsageError) {
      log.error(`${command.name}: ${message} (--help says what there is)`);
      return 2;
    }
    log.error(`${command.name}: ${message}`);
    return 1;
  }
}

/** Someone has asked the process to stop, and it has nothing left to do. */
export class StopRequest extends Error {}

/**
 * Listens for SIGINT and SIGTERM. The first aborts the signal, so that open
 * work can end; the second ends the process at once.
 *
 * @returns A signal that is aborted when the process is asked to stop.
 */
export function stopSignal(): AbortSignal {
  const stop = new AbortController();
  for (const [name, code] of [["SIGINT", 130], ["SIGTERM", 143]] as const) {
    Deno.addSignalListener(name, () => {
      if (stop.signal.aborted) Deno.exit(code);
      stop.abort(new StopRequest(`stopped by ${name}`));
    });
  }
  return stop.signal;
}

/**
 * Says what to type in the other terminal, to who starts a script at a terminal
 * with no arguments at all: for the first time, perhaps.
 *
 * @param log Where to say it.
 * @param text What to say.
 */
export function hint(log: Log, text: string): void {
  if (Deno.args.length === 0 && Deno.stderr.isTerminal()) {
    log.info("hint", text);
  }
}

function writeExplanation(text: string): void {
  writeToStandardError(Deno.stderr.isTerminal() ? dim(text) : text);
}

function print(output: string): void {
  try {
    Deno.stdout.writeSync(new TextEncoder().encode(output));
  } catch (error) {
    throw new OutputError(error);
  }
}

/** From `maxFrame` to `max-frame`. */
function flagName(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
}

/** The command's own, then the common ones that it does not explain itself. */
function entriesOf<T extends OptionTable>(command: Command<T>) {
  const { options, sockets = true } = command;
  const { explain: _explain, ...others } = COMMON;
  const common = sockets ? COMMON : others;
  const table: OptionTable = { ...options, ...common, ...options };
  return Object.entries(table).map(([name, option]) => ({
    name,
    flag: flagName(name),
    ...option,
  }));
}

interface Parsed<T extends OptionTable> {
  options: Values<T>;
  common: Values<typeof COMMON>;
  positionals: string[];
}

function parseCommandLine<T extends OptionTable>(
  command: Command<T>,
  args: readonly string[],
): Parsed<T> {
  const entries = entriesOf(command);
  const [switches, withValue] = [
    entries.filter(isSwitch),
    entries.filter((entry) => !isSwitch(entry)),
  ];
  const parsed = parseArgs(inOrder(args, entries), {
    boolean: switches.map((entry) => entry.flag),
    string: [...withValue.map((entry) => entry.flag), "_"],
    collect: withValue.map((entry) => entry.flag),
  });
  const values: Record<string, unknown> = {};
  for (const entry of entries) {
    const { name, flag, read } = entry;
    const given = parsed[flag];
    const texts = isSwitch(entry) ? given ? [""] : [] : given as string[];
    try {
      values[name] = read(texts);
    } catch (error) {
      // Parsers of addresses and framings throw errors of their own.
      throw new UsageError(`--${flag} ${(error as Error).message}`);
    }
  }
  const positionals = parsed._.map(String);
  if (positionals.length > command.most && !values.help) {
    const extra = positionals[command.most];
    throw new UsageError(
      `there is one argument too many: "${extra}"; an address is one word, as in 127.0.0.1:1234`,
    );
  }
  return {
    options: values as Values<T>,
    common: values as Values<typeof COMMON>,
    positionals,
  };
}
