/**
 * What every script stands in: its options, help, signals, exit code, and each
 * of its errors as one line.
 *
 * @module
 */
import { Log } from "./log.ts";
import {
  flagOf,
  type Option,
  type OptionTable,
  parseOptions,
  toggle,
  UsageError,
  type Values,
} from "./options.ts";
import { OutputError } from "./output.ts";

/** Version of the collection; deno.json has the same. */
export const VERSION = "0.1.0";

/** Every command has these. */
const COMMON = {
  verbose: toggle("say more", "v"),
  quiet: toggle("say only what goes wrong", "q"),
  json: toggle("log as JSON"),
  help: toggle("print this help and leave", "h"),
  version: toggle("print the version and leave", "V"),

  // On request: not in a copy.
  explain: toggle("tell each socket call"),
};

/** What a command is called, what it takes, and what it does. */
export interface Command<T extends OptionTable> {
  /** Name of the script, and what it does, in a line. */
  name: string;
  summary: string;
  /** Positionals, as the usage line shows them, and how many there may be. */
  positionals: string;
  most: number;
  /** The options, and what the help has above one where a group begins. */
  options: T;
  headings: { readonly [Name in keyof T]?: string };
  /** What comes after the options in the help: permission, examples. */
  epilogue: string;
  /** Does the work; throws {@linkcode UsageError} for a wrong command line. */
  run(invocation: Invocation<T>): Promise<void>;

  // On request: false where there is no socket to explain.
  sockets?: boolean;
}

/** One run of a command. */
export interface Invocation<T extends OptionTable> {
  options: Values<T>;
  positionals: string[];
  log: Log;
}

/**
 * Runs a command and gives its exit code: 0 done, 1 the network or the peer
 * failed, 2 the command line is wrong.
 */
export async function runCommand<T extends OptionTable>(
  command: Command<T>,
  args: readonly string[],
): Promise<number> {
  const { name, most } = command;
  let log = new Log();
  try {
    const table = { ...COMMON, ...command.options };

    // On request: a command without sockets has none to explain.
    if (command.sockets === false) delete (table as OptionTable).explain;

    const { values: options, positionals } = parseOptions(table, args);
    log = new Log(options);
    if (options.help) print(helpText(command, table));
    else if (options.version) print(`${name} ${VERSION}\n`);
    else {
      if (positionals.length > most) {
        throw new UsageError(
          `there is one argument too many: "${
            positionals[most]
          }"; an address is one word, as in 127.0.0.1:1234`,
        );
      }

      // On request: before the first socket is made.
      if (options.explain) await import("../explain.ts");

      await command.run({ options, positionals, log });
    }
    return 0;
  } catch (error) {
    // The reader of standard output has closed the pipe (`| head -1`).
    if (error instanceof OutputError && error.closed) return 0;
    if (error instanceof StopRequest) return 0;
    const message = error instanceof Error ? error.message : String(error);
    const wrong = error instanceof UsageError;
    const advice = wrong ? " (--help says what there is)" : "";
    log.error(`${name}: ${message}${advice}`);
    return wrong ? 2 : 1;
  }
}

/** The process was asked to stop, and has nothing left to do. */
export class StopRequest extends Error {}

/**
 * Listens for SIGINT and SIGTERM. The first aborts the signal, so that open
 * work can end; the second ends the process at once.
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

/** Says what to type in the other terminal, on a first start: no arguments. */
export function hint(log: Log, message: string): void {
  if (Deno.args.length === 0 && Deno.stderr.isTerminal()) {
    log.info("hint", message);
  }
}

function print(output: string): void {
  try {
    Deno.stdout.writeSync(new TextEncoder().encode(output));
  } catch (error) {
    throw new OutputError(error);
  }
}

/** What `--help` prints: own options, one a line; below, those of every script. */
function helpText<T extends OptionTable>(
  command: Command<T>,
  table: OptionTable,
): string {
  const headings: Record<string, string | undefined> = command.headings;
  const own = Object.entries(command.options).map(([name, option]) => {
    const heading = headings[name] ? `${headings[name]}:\n` : "";
    const indent = option.short ? "  " : "     ";
    const left = indent + synopsis(name, option);
    return { heading, left, help: option.help };
  });
  const width = Math.max(...own.map(({ left }) => left.length)) + 2;
  const rows = own.map(({ heading, left, help }) =>
    `${heading}${left.padEnd(width)}${help}\n`
  );
  const common = Object.entries(table)
    .filter(([name]) => !(name in command.options))
    .map(([name, option]) =>
      synopsis(name, option) + (option.short ? "" : ` (${option.help})`)
    );
  return `${command.summary}

Usage: ${command.name}.ts [options] ${command.positionals}

${rows.join("")}Every script:
${common.join("  ").replace(/(.{1,78})(?: {2}|$)/g, "  $1\n")}
${command.epilogue.trim()}
`;
}

function synopsis(name: string, { short, value }: Option<unknown>): string {
  const letter = short ? `-${short} ` : "";
  return `${letter}--${flagOf(name)}${value ? ` ${value}` : ""}`;
}
