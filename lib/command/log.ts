/**
 * The log: one line for one thing that happened, on standard error, for a
 * person to read, or as JSON for a program.
 *
 * @module
 */
import { dim, red } from "@std/fmt/colors";
import { safeJson, safeLine } from "../text.ts";

/** What belongs to an event besides its text, as JSON carries it. */
export type Details = Record<string, string | number | boolean | undefined>;

/** What a log writes: JSON lines, less, or more. */
export interface LogOptions {
  json?: boolean;
  quiet?: boolean;
  verbose?: boolean;
}

/**
 * Writes what happens. A line stays one line: control characters in it, which
 * a peer may have sent, are shown and not obeyed.
 */
export class Log {
  #options: LogOptions;
  #colors = Deno.stderr.isTerminal();

  constructor(options: LogOptions = {}) {
    this.#options = options;
  }

  /** Whether it writes only what goes wrong: other lines need not be made. */
  get quiet(): boolean {
    return this.#options.quiet ?? false;
  }

  /** Whether it writes everything. */
  get verbose(): boolean {
    return this.#options.verbose ?? false;
  }

  /** Writes what went wrong. */
  error(message: string, details?: Details): void {
    this.#line("error", "error", message, details);
  }

  /** Writes what happened, unless the log is quiet; `event` is one word. */
  info(event: string, message: string, details?: Details): void {
    if (!this.quiet) this.#line("info", event, message, details);
  }

  /** Writes what happened, if the log is verbose. */
  debug(event: string, message: string, details?: Details): void {
    if (this.verbose) this.#line("debug", event, message, details);
  }

  #line(level: string, event: string, message: string, details?: Details) {
    if (this.#options.json) {
      const time = new Date().toISOString();
      const record = { time, level, event, message, ...details };
      return writeToStandardError(`${safeJson(record)}\n`);
    }
    const safe = safeLine(message);
    // What a peer sends never has a colour, so it cannot pass for our words.
    const paint = level === "error" ? red : dim;
    writeToStandardError(`${this.#colors ? paint(safe) : safe}\n`);
  }
}

/** Writes at once, so that a line is out before the process may end. */
export function writeToStandardError(line: string): void {
  const bytes = new TextEncoder().encode(line);
  try {
    for (let written = 0; written < bytes.length;) {
      written += Deno.stderr.writeSync(bytes.subarray(written));
    }
  } catch {
    // With nobody left to read it, a log is no reason to fail.
  }
}
