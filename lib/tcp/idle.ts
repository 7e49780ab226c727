// `idleSweep`: which connections have been silent for too long.
import { turn } from "./stream.ts";

// One timer for all connections: each counts its silence from sweep to sweep,
// again from 0 after each read or write. Asking the clock each time would make
// reads half as fast, and would count a stop of this process as silence.
// `timeout` is in milliseconds, and met within an eighth of it.
export function idleSweep(timeout: number) {
  const sweeps = new Set<() => void>();
  const step = Math.min(timeout / 16, 2 ** 30); // for ever is too long
  const timer = setInterval(async () => {
    await turn(); // so that what came during a stop has been read
    for (const sweep of sweeps) sweep();
  }, step);

  /** Watches a connection until disposed; `onIdle` may be called repeatedly. */
  function watch(conn: Deno.Conn, onIdle: () => void): Disposable {
    let waiting = 0; // reads and writes under way; if none, we are silent
    let silence = 0; // below 0 while its peer may still be reading
    const noted = async <Length>(call: Promise<Length>, isWrite = false) => {
      waiting++;
      const length = await call;
      waiting--;
      // A peer that reads 100 bytes a millisecond is not silent: it may still be
      // reading what the system keeps for it, 4.5 MB at most.
      const reading = isWrite ? Number(length) / 100 : 0;
      silence = Math.max(Math.min(silence, 0) - reading, -45_000);
      return length;
    };
    const { read, write } = conn;
    conn.read = (buffer) => noted(read.call(conn, buffer));
    conn.write = (bytes) => noted(write.call(conn, bytes), true);
    const sweep = () => {
      if (waiting > 0) silence += step;
      if (silence > timeout) onIdle();
    };
    sweeps.add(sweep);
    return { [Symbol.dispose]: () => sweeps.delete(sweep) };
  }

  return { watch, [Symbol.dispose]: () => clearInterval(timer) };
}
