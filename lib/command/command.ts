// What every script runs in: its options, help, signals, exit code, and each of
// its errors as one line.
import { log, logWritten } from "./log.ts";
export { log } from "./log.ts";
import { flagOf, oneOf, type OptionTable, parseOptions } from "./options.ts";
import { refuse, toggle, UsageError, type Values } from "./options.ts";
import { OutputError, print } from "./output.ts";
import { after } from "../tcp/stream.ts";

/** Version of the collection; deno.json has the same. */
export const VERSION = "0.1.0";

/** Every command has these. In the help they share a line. */
const COMMON = {
  verbose: toggle("  -v --verbose", "v"),
  quiet: toggle("  -q --quiet", "q"),
  json: toggle("  --json (log as JSON)"),
  help: toggle("  -h --help", "h"),
  version: toggle("  -V --version", "V"),

  // On request: `eject` leaves a paragraph that begins like this out of copies.
  explain: {
    help:
      "\n  --explain[=page] (tell each socket call, or show it in the browser)",
    read: (texts: string[]) =>
      texts.map((text) => oneOf("terminal", "page")(text || "terminal")).at(-1),
  },
};

/** What a command is called, what it takes, and what it does. */
export interface Command<T extends OptionTable> {
  name: string;
  summary: string;
  /** As in the usage line; one with `...` may be repeated. */
  positionals: string;
  options: T;
  /** Headings in the help, each above the first option of a group. */
  headings: { readonly [Name in keyof T]?: string };
  /** What comes after the options in the help: permission, examples. */
  epilogue: string;
  /** Does the work; throws {@linkcode UsageError} for a wrong command line. */
  run(given: { options: Values<T>; positionals: string[] }): Promise<void>;
}

/** Exits: 0 done or stopped, 1 the network failed, 2 wrong command line. */
export async function runCommand<T extends OptionTable>(
  command: Command<T>,
  args: readonly string[] = Deno.args,
): Promise<void> {
  const { name } = command;
  const table = { ...COMMON, ...command.options };
  let code = 0;

  // On request: it has no sockets to explain.
  if (name === "eject") delete (table as OptionTable).explain;

  log.json = args.includes("--json"); // what is wrong with the others, too
  try {
    const broken = args.find((arg) => arg.includes("\ufffd"));
    // Deno has put that character in the place of what it could not read.
    refuse({ [`"${broken}" holds bytes that are not UTF-8`]: broken });
    const { values: options, positionals } = parseOptions(table, args);
    const { quiet, verbose, json } = options;
    Object.assign(log, { quiet, verbose, json });
    if (options.help || options.version) {
      const version = `${name} ${VERSION}`;
      const text = options.help ? helpText(command, table) : version;
      return await print(new TextEncoder().encode(`${text}\n`));
    }
    const takes = command.positionals.split(" ").length;
    const most = command.positionals.includes("...") ? Infinity : takes;
    const extra = `there is one argument too many: "${positionals[most]}"`;
    const advice = "an address is one word, as in 127.0.0.1:1234";
    refuse({ [`${extra}; ${advice}`]: positionals.length > most });

    // On request: before the first socket is made.
    if (options.explain === "terminal") {
      const { explanation } = await import("../explain.ts");
      explanation.write = (text) => log.write(`${text}\n`);
    }
    await using _page = options.explain === "page"
      ? (await import("../explain/page.ts")).page
      : undefined;

    await command.run({ options, positionals });
  } catch (error) {
    if (error instanceof StopRequest) return;
    const cause = error instanceof OutputError && error.cause;
    if (cause instanceof Deno.errors.BrokenPipe) return; // `| head`
    const wrong = error instanceof UsageError;

    // On request: what people type from habit is called something else here.
    if (wrong) (await import("./habits.ts")).advise(error);

    const advice = wrong ? " (--help says what there is)" : "";
    log.error(`${name}: ${(error as Error).message}${advice}`);
    code = wrong ? 2 : 1;
  } finally {
    await logWritten(false); // it may be read by now
    // Not `Deno.exitCode`: Deno would wait for a read of standard input.
    Deno.exit(code);
  }
}

function helpText(command: Command<OptionTable>, table: OptionTable): string {
  const { name, summary, positionals, headings, options } = command;
  const rows = Object.entries(options).map(([name, option]) => {
    const { short, value = "", help } = option;
    const heading = headings[name] ? `${headings[name]}:\n` : "";
    const left = `  ${short ? `-${short}` : "  "} ${flagOf(name)} ${value}`;
    return `${heading}${left.padEnd(30)}${help}\n`;
  });
  const common = Object.entries(table)
    .filter(([name]) => !(name in options)).map(([, { help }]) => help);
  return `${summary}

Usage: ${name}.ts [options] ${positionals}

${rows.join("")}Every script:
${common.join("")}
${command.epilogue.trimEnd()}`;
}

/** The process was asked to stop, and has nothing left to do. */
export class StopRequest extends Error {}

/** The exit codes of a process that a signal ends, 128 and its number. */
const STOP_CODES = { SIGINT: 130, SIGTERM: 143, SIGHUP: 129, SIGBREAK: 149 };

// Aborted by SIGINT, SIGTERM and others; with `hangUp` by SIGHUP, too. A second
// signal ends the process at once, and so does the end of `grace` milliseconds.
export function stopSignal(grace = 5000, hangUp = false): AbortSignal {
  const stop = new AbortController();
  for (const [name, code] of Object.entries(STOP_CODES)) {
    // It would defeat `nohup`, so only for scripts that have to clean up.
    if (name === "SIGHUP" && !hangUp) continue;
    // Ctrl-Break; nothing sends SIGTERM there (SetConsoleCtrlHandler in its docs).
    if (name === "SIGBREAK" && Deno.build.os !== "windows") continue;
    Deno.addSignalListener(name as keyof typeof STOP_CODES, () => {
      if (stop.signal.aborted) Deno.exit(code);
      stop.abort(new StopRequest(`stopped by ${name}`));
      after(grace, () => Deno.exit(0));
    });
  }
  return stop.signal;
}

/** On a first start (no arguments) says what to type in another terminal. */
export function hint(peer: string, foreign: string): void {
  if (Deno.args.length > 0 || !Deno.stderr.isTerminal()) return;
  const { href } = new URL(`file://${Deno.cwd()}/`);
  const script = Deno.mainModule.replace(href, "")
    .replace(/\w+\.ts$/, `${peer}.ts`);
  const command = `deno run --allow-net ${decodeURI(script)}`;
  const other = Deno.build.os === "windows" ? "" : ` (or ${foreign})`; // no nc
  log.info("hint", `In another terminal: ${command}${other}`);
}
