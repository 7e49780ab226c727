/**
 * Idle connections: those on which nothing has happened for a while.
 *
 * @module
 */

/** How often the sweep comes by while a connection may be idle. */
const SWEEPS_PER_TIMEOUT = 16;

/**
 * Finds idle connections by one sweep over all of them: a read or a write only
 * sets a flag, and no timer is made for it, however many connections there are.
 */
export class IdleSweep implements Disposable {
  #timeout: number;
  #watched = new Map<
    Deno.Conn,
    { active: boolean; idleSince: number; onIdle: () => void }
  >();
  #timer: ReturnType<typeof setInterval>;

  /** Starts; `timeout` is in milliseconds, and met within an eighth of it. */
  constructor(timeout: number) {
    this.#timeout = timeout;
    const interval = timeout / SWEEPS_PER_TIMEOUT;
    this.#timer = setInterval(() => this.#sweep(), interval);
  }

  /** Watches a connection; `onIdle`, called once, may close it. */
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

  /** Watches a connection no longer. */
  forget(conn: Deno.Conn): void {
    this.#watched.delete(conn);
  }

  /** Stops. */
  [Symbol.dispose](): void {
    clearInterval(this.#timer);
  }

  #sweep(): void {
    const now = performance.now();
    for (const [conn, watched] of this.#watched) {
      if (watched.active) {
        watched.active = false;
        watched.idleSince = now;
      } else if (now - watched.idleSince >= this.#timeout) {
        this.#watched.delete(conn);
        watched.onIdle();
      }
    }
  }
}
