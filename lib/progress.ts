/**
 * How much has gone over a connection, and how fast, for a person to watch.
 *
 * @module
 */
import { format } from "@std/fmt/bytes";
import { writeToStandardError } from "./log.ts";
import { ProgressLine } from "./progress_line.ts";

/**
 * Counts the bytes of a connection and says so on standard error: on a terminal
 * a few times a second in one line, and in any case once at the end.
 *
 * @example
 * ```ts
 * using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
 * using conn = await Deno.connect({ port: listener.addr.port });
 * let last = "";
 * {
 *   using _progress = new Progress(conn, (text) => last = text);
 *   await conn.write(new Uint8Array(2000));
 * }
 * if (!last.includes("sent 2 kB")) throw new Error(last);
 * ```
 */
export class Progress implements Disposable {
  #sent = 0;
  #received = 0;
  #start: number = performance.now();
  #shown: ProgressLine;
  #write: (text: string) => void;

  /**
   * Starts counting.
   *
   * @param conn The connection; its `read` and `write` tell of the bytes.
   * @param write Where the line goes, if not to standard error.
   */
  constructor(conn: Deno.Conn, write?: (text: string) => void) {
    this.#write = write ?? writeToStandardError;
    const { read, write: send } = conn;
    conn.read = async (buffer) => {
      const length = await read.call(conn, buffer);
      this.#received += length ?? 0;
      return length;
    };
    conn.write = async (bytes) => {
      const length = await send.call(conn, bytes);
      this.#sent += length;
      return length;
    };
    this.#shown = new ProgressLine(() => this.#line());
  }

  /** Says how much it was in the end. */
  [Symbol.dispose](): void {
    this.#shown[Symbol.dispose]();
    this.#write(`${this.#line()}\n`);
  }

  #line(): string {
    const seconds = (performance.now() - this.#start) / 1000;
    const rate = (this.#sent + this.#received) / Math.max(seconds, 0.001);
    return `sent ${format(this.#sent)}, received ${format(this.#received)}` +
      ` in ${seconds.toFixed(1)} s (${format(rate)}/s)`;
  }
}
