// The log: one line for one thing that happened, on standard error, for a
// person to read, or as JSON for a program.
import { dim, red } from "@std/fmt/colors";
import { safeJson, safeLine } from "../text.ts";

/** What belongs to an event besides its text, as JSON carries it. */
type Details = Record<string, string | number | boolean | undefined>;

/** Writes what happens; what a peer may have sent in it is shown, not obeyed. */
export class Log {
  /** Whether it writes only what goes wrong: other lines need not be made. */
  readonly quiet: boolean;
  readonly verbose: boolean;
  #json: boolean;
  #colors: boolean;

  constructor({ quiet = false, verbose = false, json = false } = {}) {
    this.quiet = quiet;
    this.verbose = verbose;
    this.#json = json;
    // Deno switches colours on in an old console only for standard output.
    const isShown = Deno.build.os !== "windows" || Deno.stdout.isTerminal();
    this.#colors = !json && Deno.stderr.isTerminal() && isShown;
  }

  error(message: string, details?: Details): void {
    this.#line("error", "error", message, details);
  }

  /** Writes what happened; `event` is one word. */
  info(event: string, message: string, details?: Details): void {
    if (!this.quiet) this.#line("info", event, message, details);
  }

  debug(event: string, message: string, details?: Details): void {
    if (this.verbose) this.#line("debug", event, message, details);
  }

  #line(level: string, event: string, message: string, details?: Details) {
    const time = new Date().toISOString();
    const line = this.#json
      ? safeJson({ time, level, event, message, ...details })
      : safeLine(message);
    // What a peer sends never has a colour, so it cannot pass for our words.
    const paint = level === "error" ? red : dim;
    writeToStandardError(`${this.#colors ? paint(line) : line}\n`);
  }
}

/** Writes at once, so that a line is out before the process may end. */
export function writeToStandardError(line: string): void {
  try {
    Deno.stderr.writeSync(new TextEncoder().encode(line));
  } catch {
    // With nobody left to read it, a log is no reason to fail.
  }
}
