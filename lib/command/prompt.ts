// The keyboard of a chat, and where it shows what the peer says.
import { FEED } from "../framing/line_feeds.ts";
import { chunks, pause, standardInput } from "../tcp/stream.ts";
import { SafeTextDecoder } from "../text.ts";
import { log, logWritten } from "./log.ts";
import { LINE_END, linesFrom, print } from "./output.ts";

/** Gives typed lines to one chat after the other; shows what peers write. */
export interface Prompt extends AsyncDisposable {
  /** Gives what is typed for one peer, until the signal is aborted. */
  lines(signal: AbortSignal): AsyncIterable<Uint8Array>;
  write(bytes: Uint8Array): Promise<unknown>;
  tell(text: string): void;
}

/** Takes the keyboard, or the input in its place, until it is disposed of. */
export async function openPrompt(): Promise<Prompt> {
  await logWritten();
  const isTyped = Deno.stdin.isTerminal();
  const isSeen = Deno.stdout.isTerminal();

  // On request: lines are edited, and no message disturbs them.
  if (isTyped && isSeen) {
    const { openTerminal } = await import("./terminal.ts");
    const terminal = openTerminal();
    if (terminal) return terminal;
  }

  const input = linesFrom(keyboard());

  // On request: the page of --explain types, too.
  dispatchEvent(new CustomEvent("keyboard", { detail: input }));

  let next: ReturnType<typeof input.next> | undefined;
  let alone = new AbortController(); // aborted while there is a peer
  let [emptied, printed]: Promise<void>[] = [];
  const safe = new SafeTextDecoder();
  let isEnded = true; // whether the last line shown is complete
  if (isTyped) refuse().catch(() => {});

  async function* keyboard(): AsyncGenerator<Uint8Array, void> {
    for await (const chunk of chunks(standardInput)) {
      yield chunk;
      // Half a line, of which a terminal was emptied.
      if (isTyped && !alone.signal.aborted) yield LINE_END;
    }
  }

  /** Gives lines until the signal is aborted; the next is for others then. */
  async function* linesFor(signal: AbortSignal) {
    for (;;) {
      const { value } = await (next ??= input.next());
      if (signal.aborted) return;
      next = undefined;
      if (value === undefined) return;
      yield value;
    }
  }

  /** Sends nobody what a person types until there is a peer. */
  async function refuse(): Promise<void> {
    alone = new AbortController();
    for await (const line of linesFor(alone.signal)) {
      const text = new TextDecoder().decode(line);
      if (text) log.error(`Not sent, nobody is connected: ${text}`);
    }
  }

  /** Has a terminal give what is half typed, too: it was for one peer. */
  async function empty(): Promise<void> {
    refuse().catch(() => {});
    await printed; // or this would wait for it, and hear no signal
    Deno.stdin.setRaw(true, { cbreak: Deno.build.os !== "windows" });
    await pause(30);
    Deno.stdin.setRaw(false);
  }

  return {
    async *lines(signal) {
      await emptied;
      alone.abort();
      signal.addEventListener("abort", () => {
        const end = new TextEncoder().encode(`${safe.finish()}\n`);
        if (isSeen && !isEnded) Deno.stdout.writeSync(end); // before the log
        isEnded = true;
        if (isTyped) emptied = empty().catch(() => {});
      });
      yield* linesFor(signal);
    },
    tell: log.error,
    async write(bytes) {
      await emptied; // so that an answer to it is not for nobody
      const text = () => new TextEncoder().encode(safe.push(bytes));
      isEnded = true; // a stopped terminal (Ctrl-S) may never take it
      await (printed = print(isSeen ? text() : bytes));
      isEnded = bytes.at(-1) === FEED;
    },
    [Symbol.asyncDispose]: async () => await emptied,
  };
}
