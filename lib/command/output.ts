/**
 * The payload, on standard output: untouched where a program reads it, made
 * safe where a terminal would obey it.
 *
 * @module
 */
import { reasonFor } from "../tcp/errors.ts";
import { turn, writeAll, type Writer } from "../tcp/stream.ts";
import { hexDump, safeText, SafeTextDecoder } from "../text.ts";

/** Standard output takes no more. */
export class OutputError extends Error {
  override name = "OutputError";
  /** Whether its reader has gone, as `head -1` does; else it is a fault. */
  readonly closed: boolean;

  constructor(cause: unknown) {
    super(`Cannot write to standard output: ${reasonFor(cause)}`, { cause });
    this.closed = cause instanceof Deno.errors.BrokenPipe;
  }
}

/** The most that may wait to be written, in bytes; then `write` waits too. */
const QUEUED_OUTPUT = 1_048_576;

/** How an output shows bytes; `terminal` and `to` are for tests. */
export interface OutputOptions {
  hex?: boolean;
  terminal?: boolean;
  to?: Writer;
}

/**
 * Writes what a peer sent. A person sees it at once. For a program more is
 * taken while the last is still being written: a write to a pipe takes longer
 * than the network needs for the next datagram, and waiting for each would lose
 * four in five. A failed write is thrown by the next call, or by `finish`.
 */
export class Output implements Writer {
  /** Whether a terminal reads it. */
  readonly terminal: boolean;
  /** Whether bytes are shown in hexadecimal. */
  readonly hex: boolean;
  #to: Writer;
  #decoder: SafeTextDecoder | undefined;
  #encoder = new TextEncoder();
  #offset = 0;
  #waiting = new Uint8Array(0);
  #length = 0;
  /** What was written last: the bytes after the next ones wait there. */
  #spare = new Uint8Array(0);
  #writing: Promise<void> | undefined;
  #failed = new AbortController();

  constructor({ hex = false, to = Deno.stdout, terminal }: OutputOptions = {}) {
    this.terminal = terminal ?? Deno.stdout.isTerminal();
    this.hex = hex;
    this.#to = to;
  }

  /** Aborted when nothing more can be written, with {@linkcode OutputError}. */
  get failed(): AbortSignal {
    return this.#failed.signal;
  }

  /** Writes a part of a stream; a character may lie across two parts. */
  async write(bytes: Uint8Array): Promise<number> {
    await this.#push(this.#shown(bytes));
    return bytes.length;
  }

  /**
   * Writes a datagram, which is a message of its own: a person gets it on lines
   * of its own, a program its bytes and nothing between two of them.
   */
  datagram(payload: Uint8Array): Promise<void> {
    if (this.hex) return this.text(hexDump(payload) || "\n");
    if (!this.terminal) return this.#push(payload);
    const decoder = new TextDecoder("utf-8", { ignoreBOM: true });
    const shown = safeText(decoder.decode(payload).replaceAll("\r\n", "\n"));
    return this.text(shown.endsWith("\n") ? shown : `${shown}\n`);
  }

  /** Writes text of our own, untouched. */
  async text(ours: string): Promise<void> {
    await this.#push(this.#encoder.encode(ours));
  }

  /** Ends the stream: waits until all is written, half a character too. */
  async finish(): Promise<void> {
    await this.text(this.#decoder?.finish() ?? "");
    await this.#writing;
    this.failed.throwIfAborted();
  }

  #shown(bytes: Uint8Array): Uint8Array {
    if (this.hex) {
      const dump = hexDump(bytes, this.#offset);
      this.#offset += bytes.length;
      return this.#encoder.encode(dump);
    }
    if (!this.terminal) return bytes;
    // Made on first use: compiling its Unicode pattern takes 1 ms.
    this.#decoder ??= new SafeTextDecoder();
    return this.#encoder.encode(this.#decoder.push(bytes));
  }

  async #push(bytes: Uint8Array): Promise<void> {
    this.failed.throwIfAborted();
    if (bytes.length === 0) return;
    while (this.#writing && this.#length + bytes.length > QUEUED_OUTPUT) {
      await this.#writing;
      this.failed.throwIfAborted();
    }
    const length = this.#length + bytes.length;
    if (length > this.#waiting.length) {
      const larger = new Uint8Array(Math.max(length, 2 * this.#waiting.length));
      larger.set(this.#waiting.subarray(0, this.#length));
      this.#waiting = larger;
    }
    this.#waiting.set(bytes, this.#length);
    this.#length = length;
    this.#writing ??= this.#drain();
    if (!this.terminal) return;
    await this.#writing;
    this.failed.throwIfAborted();
  }

  async #drain(): Promise<void> {
    try {
      while (this.#length > 0) {
        const bytes = this.#waiting.subarray(0, this.#length);
        [this.#waiting, this.#spare] = [this.#spare, this.#waiting];
        this.#length = 0;
        await writeAll(this.#to, bytes);
        if (this.#length > 0) await turn();
      }
    } catch (error) {
      this.#failed.abort(new OutputError(error));
    }
    this.#writing = undefined;
  }
}
