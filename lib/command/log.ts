// The log: one line for one thing that happened, on standard error, for a
// person to read, or as JSON for a program.
import { dim, red } from "@std/fmt/colors";
import { after, patiently, writeAll } from "../tcp/stream.ts";
import { safeJson, safeLine } from "../text.ts";

/** Writes what happens, `details` in JSON only; what a peer sent is made safe. */
export const log = {
  /** Whether it writes errors only; then other lines need not be made. */
  quiet: false,
  verbose: false,
  json: false,

  error(message: string, details?: object): void {
    writeLine("error", "error", message, details);
  },

  /** Writes what happened; `event` is one word. */
  info(event: string, message: string, details?: object): void {
    if (!log.quiet) writeLine("info", event, message, details);
  },

  debug(event: string, message: string, details?: object): void {
    if (log.verbose) writeLine("debug", event, message, details);
  },

  // Puts text on standard error; a prompt puts it above what is typed. Never
  // waits: nobody may read it, a terminal may be stopped (Ctrl-S).
  write(text: string): void {
    if (waitingLog.length > 65_536) lostLines++;
    else waitingLog += text;
    logWriting ??= writeLog();
  },
};

function writeLine(level: string, event: string, text: string, more?: object) {
  const time = new Date().toISOString();
  const line = log.json
    ? safeJson({ time, level, event, message: text, ...more })
    : safeLine(text);
  // Deno switches colours on in an old console only for standard output.
  const isShown = Deno.build.os !== "windows" || Deno.stdout.isTerminal();
  const isColored = !log.json && isShown && Deno.stderr.isTerminal();
  // What a peer sends never has a colour, so it cannot pass for our words.
  const paint = level === "error" ? red : dim;
  log.write(`${isColored ? paint(line) : line}\n`);
}

let waitingLog = "";
let lostLines = 0;
let logWriting: Promise<void> | undefined;
/** A write that was waited for, perhaps in vain. */
let unread: Promise<void> | undefined;

async function writeLog(): Promise<void> {
  const write = (bytes: Uint8Array) =>
    patiently(() => Deno.stderr.write(bytes));
  while (waitingLog !== "") {
    const [bytes, lost] = [new TextEncoder().encode(waitingLog), lostLines];
    [waitingLog, lostLines] = ["", 0];
    const text = `${lost} lines of this log are lost, nobody read it`;
    if (lost > 0) log.error(text, { lost });
    await writeAll({ write }, bytes).catch(() => {}); // nobody is left
  }
  logWriting = undefined;
}

/** Waits until the log is written, but not long, and in vain only once. */
export async function logWritten(once = true): Promise<void> {
  if (!logWriting || once && logWriting === unread) return;
  unread = logWriting;
  const late = Promise.withResolvers<void>();
  using _timer = after(1000, late.resolve); // what a reader may take
  await Promise.race([logWriting, late.promise]);
}
