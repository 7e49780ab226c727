/**
 * Typed lines, one at a time.
 *
 * @module
 */
import { decodeFrames, parseFraming } from "./framing.ts";
import { releaseStandardInput } from "./messages.ts";
import { chunks, type Reader } from "./stream.ts";

/**
 * Lines from a keyboard, one at a time and only when asked for.
 *
 * A line that is typed while nobody listens waits for the next conversation.
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 *
 * const { readable, writable } = new TransformStream<Uint8Array>();
 * const reader = readable.getReader();
 * const keyboard = new Keyboard({
 *   async read(buffer) {
 *     const { value } = await reader.read();
 *     if (value !== undefined) buffer.set(value);
 *     return value?.length ?? null;
 *   },
 * });
 * writable.getWriter().write(new TextEncoder().encode("hello\n"));
 * const line = await keyboard.next();
 * assertEquals(new TextDecoder().decode(line), "hello");
 * ```
 */
export class Keyboard implements Disposable {
  /** Whether a person types, and not a program. */
  readonly terminal: boolean;
  #source: Reader;
  #lines: AsyncGenerator<Uint8Array, void>;
  #next: Promise<IteratorResult<Uint8Array, void>> | undefined;

  /**
   * Makes a keyboard.
   *
   * @param source Where lines come from; standard input unless named.
   */
  constructor(source: Reader = Deno.stdin) {
    this.#source = source;
    this.terminal = source === Deno.stdin && Deno.stdin.isTerminal();
    this.#lines = decodeFrames(chunks(source), parseFraming("lines"));
  }

  /**
   * Waits for the next line. Until it is taken, it is the next one.
   *
   * @returns The line, or `undefined` at the end of the input.
   */
  async next(): Promise<Uint8Array | undefined> {
    this.#next ??= this.#lines.next();
    return (await this.#next).value ?? undefined;
  }

  /** Lets go of standard input. */
  [Symbol.dispose](): void {
    if (this.#source === Deno.stdin) releaseStandardInput();
  }

  /** Takes the line that `next` gave. */
  take(): void {
    this.#next = undefined;
  }
}
