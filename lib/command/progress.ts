// Progress of long work: a line that is drawn again and again, and the count of
// what went over a connection.
import { fstatSync } from "node:fs";
import { format } from "@std/fmt/bytes";
import { log } from "./log.ts";

const ERASE_PROGRESS = "\r\x1b[K";

/** Shows a line again and again in one place of a terminal. */
export function progressLine(describe: () => string): Disposable {
  const drawn = new DisposableStack();
  drawn.defer(() => log.write(ERASE_PROGRESS));
  const timer = setInterval(() => {
    // Cut to one row: of a longer line only the last row would be erased.
    const most = (Deno.consoleSize().columns || Infinity) - 1;
    log.write(ERASE_PROGRESS + describe().slice(0, most));
  }, 200);
  drawn.defer(() => clearInterval(timer));
  return drawn;
}

/** Counts what goes over a connection; shows it meanwhile and at the end. */
export function showProgress(conn: Deno.Conn, onlyAtEnd = false): Disposable {
  const start = performance.now();
  const input = fstatSync(0);
  const counts = { sent: 0, received: 0, read: 0 };

  /** Makes the same call, but counted. */
  function counted<Length extends number | null>(
    what: keyof typeof counts,
    call: (bytes: Uint8Array) => Promise<Length>,
  ) {
    return async (bytes: Uint8Array) => {
      const length = await call(bytes);
      counts[what] += length ?? 0;
      return length;
    };
  }

  conn.read = counted("received", conn.read.bind(conn));
  conn.write = counted("sent", conn.write.bind(conn));
  Deno.stdin.read = counted("read", Deno.stdin.read.bind(Deno.stdin));

  function describe(): string {
    const { sent, received, read } = counts;
    const seconds = (performance.now() - start) / 1000;
    const rate = (bytes: number) => `${format(bytes / (seconds || 1))}/s`;
    const percent = Math.floor(100 * read / input.size);
    const share = input.isFile() && read > 0
      ? `${percent} % of ${format(input.size)}, `
      : "";
    return `sent ${format(sent)} (${share}${rate(sent)}), ` +
      `received ${format(received)} (${rate(received)}), ` +
      `in ${seconds.toFixed(1)} s`;
  }

  const shown = new DisposableStack();
  shown.defer(() => {
    if (log.json) log.info("progress", describe(), counts);
    else log.write(`${describe()}\n`);
  });
  const isDrawn = !onlyAtEnd && Deno.stderr.isTerminal();
  if (isDrawn) shown.use(progressLine(describe));
  return shown;
}
