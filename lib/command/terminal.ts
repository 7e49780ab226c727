// A terminal that a person types at: `node:readline` edits lines, and what the
// peer says never disturbs the one that is being typed. It takes 15 ms to load.
import { EventEmitter } from "node:events";
import { stdin, stdout } from "node:process";
import { createInterface } from "node:readline";
import { Writable } from "node:stream";
import { pause, writeAll } from "../tcp/stream.ts";
import { SafeTextDecoder } from "../text.ts";
import { log } from "./log.ts";
import { print } from "./output.ts";

/** Why a line that is typed between two chats is not sent. */
const NOBODY = "nobody is connected";
/** How long the rest of a read or of pasted text may take, in milliseconds. */
const REST = 30;
/** How long the rest of a line may take: then what comes is another message. */
const REST_OF_LINE = 2000;
/** The most characters of a line that are kept until its end comes. */
const LONGEST_LINE_KEPT = 1_048_576;

/** Takes the keyboard and the screen, until the prompt is disposed of. */
export function openTerminal() {
  const keys = Object.assign(new EventEmitter(), { resume() {}, pause() {} });
  const input = keys as unknown as NodeJS.ReadableStream;
  const isSeen = Deno.stdout.isTerminal();
  const to = isSeen ? Deno.stdout : Deno.stderr;
  // With `node:process` a stopped terminal (Ctrl-S) stops the process.
  const screen = new Writable({
    write: (text, _, done) => void writeAll(to, text).then(() => done(), done),
  });
  Object.defineProperty(screen, "columns", {
    get: () => Deno.consoleSize().columns,
  });
  stdout.on("resize", () => screen.emit("resize"));
  const settings = { output: screen, terminal: true, prompt: "" };
  const editor = createInterface({ input, ...settings });
  editor.prompt();
  const isDumb = !("prevRows" in editor); // TERM=dumb: no cursor is moved
  const safe = new SafeTextDecoder();
  // While a line of the peer is unfinished, and another one is being typed:
  //     What has come so f   `shown`: the part of `unfinished` on the screen
  //      -> this is typ      the editor's line, below it
  let [unfinished, shown] = ["", ""];
  let refusal = NOBODY; // why a line that is entered now is not sent
  let [arrival, timer]: [number, unknown] = [0, undefined];
  const arrow = () => refusal ? "" : " -> ";
  const { write } = log;
  if (Deno.stderr.isTerminal()) {
    log.write = (text) => draw(() => screen.write(text));
  }

  editor.on("line", (line) => {
    // What is on the screen stays there, above what was typed.
    if (shown === unfinished) unfinished = "";
    shown = "";
    editor.setPrompt(arrow());
    if (refusal && line) log.error(`Not sent, ${refusal}: ${line}`);
    else editor.prompt();
  });
  // Ctrl-D ends the input of one chat only.
  editor.close = () => void (refusal || begin("Ctrl-D has ended the input"));
  editor.on("SIGINT", () => Deno.exit(130)); // Windows; elsewhere a signal
  screen.on("error", () => {}); // then the keyboard is gone, too
  readKeys().catch(() => {}).finally(editor.close);

  // The page of --explain types, too.
  const type = (line: string) => {
    if (!refusal) draw(() => screen.write(` -> ${line}\n`));
    editor.emit("line", line);
    return refusal;
  };
  dispatchEvent(new CustomEvent("keyboard", { detail: type }));

  async function readKeys(): Promise<void> {
    const decoder = new TextDecoder();
    Deno.stdin.setRaw(true, { cbreak: Deno.build.os !== "windows" });
    // On Windows Deno.stdin gives the console's code page, this UTF-8.
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
    draw(() => Object.assign(editor, { line: "", cursor: 0 }));
  }

  /** Draws something above the line that is being typed. */
  function draw(print: () => unknown): void {
    const up = "\x1b[A".repeat(editor.getCursorPos().rows);
    if (!isDumb) screen.write(`${up}\x1b[1G\x1b[0J`);
    else if (editor.getPrompt()) screen.write("\n");
    print();
    editor.setPrompt((shown && `${shown}\n`) + arrow());
    Object.assign(editor, { prevRows: 0 }); // or readline goes up as well
    if (editor.getPrompt() + editor.line) editor.prompt(true);
    if (isDumb) screen.write(editor.line);
  }

  /** Shows so much of `unfinished` for good; the rest may be drawn again. */
  function show(length = unfinished.length): void {
    const text = unfinished.slice(0, length);
    unfinished = unfinished.slice(length);
    // If it is too long for the window, its end; a character may be wide.
    const { columns, rows } = Deno.consoleSize();
    const most = (columns || 80) * (((rows || 24) - 3) >> 1);
    shown = timer ? "" : unfinished.slice(-most);
    if (text) draw(() => screen.write(text.replace(/\n?$/, "\n")));
    else if (shown) draw(() => {});
  }

  return {
    tell: log.error,
    async *lines(signal: AbortSignal) {
      begin("");
      signal.addEventListener("abort", () => {
        unfinished += safe.finish();
        show();
        begin(NOBODY);
      });
      const typed = EventEmitter.on(editor, "line", { close: ["end"] });
      for await (const [line] of typed) {
        if (signal.aborted) return;
        yield new TextEncoder().encode(line);
      }
    },
    async write(bytes: Uint8Array) {
      if (!isSeen) return await print(bytes);
      const now = performance.now();
      if (now - arrival > REST_OF_LINE) show();
      arrival = now;
      unfinished += safe.push(bytes);
      timer ??= setTimeout(() => {
        timer = undefined;
        const isKept = !isDumb && unfinished.length <= LONGEST_LINE_KEPT;
        show(isKept ? 0 : unfinished.length);
      }, REST);
      show(unfinished.lastIndexOf("\n") + 1);
      if (screen.writableNeedDrain) await EventEmitter.once(screen, "drain");
    },
    async [Symbol.asyncDispose]() {
      // Text is pasted in pieces: the shell must not get the rest of it.
      await pause(REST);
      log.write = write;
      await new Promise((ended) => screen.end(ended));
      Deno.stdin.setRaw(false); // which waits for a stopped terminal
    },
  };
}
