/**
 * What a peer says, as it is shown.
 *
 * @module
 */
import type { Output } from "./output.ts";

const LINE_FEED = 0x0a;
const PROMPT = " -> ";
const ERASE_LINE = "\r\x1b[K";
/** How long nothing more must come before the prompt does, in milliseconds. */
const PROMPT_DELAY = 30;

/**
 * What a peer says, on a terminal that also has a prompt, or in a pipe.
 */
export class Screen implements Disposable {
  #output: Output;
  #prompting: boolean;
  #promptShown = false;
  #lineStart = true;
  #timer: ReturnType<typeof setTimeout> | undefined;

  /**
   * Makes a screen.
   *
   * @param output Where messages go.
   * @param prompting Whether a person is to be asked for the next line.
   */
  constructor(output: Output, prompting: boolean) {
    this.#output = output;
    this.#prompting = prompting && output.terminal;
  }

  /**
   * Shows a part of a stream as it is.
   *
   * @param bytes What the peer sent.
   */
  async stream(bytes: Uint8Array): Promise<void> {
    clearTimeout(this.#timer);
    if (this.#promptShown) await this.#output.text(ERASE_LINE);
    this.#promptShown = false;
    await this.#output.writeAll(bytes);
    this.#lineStart = bytes.at(-1) === LINE_FEED;
    this.prompt();
  }

  /**
   * Shows a message on a line of its own.
   *
   * @param message What the peer sent.
   */
  async message(message: Uint8Array): Promise<void> {
    const line = new Uint8Array(message.length + 1).fill(LINE_FEED);
    line.set(message);
    await this.stream(
      message.at(-1) === LINE_FEED ? message : line,
    );
  }

  /** Asks for the next line, once there is nothing more to show. */
  prompt(): void {
    if (!this.#prompting) return;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#showPrompt(), PROMPT_DELAY);
  }

  /** Takes note that the typist has ended the line that the cursor is on. */
  entered(): void {
    this.#promptShown = false;
    this.#lineStart = true;
    this.prompt();
  }

  /** Takes the prompt away, ends the line of a message; asks for no more. */
  async end(): Promise<void> {
    clearTimeout(this.#timer);
    if (!this.#prompting || this.#lineStart && !this.#promptShown) return;
    const ending = this.#promptShown ? ERASE_LINE : "\n";
    this.#promptShown = false;
    this.#lineStart = true;
    await this.#output.text(ending);
  }

  /** Asks for no more lines. */
  [Symbol.dispose](): void {
    clearTimeout(this.#timer);
  }

  async #showPrompt(): Promise<void> {
    if (this.#promptShown) return;
    this.#promptShown = true;
    // A failing terminal shows at the next message, where someone waits for it.
    await this.#output.text(this.#lineStart ? PROMPT : `\n${PROMPT}`)
      .catch(() => {});
  }
}
