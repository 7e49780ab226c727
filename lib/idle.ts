/**
 * Finds connections on which nothing has happened for a while.
 *
 * @module
 */

/** How often the sweep comes by while a connection may be idle. */
const SWEEPS_PER_TIMEOUT = 16;

interface Watched {
  active: boolean;
  idleSince: number;
  onIdle: () => void;
}

/**
 * Finds idle connections by one sweep over all of them. A read or a write only
 * sets a flag: no clock is asked and no timer made, however many there are.
 *
 * @example
 * ```ts
 * using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
 * using _client = await Deno.connect({ port: listener.addr.port });
 * using conn = await listener.accept();
 * using sweep = new IdleSweep(20);
 * const idle = Promise.withResolvers<void>();
 * sweep.watch(conn, idle.resolve);
 * await idle.promise;
 * ```
 */
export class IdleSweep implements Disposable {
  /** How long a connection may be silent, in milliseconds. */
  readonly timeout: number;
  #watched = new Map<Deno.Conn, Watched>();
  #timer: ReturnType<typeof setInterval>;

  /**
   * Starts sweeping.
   *
   * @param timeout How long a connection may be silent, in milliseconds. It is
   * found after that and no later than an eighth more.
   */
  constructor(timeout: number) {
    this.timeout = timeout;
    this.#timer = setInterval(
      () => this.#sweep(),
      timeout / SWEEPS_PER_TIMEOUT,
    );
  }

  /**
   * Watches a connection; its `read` and `write` say when something happens.
   *
   * @param conn The connection.
   * @param onIdle Called once when it is idle; closing it is left to that.
   */
  watch(conn: Deno.Conn, onIdle: () => void): void {
    const watched = { active: false, idleSince: performance.now(), onIdle };
    const { read, write } = conn;
    // The next read starts when the last one is done, so its start tells of it.
    conn.read = (buffer) => {
      watched.active = true;
      return read.call(conn, buffer);
    };
    conn.write = (bytes) => {
      watched.active = true;
      return write.call(conn, bytes);
    };
    this.#watched.set(conn, watched);
  }

  /**
   * Watches a connection no longer.
   *
   * @param conn The connection.
   */
  forget(conn: Deno.Conn): void {
    this.#watched.delete(conn);
  }

  /** Stops sweeping. */
  [Symbol.dispose](): void {
    clearInterval(this.#timer);
  }

  #sweep(): void {
    const now = performance.now();
    for (const [conn, watched] of this.#watched) {
      if (watched.active) {
        watched.active = false;
        watched.idleSince = now;
      } else if (now - watched.idleSince >= this.timeout) {
        this.#watched.delete(conn);
        watched.onIdle();
      }
    }
  }
}
