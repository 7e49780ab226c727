// The keyboard of a chat, and where it shows what the peer says.
import { FEED } from "../framing/line_feeds.ts";
import { chunks, openInput } from "../tcp/stream.ts";
import { SafeTextDecoder } from "../text.ts";
import { log, logWritten } from "./log.ts";
import { linesFrom, print } from "./output.ts";

/** Gives typed lines to one chat after the other; shows what peers write. */
export interface Prompt extends AsyncDisposable {
  /** Gives what is typed for one peer, until the signal is aborted. */
  lines(signal: AbortSignal): AsyncIterable<Uint8Array>;
  write(bytes: Uint8Array): Promise<unknown>;
  tell(text: string): void;
}

/** Takes the keyboard, or the input in its place, until it is disposed of. */
export async function openPrompt(): Promise<Prompt> {
  const isSeen = Deno.stdout.isTerminal();
  if (Deno.stdin.isTerminal() && (isSeen || Deno.stderr.isTerminal())) {
    const { openTerminal } = await import("./terminal.ts");
    await logWritten();
    return openTerminal();
  }
  const input = linesFrom(chunks(await openInput()));
  // The page of --explain types, too.
  dispatchEvent(new CustomEvent("keyboard", { detail: input }));
  let next: ReturnType<typeof input.next> | undefined;
  const safe = new SafeTextDecoder();
  let isEnded = true; // whether the last line shown is complete
  return {
    async *lines(signal) {
      signal.addEventListener("abort", () => {
        const end = new TextEncoder().encode(`${safe.finish()}\n`);
        if (isSeen && !isEnded) Deno.stdout.writeSync(end); // before the log
        isEnded = true;
      });
      for (;;) {
        const { value } = await (next ??= input.next());
        if (signal.aborted) return; // it is for the next peer
        next = undefined;
        if (value === undefined) return;
        yield value;
      }
    },
    tell: log.error,
    async write(bytes) {
      isEnded = bytes.at(-1) === FEED;
      const text = () => new TextEncoder().encode(safe.push(bytes));
      await print(isSeen ? text() : bytes);
    },
    async [Symbol.asyncDispose]() {},
  };
}
