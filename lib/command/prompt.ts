/**
 * The keyboard of a chat, and a screen on which what the peer says never
 * disturbs what is being typed.
 *
 * @module
 */
import { decodeFrames, parseFraming } from "../framing.ts";
import { chunks, pause, type Writer } from "../tcp/stream.ts";
import type { Log } from "./log.ts";

/** Gives typed lines to one chat after the other, and shows what peers say. */
export interface Prompt extends Writer, AsyncDisposable {
  /** Gives what is typed for one peer, until the signal is aborted. */
  lines(signal: AbortSignal): AsyncIterable<Uint8Array>;
  /** Says something to whoever types. */
  tell(text: string): void;
}

/** Takes the keyboard, until the prompt is disposed of. */
export async function openPrompt(log: Log): Promise<Prompt> {
  return Deno.stdin.isTerminal() && Deno.stdout.isTerminal()
    ? await openTerminal(log)
    : openLines(log);
}

/**
 * Lines from a pipe, each read when a chat asks for it. One that comes when
 * that chat is over is for the next.
 */
function openLines(log: Log): Prompt {
  const limit = { maxFrameLength: Number.MAX_SAFE_INTEGER };
  const input = decodeFrames(chunks(Deno.stdin), parseFraming("lines", limit));
  let next: Promise<IteratorResult<Uint8Array, void>> | undefined;
  return {
    async *lines(signal) {
      for (;;) {
        const { value } = await (next ??= input.next());
        if (signal.aborted) return;
        next = undefined;
        if (value === undefined) return;
        yield value;
      }
    },
    tell: (text) => log.error(text),
    write: (bytes) => Deno.stdout.write(bytes),
    // A read that waits there keeps the process.
    [Symbol.asyncDispose]: () => Promise.resolve(Deno.stdin.close()),
  };
}

const NOBODY = "nobody is connected";
const SEVERAL_CHARACTERS = /^[\t\n\r\P{Cc}]{2,}$/u;
/** How long the rest of a line or of pasted text may take, in milliseconds. */
const REST = 30;

/** Lines that a person types, edited by `node:readline`. */
async function openTerminal(log: Log): Promise<Prompt> {
  // They take 15 ms to load: only where a person types.
  const { createInterface } = await import("node:readline");
  const { EventEmitter } = await import("node:events");

  /** Where keys come from and lines go, as readline wants it. */
  class Terminal extends EventEmitter {
    pause() {}
    resume() {}
    get columns() {
      return Deno.consoleSize().columns;
    }
    write(text: string) {
      const bytes = new TextEncoder().encode(text);
      for (let written = 0; written < bytes.length;) {
        written += Deno.stdout.writeSync(bytes.subarray(written));
      }
    }
  }
  const screen = new Terminal();
  const terminal = screen as unknown as NodeJS.ReadWriteStream;
  const editor = createInterface({
    ...{ input: terminal, output: terminal, terminal: true, prompt: "" },
  });
  editor.prompt();
  // With TERM=dumb readline moves no cursor, and neither do we.
  const isDumb = !("prevRows" in editor);
  /** Entered and not yet taken; `undefined` is Ctrl-D. */
  const entered: (string | undefined)[] = [];
  let wake = () => {};
  /** Why a line that is entered now is not sent. */
  let refusal: string | undefined = NOBODY;
  /** What has come of a line whose end has not. */
  let unfinished = "";
  let timer: ReturnType<typeof setTimeout> | undefined;

  editor.close = () => enter(undefined); // Ctrl-D
  editor.on("line", (line) => {
    enter(line);
    editor.prompt();
  });
  // Only on Windows; elsewhere Ctrl-C is a signal for the whole process.
  editor.on("SIGINT", () => Deno.exit(130));
  Deno.addSignalListener("SIGWINCH", () => screen.emit("resize"));
  readKeys().catch(() => {}).finally(() => enter(undefined));

  async function readKeys(): Promise<void> {
    const decoder = new TextDecoder();
    Deno.stdin.setRaw(true, { cbreak: Deno.build.os !== "windows" });
    for await (const chunk of chunks(Deno.stdin)) {
      const keys = decoder.decode(chunk, { stream: true });
      // Key by key, a pasted line of 6,000 takes readline nine seconds.
      if (SEVERAL_CHARACTERS.test(keys) && !isDumb) editor.write(keys);
      else screen.emit("data", keys);
    }
  }

  function enter(line: string | undefined): void {
    if (refusal === undefined) {
      entered.push(line);
      wake();
      if (line === undefined) begin("", "Ctrl-D has ended the input");
    } else if (line) tell(`Not sent, ${refusal}: ${line}`);
  }

  /** Begins anew, without what was typed for somebody else. */
  function begin(prompt: string, reason?: string): void {
    refusal = reason;
    erase();
    Object.assign(editor, { line: "", cursor: 0 });
    editor.setPrompt(prompt);
    editor.prompt();
  }

  function erase(): void {
    if (isDumb) return screen.write(editor.getPrompt() ? "\n" : "");
    const { rows } = editor.getCursorPos();
    screen.write(`${rows > 0 ? `\x1b[${rows}A` : ""}\x1b[1G\x1b[0J`);
    Object.assign(editor, { prevRows: 0 }); // or readline goes up as well
  }

  /** Draws lines above the one that is being typed. */
  function draw(print: () => void): void {
    erase();
    print();
    editor.prompt(true);
    if (isDumb) screen.write(editor.line);
  }

  function tell(text: string): void {
    draw(() => log.error(text));
  }

  function showRest(): void {
    clearTimeout(timer);
    timer = undefined;
    const rest = unfinished;
    unfinished = "";
    if (rest !== "") draw(() => screen.write(`${rest}\n`));
  }

  return {
    tell,
    async *lines(signal) {
      if (signal.aborted) return;
      begin(" -> ");
      signal.addEventListener("abort", () => {
        showRest();
        begin("", NOBODY);
        entered.splice(0).forEach(enter);
      });
      for (;;) {
        while (entered.length === 0) {
          await new Promise<void>((resolve) => wake = resolve);
        }
        if (signal.aborted) return;
        const line = entered.shift();
        if (line === undefined) return;
        yield new TextEncoder().encode(line);
      }
    },
    write(bytes) {
      const text = unfinished + new TextDecoder().decode(bytes);
      const end = text.lastIndexOf("\n") + 1;
      unfinished = text.slice(end);
      timer ??= setTimeout(showRest, REST);
      if (end > 0) draw(() => screen.write(text.slice(0, end)));
      return Promise.resolve(bytes.length);
    },
    async [Symbol.asyncDispose]() {
      // Text is pasted in pieces: the shell must not get the rest of it.
      await pause(REST);
      Deno.stdin.setRaw(false);
      Deno.stdin.close();
    },
  };
}
