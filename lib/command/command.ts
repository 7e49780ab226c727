// What every script stands in: its options, help, signals, exit code, and each
// of its errors as one line.
import { Log } from "./log.ts";
import {
  flagOf,
  oneOf,
  option,
  type OptionTable,
  parseOptions,
  refuse,
  toggle,
  UnknownOption,
  UsageError,
  type Values,
} from "./options.ts";
import { OutputError } from "./output.ts";
import { after } from "../tcp/stream.ts";

/** Version of the collection; deno.json has the same. */
export const VERSION = "0.1.0";

/** Every command has these. Their help is not a row, but one after the other. */
const COMMON = {
  verbose: toggle("  -v --verbose", "v"),
  quiet: toggle("  -q --quiet", "q"),
  json: toggle("  --json (log as JSON)"),
  help: toggle("  -h --help", "h"),
  version: toggle("  -V --version", "V"),

  // On request: `eject` leaves a paragraph that begins like this out of copies.
  explain: {
    ...option(
      "WHERE",
      "\n  --explain[=page] (tell each socket call, or show it in the browser)",
      oneOf("terminal", "page"),
    ),
    implied: "terminal",
  },
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
  run(
    given: { options: Values<T>; positionals: string[]; log: Log },
  ): Promise<void>;

  // On request: false where there is no socket to explain.
  sockets?: boolean;
}

/** Gives the exit code: 0 done, 1 the network failed, 2 wrong command line. */
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

    const broken = args.find((arg) => arg.includes("\ufffd"));
    // Deno has put that character in the place of what it could not read.
    refuse({ [`"${broken}" holds bytes that are not UTF-8`]: broken });
    const { values: options, positionals } = parseOptions(table, args);
    log = new Log(options);
    if (options.help || options.version) {
      print(options.help ? helpText(command, table) : `${name} ${VERSION}\n`);
      return 0;
    }
    const extra = positionals[most];
    const example = /^\d+$/.test(extra)
      ? `${positionals[most - 1]}:${extra}`
      : "127.0.0.1:1234";
    const problem =
      `there is one argument too many: "${extra}"; an address is one word, as in ${example}`;
    refuse({ [problem]: extra !== undefined });

    // On request: before the first socket is made.
    if (options.explain === "terminal") await import("../explain.ts");
    await using _page = options.explain === "page"
      ? (await import("../explain/page.ts")).page
      : undefined;

    await command.run({ options, positionals, log });
    return 0;
  } catch (error) {
    const isUnread = error instanceof OutputError && error.closed; // `| head`
    if (isUnread || error instanceof StopRequest) return 0;

    // On request: what people type from habit is called something else here.
    if (error instanceof UnknownOption) {
      error.message += (await import("./habits.ts")).habitOf(error.given);
    }

    const message = error instanceof Error ? error.message : String(error);
    const wrong = error instanceof UsageError;
    const advice = wrong ? " (--help says what there is)" : "";
    log.error(`${name}: ${message}${advice}`);
    return wrong ? 2 : 1;
  } finally {
    await log.finish();
  }
}

/** The process was asked to stop, and has nothing left to do. */
export class StopRequest extends Error {}

/** The exit codes of a process that a signal ends, 128 and its number. */
const STOP_CODES = {
  SIGINT: 130,
  SIGTERM: 143,
  SIGHUP: 129,
  SIGBREAK: 149,
} as const;

/**
 * Aborted by SIGINT, SIGTERM and others, if asked by SIGHUP, too. A second one
 * ends the process at once, and so does the end of the grace, in ms, whatever
 * stands still then.
 */
export function stopSignal(grace = 5000, hangUp = false): AbortSignal {
  const stop = new AbortController();
  const names: (keyof typeof STOP_CODES)[] = ["SIGINT", "SIGTERM"];
  // `nohup` would be of no use, so only for those who have to clean up.
  if (hangUp) names.push("SIGHUP");
  // Ctrl-Break; nothing sends SIGTERM there (SetConsoleCtrlHandler in its docs).
  if (Deno.build.os === "windows") names.push("SIGBREAK");
  for (const name of names) {
    Deno.addSignalListener(name, () => {
      if (stop.signal.aborted) Deno.exit(STOP_CODES[name]);
      stop.abort(new StopRequest(`stopped by ${name}`));
      after(grace, () => Deno.exit(0));
    });
  }
  return stop.signal;
}

function print(words: string): void {
  try {
    Deno.stdout.writeSync(new TextEncoder().encode(words));
  } catch (error) {
    throw new OutputError(error);
  }
}

/**
 * Says what to type in the other terminal, on a first start: no arguments. The
 * whole command only where this script lies below the current folder.
 */
export function hint(log: Log, peer: string, foreign: string): void {
  if (Deno.args.length > 0 || !Deno.stderr.isTerminal()) return;
  const { href } = new URL(`file://${Deno.cwd()}/`);
  const path = Deno.mainModule.replace(/\w+\.ts$/, `${peer}.ts`);
  const command = path.startsWith(href)
    ? `deno run --allow-net ${decodeURI(path.slice(href.length))}`
    : `${peer}.ts`;
  // There is no nc on Windows.
  const other = Deno.build.os === "windows" ? "" : ` (or ${foreign})`;
  log.info("hint", `In another terminal: ${command}${other}`);
}

function helpText(command: Command<OptionTable>, table: OptionTable): string {
  const { name, summary, positionals, headings, epilogue } = command;
  const own = Object.entries(command.options);
  const lefts = own.map(([name, { short, value = "" }]) =>
    `  ${short ? `-${short}` : "  "} ${flagOf(name)} ${value}`.trimEnd()
  );
  const width = Math.max(...lefts.map(({ length }) => length)) + 2;
  const rows = own.map(([name, { help }], i) => {
    const heading = headings[name] ? `${headings[name]}:\n` : "";
    return `${heading}${lefts[i].padEnd(width)}${help}\n`;
  });
  const common = Object.entries(table)
    .filter(([name]) => !(name in command.options)).map(([, { help }]) => help);
  return `${summary}

Usage: ${name}.ts [options] ${positionals}

${rows.join("")}Every script:
${common.join("")}
${epilogue}`;
}
