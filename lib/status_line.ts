/**
 * The first line of a web server's answer, as `HTTP/1.1 200 OK`, and nothing
 * after it.
 *
 * @module
 */
import type { Reader } from "./stream.ts";
import { safeLine } from "./text.ts";

/** What came is no first line of HTTP; the message says what it is. */
export class StatusLineError extends Error {
  /**
   * Makes the error.
   *
   * @param message What came instead.
   */
  constructor(message: string) {
    super(message);
    this.name = "StatusLineError";
  }
}

/** The longest line that is read, in bytes. */
const MAX_LENGTH = 8192;

/**
 * Reads a status line (RFC 9112 4): the first byte, then the rest. It gives up
 * at the first byte that no status line has, and after 8,192 bytes.
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 *
 * const answer = new TextEncoder().encode("HTTP/1.1 200 OK\r\nServer: s\r\n");
 * const source = {
 *   read(buffer: Uint8Array) {
 *     buffer.set(answer);
 *     return Promise.resolve(answer.length);
 *   },
 * };
 * const reader = new StatusLineReader(source);
 * await reader.start();
 * assertEquals(await reader.finish(), "HTTP/1.1 200 OK");
 * ```
 */
export class StatusLineReader {
  #source: Reader;
  #bytes = new Uint8Array(MAX_LENGTH);
  #length = 0;

  /**
   * Makes a reader.
   *
   * @param source Where the answer comes from.
   */
  constructor(source: Reader) {
    this.#source = source;
  }

  /**
   * Waits for the first byte.
   *
   * @throws {StatusLineError} If there is none.
   */
  async start(): Promise<void> {
    const length = await this.#source.read(this.#bytes.subarray(this.#length));
    if (length === null) {
      throw new StatusLineError(
        this.#length === 0
          ? "the server closed the connection without a byte; does it speak HTTP on this port?"
          : "the server closed the connection in the middle of its first line",
      );
    }
    this.#length += length;
  }

  /**
   * Reads the line to its end.
   *
   * @returns The line without its end, safe for a terminal.
   * @throws {StatusLineError} If it is not HTTP's, too long, or cut off.
   */
  async finish(): Promise<string> {
    for (;;) {
      const read = this.#bytes.subarray(0, this.#length);
      const end = read.indexOf(0x0a);
      const text = new TextDecoder().decode(
        end === -1 ? read : read.subarray(0, end),
      );
      const line = text.replace(/\r$/, "");
      if (end !== -1 && /^HTTP\/\d(\.\d)? [1-5]\d\d( |$)/.test(line)) {
        return safeLine(line);
      }
      // With the line not yet whole, it may still become one.
      if (end !== -1 || !"HTTP/".startsWith(line.slice(0, 5))) {
        throw new StatusLineError(this.#whatElse(line));
      }
      if (this.#length === MAX_LENGTH) {
        throw new StatusLineError(
          `the first line of the answer does not end within ${MAX_LENGTH} bytes; no web server's is so long`,
        );
      }
      await this.start();
    }
  }

  #whatElse(line: string): string {
    const [type, version] = this.#bytes;
    // A record of TLS, an alert or a handshake: RFC 8446 5.1.
    if ((type === 0x15 || type === 0x16) && version === 3) {
      return "the server speaks TLS on this port, not plain HTTP; add --tls";
    }
    const start = line.length > 40 ? `${line.slice(0, 40)}…` : line;
    return `the server does not speak HTTP on this port; it says "${start}"`;
  }
}
