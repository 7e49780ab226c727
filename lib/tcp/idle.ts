// `IdleSweep`: finds connections on which nothing has happened for a while.

/** How often the sweep comes by while a connection may be idle. */
const SWEEPS_PER_TIMEOUT = 16;

/**
 * One timer for all connections: it counts its sweeps, and a read or a write
 * notes the count. Asking the clock each time would make reads twice as dear.
 */
export class IdleSweep implements Disposable {
  #watched = new Set<{ lastUse: number; onIdle: () => void }>();
  #sweeps = 0;
  #timer: ReturnType<typeof setInterval>;

  /** Starts; `timeout` is in milliseconds, and met within an eighth of it. */
  constructor(timeout: number) {
    this.#timer = setInterval(() => {
      this.#sweeps++;
      for (const { lastUse, onIdle } of this.#watched) {
        if (this.#sweeps - lastUse > SWEEPS_PER_TIMEOUT) onIdle();
      }
    }, timeout / SWEEPS_PER_TIMEOUT);
  }

  /** Watches a connection until disposed; `onIdle` may be called repeatedly. */
  watch(conn: Deno.Conn, onIdle: () => void): Disposable {
    const watched = { lastUse: this.#sweeps, onIdle };
    const { read, write } = conn;
    // The next read starts when the last one is done, so its start tells of it.
    conn.read = (buffer) => {
      watched.lastUse = this.#sweeps;
      return read.call(conn, buffer);
    };
    conn.write = (bytes) => {
      watched.lastUse = this.#sweeps;
      return write.call(conn, bytes);
    };
    this.#watched.add(watched);
    return { [Symbol.dispose]: () => this.#watched.delete(watched) };
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer);
  }
}
