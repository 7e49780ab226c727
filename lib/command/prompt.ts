// The keyboard of a chat, and a screen on which what the peer says never
// disturbs what is being typed.
import { decodeFrames, parseFraming } from "../framing.ts";
import { standardOutput } from "./output.ts";
import { chunks, pause, standardInput, type Writer } from "../tcp/stream.ts";
import type { Log } from "./log.ts";

/** Gives typed lines to one chat after the other; shows what is written. */
export interface Prompt extends Writer, AsyncDisposable {
  /** Gives what is typed for one peer, until the signal is aborted. */
  lines(signal: AbortSignal): AsyncIterable<Uint8Array>;
  tell(text: string): void;
}

/** Takes the keyboard, until the prompt is disposed of. */
export async function openPrompt(log: Log): Promise<Prompt> {
  if (Deno.stdin.isTerminal() && Deno.stdout.isTerminal()) {
    return await openTerminal(log);
  }
  const lines = parseFraming("lines", { maxFrameLength: 2 ** 32 });
  const input = decodeFrames(chunks(standardInput), lines);
  let next: Promise<IteratorResult<Uint8Array, void>> | undefined;
  return {
    async *lines(signal) {
      for (;;) {
        const { value } = await (next ??= input.next());
        if (signal.aborted) return; // the line is for the next chat
        next = undefined;
        if (value === undefined) return;
        yield value;
      }
    },
    tell: (text) => log.error(text),
    write: standardOutput.write,
    // A read that waits there keeps the process.
    [Symbol.asyncDispose]: () => Promise.resolve(Deno.stdin.close()),
  };
}

const NOBODY = "nobody is connected";
/** How long the rest of a line or of pasted text may take, in milliseconds. */
const REST = 30;

/** Lines that a person types, edited by `node:readline`. */
async function openTerminal(log: Log): Promise<Prompt> {
  // These take 20 ms to load: only where a person types.
  const { createInterface } = await import("node:readline");
  const { EventEmitter } = await import("node:events");
  const { stdin, stdout } = await import("node:process");

  const keys = Object.assign(new EventEmitter(), { resume() {}, pause() {} });
  const input = keys as unknown as NodeJS.ReadableStream;
  const settings = { output: stdout, terminal: true, prompt: "" };
  const editor = createInterface({ input, ...settings });
  editor.prompt();
  // With TERM=dumb readline moves no cursor, and neither do we.
  const isDumb = !("prevRows" in editor);
  let refusal = NOBODY; // why a line that is entered now is not sent
  let unfinished = ""; // what has come of a line whose end has not

  editor.on("line", (line) => {
    if (refusal && line) tell(`Not sent, ${refusal}: ${line}`);
    else editor.prompt();
  });
  // Ctrl-D ends the input of one chat only.
  editor.close = () => void (refusal || begin("Ctrl-D has ended the input"));
  // Only on Windows; elsewhere Ctrl-C is a signal for the whole process.
  editor.on("SIGINT", () => Deno.exit(130));
  stdout.on("error", () => {}); // then the keyboard is gone, too
  readKeys().catch(() => {}).finally(editor.close);

  async function readKeys(): Promise<void> {
    const decoder = new TextDecoder();
    Deno.stdin.setRaw(true, { cbreak: Deno.build.os !== "windows" });
    // Windows gives Deno.stdin the console's code page, but this UTF-8.
    for await (const chunk of stdin) {
      const text = decoder.decode(chunk, { stream: true });
      // Key by key, a pasted line of 6,000 takes readline nine seconds.
      const isText = /^[\t\n\r\P{Cc}]{2,}$/u.test(text);
      if (isText && !isDumb) editor.write(text);
      else keys.emit("data", text);
    }
  }

  /** Begins anew, without what was typed for somebody else. */
  function begin(reason: string): void {
    refusal = reason;
    editor.emit("end");
    draw(() => {
      Object.assign(editor, { line: "", cursor: 0 });
      editor.setPrompt(reason ? "" : " -> ");
    });
  }

  function tell(text: string): void {
    draw(() => log.error(text));
  }

  /** Draws something above the line that is being typed. */
  function draw(print: () => void): void {
    const up = "\x1b[A".repeat(editor.getCursorPos().rows);
    if (!isDumb) stdout.write(`${up}\x1b[1G\x1b[0J`);
    else if (editor.getPrompt()) stdout.write("\n");
    print();
    Object.assign(editor, { prevRows: 0 }); // or readline goes up as well
    editor.prompt(true);
    if (isDumb) stdout.write(editor.line);
  }

  /** Shows as much of what has come, on lines of its own. */
  function show(length = unfinished.length): void {
    const text = unfinished.slice(0, length).replace(/\n?$/, "\n");
    if (length > 0) draw(() => stdout.write(text));
    unfinished = unfinished.slice(length);
  }

  return {
    tell,
    async *lines(signal) {
      if (signal.aborted) return;
      begin("");
      signal.addEventListener("abort", () => {
        show();
        begin(NOBODY);
      });
      const typed = EventEmitter.on(editor, "line", { close: ["end"] });
      for await (const [line] of typed) {
        if (signal.aborted) return;
        yield new TextEncoder().encode(line);
      }
    },
    write(bytes) {
      unfinished += new TextDecoder().decode(bytes);
      show(unfinished.lastIndexOf("\n") + 1);
      setTimeout(show, REST);
      return Promise.resolve(bytes.length);
    },
    async [Symbol.asyncDispose]() {
      // Text is pasted in pieces: the shell must not get the rest of it.
      await pause(REST);
      Deno.stdin.setRaw(false);
      stdin.destroy();
    },
  };
}
