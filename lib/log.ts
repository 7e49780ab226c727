/**
 * One line for one thing that happened, on standard error: for a person to
 * read, or as JSON for a program.
 *
 * @module
 */
import { dim, red } from "@std/fmt/colors";
import { safeJson, safeLine } from "./text.ts";

/** What belongs to an event besides its text, as JSON carries it. */
export type Details = Record<string, string | number | boolean | undefined>;

/** Options for {@linkcode Log}. */
export interface LogOptions {
  /** Writes JSON lines. */
  json?: boolean;
  /** Writes what went wrong and nothing else. */
  quiet?: boolean;
  /** Writes what matters only to who looks for a fault, too. */
  verbose?: boolean;
  /** Where a line goes, if not to standard error. */
  write?: (line: string) => void;
}

type Level = "error" | "info" | "debug";

/**
 * Says what happens.
 *
 * A line stays one line: control characters in it, which a peer may have sent,
 * are shown and not obeyed. On a terminal it is dim, or red for what went wrong.
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 *
 * const lines: string[] = [];
 * const log = new Log({ write: (line) => lines.push(line) });
 * log.info("opened", "127.0.0.1:5000 connected", { peer: "127.0.0.1:5000" });
 * log.debug("read", "5 bytes");
 * assertEquals(lines, ["127.0.0.1:5000 connected\n"]);
 * ```
 */
export class Log {
  #options: LogOptions;
  #write: (line: string) => void;
  #colors: boolean;

  /**
   * Makes a log.
   *
   * @param options What to write, and how.
   */
  constructor(options: LogOptions = {}) {
    this.#options = options;
    this.#write = options.write ?? writeToStandardError;
    this.#colors = options.write === undefined && Deno.stderr.isTerminal();
  }

  /** Whether it says only what goes wrong. */
  get quiet(): boolean {
    return this.#options.quiet ?? false;
  }

  /** Whether it says everything: what costs time can be left out otherwise. */
  get verbose(): boolean {
    return this.#options.verbose ?? false;
  }

  /**
   * Says what went wrong.
   *
   * @param text The event in words.
   * @param details What belongs to it.
   */
  error(text: string, details?: Details): void {
    this.#line("error", "error", text, details);
  }

  /**
   * Says what happened, unless the log is quiet.
   *
   * @param event A word for the event, the same each time.
   * @param text The event in words.
   * @param details What belongs to it.
   */
  info(event: string, text: string, details?: Details): void {
    if (!this.#options.quiet) this.#line("info", event, text, details);
  }

  /**
   * Says what happened, if the log is verbose.
   *
   * @param event A word for the event, the same each time.
   * @param text The event in words.
   * @param details What belongs to it.
   */
  debug(event: string, text: string, details?: Details): void {
    if (this.#options.verbose) this.#line("debug", event, text, details);
  }

  #line(level: Level, event: string, text: string, details?: Details): void {
    if (this.#options.json) {
      const time = new Date().toISOString();
      const record = { time, level, event, message: text, ...details };
      this.#write(`${safeJson(record)}\n`);
      return;
    }
    const safe = safeLine(text);
    // What a peer sends never has a colour, so it cannot pass for our words.
    const paint = level === "error" ? red : dim;
    this.#write(`${this.#colors ? paint(safe) : safe}\n`);
  }
}

/**
 * Writes to standard error at once, so that a line is out before the process
 * may end.
 *
 * @param line What to write.
 */
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
