/**
 * A small command, for the tests of lib/command: what it prints, on the real
 * streams. Run with a list of command lines as JSON, it runs them one after the
 * other, or with `signals` it waits for signals.
 *
 * @module
 */
import {
  type Command,
  runCommand,
  StopRequest,
  stopSignal,
} from "../../lib/command/command.ts";
import {
  integer,
  list,
  oneOf,
  option,
  size,
  toggle,
  UsageError,
} from "../../lib/command/options.ts";
import { log } from "../../lib/command/log.ts";
import { OutputError } from "../../lib/command/output.ts";

const { BrokenPipe, ConnectionRefused } = Deno.errors;

/** What may happen while the command runs. */
const FAULTS = {
  closed: () => new OutputError(new BrokenPipe("os error 32")),
  full: () => new OutputError(Object.assign(new Error(), { code: "ENOSPC" })),
  stop: () => new StopRequest("stopped by SIGINT"),
  usage: () => new UsageError("no such thing"),
  network: () => new ConnectionRefused("Cannot connect to [::1]:1: nobody"),
  forged: () => new Error("peer said\nerror: \x1b[2Jall is well"),
};

const OPTIONS = {
  mode: option(
    "MODE",
    "echo or chat (echo)",
    wordOf("echo", "chat"),
    "echo",
    "m",
  ),
  maxFrame: option("SIZE", "longest message", size),
  count: option("N", "how many (1)", integer(1, 9), 1, "c"),
  text: list("TEXT", "may be repeated"),
  even: option("N", "an even number", even),
  once: toggle("only once"),
  noStdin: toggle("only listen"),
};

function wordOf(...words: string[]): (value: string) => string {
  return oneOf(...words);
}

/** Throws what other parsers throw, which know nothing of a command line. */
function even(value: string): number {
  if (Number(value) % 2 === 0) return Number(value);
  throw new RangeError(`cannot be odd: ${value}`);
}

/** The command. It prints what it is given, and fails as its first word says. */
export const command: Command<typeof OPTIONS> = {
  name: "example",
  summary: "Shows what a command is.",
  positionals: "[FAULT] [WORD]",
  options: OPTIONS,
  headings: { mode: "What it does", once: "When it ends" },
  epilogue: "\nExamples:\n  example.ts closed\n",
  run({ positionals: [fault = ""] }) {
    log.info("started", "at work", { fault });
    log.debug("detail", "to be exact");
    if (Object.hasOwn(FAULTS, fault)) {
      throw FAULTS[fault as keyof typeof FAULTS]();
    }
    return Promise.resolve();
  },
};

/** Written after what each command line prints, on both streams. */
export const END = "\0";

if (import.meta.main) {
  if (Deno.args[0] === "signals") {
    const signal = stopSignal();
    const stay = setInterval(() => {}, 1000);
    signal.addEventListener("abort", () => {
      console.log(signal.reason.name, signal.reason.message);
      if (Deno.args[1] === "once") clearInterval(stay);
    });
    console.log("ready");
  } else {
    // Until then the test can close what is to be closed.
    await new Response(Deno.stdin.readable).bytes();
    Deno.exit = ((code) => Deno.exitCode = code!) as typeof Deno.exit;
    for (const args of JSON.parse(Deno.args[0]) as string[][]) {
      await runCommand(command, args);
      console.error(`code ${Deno.exitCode}${END}`);
      if (Deno.args[1] !== "closed") console.log(END);
    }
  }
}
