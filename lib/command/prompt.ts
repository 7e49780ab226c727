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
  /** Whether a person types, and not a program. */
  readonly terminal: boolean;
  /** Begins a chat: what is typed from now on is for its peer. */
  begin(): void;
  /** Ends a chat: what was typed for its peer is for nobody else. */
  end(): Promise<void>;
  /** Waits for a line, or `undefined` at the end; it stays until it is taken. */
  next(): Promise<Uint8Array | undefined>;
  /** Takes the line that `next` gave. */
  take(): void;
  /** Says something to whoever types. */
  tell(text: string): void;
}

/** Takes the keyboard, until the prompt is disposed of. */
export async function openPrompt(log: Log): Promise<Prompt> {
  if (!Deno.stdin.isTerminal() || !Deno.stdout.isTerminal()) {
    return new LinePrompt(log);
  }
  // Loading these takes 20 ms: only where a person types.
  const readline = await import("node:readline");
  const { stdout } = await import("node:process");
  const { EventEmitter } = await import("node:events");
  return new TerminalPrompt(log, readline, stdout, new EventEmitter());
}

/**
 * Lines from a pipe. One is read only when a chat asks for it; it waits for the
 * next chat if this one ends before it takes it.
 */
class LinePrompt implements Prompt {
  readonly terminal = Deno.stdin.isTerminal();
  #log: Log;
  #next: Promise<IteratorResult<Uint8Array, void>> | undefined;
  #lines = decodeFrames(
    chunks(Deno.stdin),
    parseFraming("lines", { maxFrameLength: Number.MAX_SAFE_INTEGER }),
  );

  constructor(log: Log) {
    this.#log = log;
  }

  begin(): void {}

  async end(): Promise<void> {}

  async next(): Promise<Uint8Array | undefined> {
    this.#next ??= this.#lines.next();
    return (await this.#next).value ?? undefined;
  }

  take(): void {
    this.#next = undefined;
  }

  tell(text: string): void {
    this.#log.error(text);
  }

  write(bytes: Uint8Array): Promise<number> {
    return Deno.stdout.write(bytes);
  }

  [Symbol.asyncDispose](): Promise<void> {
    Deno.stdin.close(); // a read that waits there keeps the process
    return Promise.resolve();
  }
}

const NOBODY = "nobody is connected";
/** How long the rest of something may take to come, in milliseconds. */
const REST = 30;
const CTRL_D = "\x04";
const SEVERAL_CHARACTERS = /^[\n\r\P{Cc}]{2,}$/u;

/** Lines that a person types, with history and editing. */
class TerminalPrompt implements Prompt {
  readonly terminal = true;
  #log: Log;
  #readline: typeof import("node:readline");
  #screen: NodeJS.WriteStream;
  #keys: NodeJS.EventEmitter;
  #editor;
  /** With `TERM=dumb` readline moves no cursor, and neither do we. */
  #dumb: boolean;
  /** Lines that nobody has taken; `undefined` is Ctrl-D. */
  #typed: (string | undefined)[] = [];
  #wake = () => {};
  /** Why a line that is typed now is not sent. */
  #refusal: string | undefined = NOBODY;
  /** What has come of a line whose end has not. */
  #unfinished = "";
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(
    log: Log,
    readline: typeof import("node:readline"),
    screen: NodeJS.WriteStream,
    keys: NodeJS.EventEmitter,
  ) {
    this.#log = log;
    this.#readline = readline;
    this.#screen = screen;
    this.#keys = keys;
    const input = Object.assign(keys, { resume() {}, pause() {} });
    this.#editor = readline.createInterface({
      input: input as unknown as NodeJS.ReadableStream,
      output: screen,
      terminal: true,
      prompt: "",
    });
    this.#editor.prompt();
    this.#dumb = !("prevRows" in this.#editor);
    this.#editor.on("line", (line) => {
      this.#entered(line);
      this.#editor.prompt();
    });
    // Only on Windows; elsewhere Ctrl-C is a signal for the whole process.
    this.#editor.on("SIGINT", () => Deno.exit(130));
    // The next `write` hears of it, too.
    screen.on("error", () => {});
    this.#read().catch(() => {}).finally(() => this.#entered(undefined));
  }

  begin(): void {
    this.#refusal = undefined;
    this.#ask(" -> ");
  }

  async end(): Promise<void> {
    await this.#showRest();
    this.#refusal = NOBODY;
    for (const line of this.#typed.splice(0)) this.#entered(line);
    this.#ask("");
  }

  async next(): Promise<Uint8Array | undefined> {
    while (this.#typed.length === 0) {
      await new Promise<void>((resolve) => this.#wake = resolve);
    }
    const [line] = this.#typed;
    return line === undefined ? line : new TextEncoder().encode(line);
  }

  take(): void {
    this.#typed.shift();
  }

  tell(text: string): void {
    this.#erase();
    this.#log.error(text);
    this.#redraw();
  }

  /** Shows whole lines at once, the rest when no more of it comes. */
  async write(bytes: Uint8Array): Promise<number> {
    const text = this.#unfinished + new TextDecoder().decode(bytes);
    const end = text.lastIndexOf("\n") + 1;
    this.#unfinished = text.slice(end);
    this.#timer ??= setTimeout(() => this.#showRest().catch(() => {}), REST);
    if (end > 0) await this.#show(text.slice(0, end));
    return bytes.length;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    // Text is pasted in pieces: the shell must not get the rest of it.
    await pause(REST);
    clearTimeout(this.#timer);
    this.#editor.close();
    Deno.stdin.setRaw(false);
    Deno.stdin.close();
  }

  async #read(): Promise<void> {
    const decoder = new TextDecoder();
    const cbreak = Deno.build.os !== "windows";
    Deno.stdin.setRaw(true, { cbreak });
    for await (const chunk of chunks(Deno.stdin)) {
      const text = decoder.decode(chunk, { stream: true });
      text.split(CTRL_D).forEach((part, i) => {
        if (i > 0) this.#type(CTRL_D);
        this.#type(part);
      });
    }
  }

  #type(text: string): void {
    if (text === CTRL_D && this.#editor.line === "") this.#entered(undefined);
    // Key by key, a pasted line of 6,000 takes readline nine seconds.
    else if (SEVERAL_CHARACTERS.test(text) && !this.#dumb) {
      this.#editor.write(text);
    } else this.#keys.emit("data", text);
  }

  #entered(line: string | undefined): void {
    if (this.#refusal === undefined) {
      this.#typed.push(line);
      if (line === undefined) this.#refusal = "Ctrl-D has ended the input";
      this.#wake();
    } else if (line) this.tell(`Not sent, ${this.#refusal}: ${line}`);
  }

  /** Begins a new line, without what was typed for somebody else. */
  #ask(prompt: string): void {
    this.#erase();
    Object.assign(this.#editor, { line: "", cursor: 0 });
    this.#editor.setPrompt(prompt);
    this.#editor.prompt();
  }

  async #showRest(): Promise<void> {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    const rest = this.#unfinished;
    this.#unfinished = "";
    if (rest !== "") await this.#show(`${rest}\n`);
  }

  /** Shows lines above the one that is being typed. */
  async #show(lines: string): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    this.#erase();
    this.#screen.write(lines, (error) => error ? reject(error) : resolve());
    this.#redraw();
    await promise;
  }

  #erase(): void {
    if (this.#dumb) {
      if (this.#editor.getPrompt() !== "") this.#screen.write("\n");
      return;
    }
    const { rows } = this.#editor.getCursorPos();
    this.#readline.moveCursor(this.#screen, 0, -rows);
    this.#readline.cursorTo(this.#screen, 0);
    this.#readline.clearScreenDown(this.#screen);
    // So that readline does not go up, too.
    Object.assign(this.#editor, { prevRows: 0 });
  }

  #redraw(): void {
    this.#editor.prompt(true);
    if (this.#dumb) this.#screen.write(this.#editor.line);
  }
}
