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
  end(): Promise<void> | void;
  /** Waits for a line, or `undefined` at the end; it stays until it is taken. */
  next(): Promise<Uint8Array | undefined>;
  /** Takes the line that `next` gave. */
  take(): void;
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
 * Lines from a pipe. One is read only when a chat asks for it; it waits for the
 * next chat if this one ends before it takes it.
 */
function openLines(log: Log): Prompt {
  const limit = { maxFrameLength: Number.MAX_SAFE_INTEGER };
  const lines = decodeFrames(chunks(Deno.stdin), parseFraming("lines", limit));
  let next: Promise<IteratorResult<Uint8Array, void>> | undefined;
  return {
    terminal: Deno.stdin.isTerminal(),
    begin() {},
    end() {},
    async next() {
      next ??= lines.next();
      return (await next).value ?? undefined;
    },
    take() {
      next = undefined;
    },
    tell: (text) => log.error(text),
    write: (bytes) => Deno.stdout.write(bytes),
    // A read that waits there keeps the process.
    [Symbol.asyncDispose]: () => Promise.resolve(Deno.stdin.close()),
  };
}

const NOBODY = "nobody is connected";
const CTRL_D = "\x04";
const SEVERAL_CHARACTERS = /^[\n\r\P{Cc}]{2,}$/u;
/** How long the rest of a line or of pasted text may take, in milliseconds. */
const REST = 30;

/** Lines that a person types, edited by `node:readline`. */
async function openTerminal(log: Log): Promise<Prompt> {
  // These take 20 ms to load: only where a person types.
  const { clearScreenDown, createInterface, cursorTo, moveCursor } =
    await import("node:readline");
  const { stdout } = await import("node:process");
  const { EventEmitter } = await import("node:events");

  const keys = Object.assign(new EventEmitter(), { resume() {}, pause() {} });
  const input = keys as unknown as NodeJS.ReadableStream;
  const editor = createInterface({
    ...{ input, output: stdout, terminal: true, prompt: "" },
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

  editor.on("line", (line) => {
    enter(line);
    editor.prompt();
  });
  // Only on Windows; elsewhere Ctrl-C is a signal for the whole process.
  editor.on("SIGINT", () => Deno.exit(130));
  stdout.on("error", () => {}); // the next `write` hears of it, too
  readKeys().catch(() => {}).finally(() => enter(undefined));

  async function readKeys(): Promise<void> {
    const decoder = new TextDecoder();
    Deno.stdin.setRaw(true, { cbreak: Deno.build.os !== "windows" });
    for await (const chunk of chunks(Deno.stdin)) {
      const text = decoder.decode(chunk, { stream: true });
      text.split(CTRL_D).forEach((part, i) => {
        if (i > 0) press(CTRL_D);
        press(part);
      });
    }
  }

  function press(text: string): void {
    if (text === CTRL_D && editor.line === "") enter(undefined);
    // Key by key, a pasted line of 6,000 takes readline nine seconds.
    else if (SEVERAL_CHARACTERS.test(text) && !isDumb) editor.write(text);
    else keys.emit("data", text);
  }

  function enter(line: string | undefined): void {
    if (refusal !== undefined) {
      if (line) tell(`Not sent, ${refusal}: ${line}`);
      return;
    }
    entered.push(line);
    wake();
    if (line !== undefined) return;
    refusal = "Ctrl-D has ended the input";
    ask("");
  }

  /** Begins a line, without what was typed for somebody else. */
  function ask(prompt: string): void {
    erase();
    Object.assign(editor, { line: "", cursor: 0 });
    editor.setPrompt(prompt);
    editor.prompt();
  }

  function erase(): void {
    if (isDumb) return void stdout.write(editor.getPrompt() ? "\n" : "");
    moveCursor(stdout, 0, -editor.getCursorPos().rows);
    cursorTo(stdout, 0);
    clearScreenDown(stdout);
    Object.assign(editor, { prevRows: 0 }); // or readline goes up as well
  }

  function redraw(): void {
    editor.prompt(true);
    if (isDumb) stdout.write(editor.line);
  }

  function tell(text: string): void {
    erase();
    log.error(text);
    redraw();
  }

  /** Shows lines above the one that is being typed. */
  async function show(lines: string): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    erase();
    stdout.write(lines, (error) => error ? reject(error) : resolve());
    redraw();
    await promise;
  }

  async function showRest(): Promise<void> {
    clearTimeout(timer);
    timer = undefined;
    const rest = unfinished;
    unfinished = "";
    if (rest !== "") await show(`${rest}\n`);
  }

  return {
    terminal: true,
    tell,
    begin() {
      refusal = undefined;
      ask(" -> ");
    },
    async end() {
      await showRest();
      refusal = NOBODY;
      entered.splice(0).forEach(enter);
      ask("");
    },
    async next() {
      while (entered.length === 0) {
        await new Promise<void>((resolve) => wake = resolve);
      }
      const [line] = entered;
      return line === undefined ? line : new TextEncoder().encode(line);
    },
    take: () => entered.shift(),
    async write(bytes) {
      const text = unfinished + new TextDecoder().decode(bytes);
      const end = text.lastIndexOf("\n") + 1;
      unfinished = text.slice(end);
      timer ??= setTimeout(() => showRest().catch(() => {}), REST);
      if (end > 0) await show(text.slice(0, end));
      return bytes.length;
    },
    async [Symbol.asyncDispose]() {
      // Text is pasted in pieces: the shell must not get the rest of it.
      await pause(REST);
      clearTimeout(timer);
      editor.close();
      Deno.stdin.setRaw(false);
      Deno.stdin.close();
    },
  };
}
