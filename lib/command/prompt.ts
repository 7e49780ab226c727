// The keyboard of a chat, and where it shows what the peer says.
import { decodeFrames, parseFraming } from "../framing.ts";
import { FEED } from "../framing/line_feeds.ts";
import { chunks, pause, standardInput } from "../tcp/stream.ts";
import { SafeTextDecoder } from "../text.ts";
import type { Log } from "./log.ts";
import { print } from "./output.ts";

/** Gives typed lines to one chat after the other; shows what peers write. */
export interface Prompt extends AsyncDisposable {
  /** Gives what is typed for one peer, until the signal is aborted. */
  lines(signal: AbortSignal): AsyncIterable<Uint8Array>;
  write(bytes: Uint8Array): Promise<unknown> | void;
  tell(text: string): void;
}

/** Why a line that is typed between two chats is not sent. */
export const NOBODY = "nobody is connected";
/** How long the rest of a read or of pasted text may take, in milliseconds. */
export const REST = 30;

/** Takes the keyboard, until the prompt is disposed of. */
export function openPrompt(log: Log): Prompt | Promise<Prompt> {
  const isTyped = Deno.stdin.isTerminal();
  const isSeen = Deno.stdout.isTerminal();

  // On request: a person can edit lines, and no message disturbs them.
  if (isTyped && isSeen) {
    return import("./terminal.ts").then((it) => it.openTerminal(log));
  }

  const framing = parseFraming("lines", { maxFrameLength: 2 ** 32 });
  const input = decodeFrames(keyboard(), framing);

  // On request: the page of --explain types, too.
  dispatchEvent(new CustomEvent("keyboard", { detail: input }));

  let next: ReturnType<typeof input.next> | undefined;
  let alone = new AbortController(); // aborted while there is a peer
  let forgotten: Promise<void> | undefined;
  const safe = new SafeTextDecoder();
  let isEnded = true; // the last line that was shown
  if (isTyped) refuse().catch(() => {});

  async function* keyboard(): AsyncGenerator<Uint8Array, void> {
    for await (const chunk of chunks(standardInput)) {
      yield chunk;
      const isHalf = isTyped && chunk.at(-1) !== FEED;
      if (isHalf && !alone.signal.aborted) yield new Uint8Array([FEED]);
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

  /** Sends nobody what is typed, until there is a peer. */
  async function refuse(): Promise<void> {
    alone = new AbortController();
    for await (const line of linesFor(alone.signal)) {
      log.error(`Not sent, ${NOBODY}: ${new TextDecoder().decode(line)}`);
    }
  }

  /** Has a terminal give what is half typed, too: it was for this peer. */
  async function forget(): Promise<void> {
    refuse().catch(() => {});
    Deno.stdin.setRaw(true, { cbreak: Deno.build.os !== "windows" });
    await pause(REST);
    Deno.stdin.setRaw(false);
  }

  return {
    async *lines(signal) {
      await forgotten;
      alone.abort();
      signal.addEventListener("abort", () => {
        const end = new TextEncoder().encode(`${safe.finish()}\n`);
        if (isSeen && !isEnded) Deno.stdout.writeSync(end);
        isEnded = true;
        if (isTyped) forgotten = forget().catch(() => {});
      });
      yield* linesFor(signal);
    },
    tell: (text) => log.error(text),
    async write(bytes) {
      await forgotten; // so that an answer to it is not for nobody
      isEnded = bytes.at(-1) === FEED;
      const text = () => new TextEncoder().encode(safe.push(bytes));
      await print(isSeen ? text() : bytes);
    },
    [Symbol.asyncDispose]: async () => await forgotten,
  };
}
