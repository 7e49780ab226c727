/**
 * The payload, on standard output: untouched where a program reads it, made
 * safe where a terminal would obey it.
 *
 * @module
 */
import { reasonFor } from "./failure.ts";
import { writeAll, type Writer } from "./stream.ts";
import { hexDump, SafeTextDecoder } from "./text.ts";
import { WriteQueue } from "./write_queue.ts";

/** Standard output takes no more. */
export class OutputError extends Error {
  /** Whether its reader has gone, as `head -1` does; else it is a fault. */
  readonly closed: boolean;

  /**
   * Makes the error.
   *
   * @param cause What was thrown by writing.
   */
  constructor(cause: unknown) {
    super(`Cannot write to standard output: ${reasonFor(cause)}`, { cause });
    this.name = "OutputError";
    this.closed = cause instanceof Deno.errors.BrokenPipe;
  }
}

const never = new AbortController().signal;

/** Options for {@linkcode Output}. */
export interface OutputOptions {
  /** Shows bytes in hexadecimal. */
  hex?: boolean;
  /** Whether a terminal reads it, if not as standard output says. */
  terminal?: boolean;
  /** Where it goes, if not to standard output. */
  to?: Writer;
  /**
   * Takes more while the last is being written, unless a terminal reads it:
   * `finish` waits for all of it, and `failed` tells when it cannot be written.
   *
   * @default {false}
   */
  queued?: boolean;
}

/**
 * Writes what a peer sent.
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 *
 * let shown = "";
 * const to = {
 *   write(bytes: Uint8Array) {
 *     shown += new TextDecoder().decode(bytes);
 *     return Promise.resolve(bytes.length);
 *   },
 * };
 * const output = new Output({ to, terminal: true });
 * await output.write(new TextEncoder().encode("\x1b[2Jhello"));
 * assertEquals(shown, "\\x1b[2Jhello");
 * ```
 */
export class Output implements Writer {
  /** Whether a terminal reads it. */
  readonly terminal: boolean;
  /** Whether bytes are shown in hexadecimal. */
  readonly hex: boolean;
  #to: Writer;
  #queue: WriteQueue | undefined;
  #offset = 0;
  /** Made when a terminal is to show something: it loads an alphabet. */
  #decoder: SafeTextDecoder | undefined;
  #encoder = new TextEncoder();

  /**
   * Makes an output.
   *
   * @param options How to show bytes, and where.
   */
  constructor(options: OutputOptions = {}) {
    const { hex = false, to = Deno.stdout, terminal, queued = false } = options;
    this.terminal = terminal ?? Deno.stdout.isTerminal();
    this.hex = hex;
    this.#to = {
      async write(bytes) {
        try {
          return await to.write(bytes);
        } catch (error) {
          throw new OutputError(error);
        }
      },
    };
    // A person sees each message before the line of the log that follows it.
    if (queued && !this.terminal) this.#queue = new WriteQueue(this.#to);
  }

  /** Aborted when standard output takes no more, with an {@linkcode OutputError}. */
  get failed(): AbortSignal {
    return this.#queue?.failed ?? never;
  }

  /**
   * Writes bytes of a stream; a character may lie across two writes.
   *
   * @param bytes What to write.
   * @returns How many of them were taken.
   * @throws {OutputError} If standard output takes no more.
   */
  async write(bytes: Uint8Array): Promise<number> {
    await this.#write(this.#shown(bytes));
    return bytes.length;
  }

  /**
   * Writes all the bytes of a part of a stream.
   *
   * @param bytes What to write.
   * @throws {OutputError} If standard output takes no more.
   */
  async writeAll(bytes: Uint8Array): Promise<void> {
    await this.write(bytes);
  }

  /**
   * Ends the stream: half a character may have been held back.
   *
   * @throws {OutputError} If standard output takes no more.
   */
  async finish(): Promise<void> {
    const held = this.#decoder?.finish();
    if (held) await this.text(held);
    await this.#queue?.drained();
  }

  /**
   * Writes text of our own, untouched.
   *
   * @param ours What to write; nothing of it comes from a peer.
   * @throws {OutputError} If standard output takes no more.
   */
  async text(ours: string): Promise<void> {
    await this.#write(this.#encoder.encode(ours));
  }

  async #write(bytes: Uint8Array): Promise<void> {
    if (this.#queue !== undefined) await this.#queue.push(bytes);
    else await writeAll(this.#to, bytes);
  }

  #shown(bytes: Uint8Array): Uint8Array {
    if (this.hex) {
      const dump = hexDump(bytes, this.#offset);
      this.#offset += bytes.length;
      return this.#encoder.encode(dump);
    }
    if (!this.terminal) return bytes;
    this.#decoder ??= new SafeTextDecoder();
    return this.#encoder.encode(this.#decoder.push(bytes));
  }
}
