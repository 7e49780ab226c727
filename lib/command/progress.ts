// How far a long piece of work is: a line that is drawn again and again, and
// what has gone over a connection.
import { format } from "@std/fmt/bytes";
import { writeToStandardError } from "./log.ts";

const ERASE_PROGRESS = "\r\x1b[K";

/**
 * Shows a line on standard error, again and again in the same place, until it
 * is disposed of. Where standard error is no terminal it shows nothing.
 */
export class ProgressLine implements Disposable {
  #timer: ReturnType<typeof setInterval> | undefined;

  /** `describe` gives the line, which is ours and nothing of a peer's. */
  constructor(describe: () => string) {
    if (!Deno.stderr.isTerminal()) return;
    const draw = () => writeToStandardError(ERASE_PROGRESS + describe());
    this.#timer = setInterval(draw, 200);
  }

  [Symbol.dispose](): void {
    if (this.#timer === undefined) return;
    clearInterval(this.#timer);
    writeToStandardError(ERASE_PROGRESS);
  }
}

/**
 * Counts the bytes of a connection and says so on standard error: on a terminal
 * a few times a second in one line, and in any case once when disposed of.
 */
export function showProgress(
  conn: Deno.Conn,
  say = writeToStandardError,
): Disposable {
  let [sent, received] = [0, 0];
  const start = performance.now();
  const { read, write } = conn;
  conn.read = async (buffer) => {
    const length = await read.call(conn, buffer);
    received += length ?? 0;
    return length;
  };
  conn.write = async (bytes) => {
    const length = await write.call(conn, bytes);
    sent += length;
    return length;
  };
  const describe = () => {
    const seconds = (performance.now() - start) / 1000;
    const rate = (sent + received) / Math.max(seconds, 0.001);
    return `sent ${format(sent)}, received ${format(received)} in ` +
      `${seconds.toFixed(1)} s (${format(rate)}/s)`;
  };
  const line = new ProgressLine(describe);
  return {
    [Symbol.dispose]() {
      line[Symbol.dispose]();
      say(`${describe()}\n`);
    },
  };
}
