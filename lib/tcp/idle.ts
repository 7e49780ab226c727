// `IdleSweep`: finds connections on which nothing has happened for a while.

import { turn } from "./stream.ts";

/** How often the sweep comes by while a connection may be idle. */
const SWEEPS_PER_TIMEOUT = 16;
/** A peer that reads so slowly is not silent yet, in bytes a millisecond. */
const SLOWEST_READER = 100;
/** What the system keeps of a connection at most, before its peer reads it. */
const SYSTEM_BUFFERS = 4_500_000;

/** A connection, and when it was used last, in sweeps. */
interface WatchedConn {
  /** Its reads and writes that wait. */
  waiting: number;
  lastUse: number;
  onIdle: () => void;
}

/**
 * One timer for all connections: it counts its sweeps, and a read or a write
 * notes the count. Asking the clock each time would make reads twice as dear,
 * and would take the time that this process was stopped for silence.
 */
export class IdleSweep implements Disposable {
  #watched = new Set<WatchedConn>();
  #sweeps = 0;
  #timer: ReturnType<typeof setInterval>;

  /** Starts; `timeout` is in milliseconds, and met within an eighth of it. */
  constructor(readonly timeout: number) {
    this.#timer = setInterval(async () => {
      this.#sweeps++;
      await turn(); // so that what came during a stop has been read
      for (const { waiting, lastUse, onIdle } of this.#watched) {
        // Where nothing is asked of the peer, the silence is ours.
        const isSilent = this.#sweeps - lastUse > SWEEPS_PER_TIMEOUT;
        if (isSilent && waiting > 0) onIdle();
      }
    }, timeout / SWEEPS_PER_TIMEOUT);
  }

  /** Watches a connection until disposed; `onIdle` may be called repeatedly. */
  watch(conn: Deno.Conn, onIdle: () => void): Disposable {
    const watched = { waiting: 0, lastUse: this.#sweeps, onIdle };
    /** Notes a call; the peer may still read so many bytes that were sent. */
    const use = (calls: number, sent = 0) => {
      watched.waiting += calls;
      const sweepsToRead = (bytes: number) =>
        bytes / SLOWEST_READER / this.timeout * SWEEPS_PER_TIMEOUT;
      watched.lastUse = Math.min(
        Math.max(watched.lastUse, this.#sweeps) + sweepsToRead(sent),
        this.#sweeps + sweepsToRead(SYSTEM_BUFFERS),
      );
    };
    const { read, write } = conn;
    conn.read = async (buffer) => {
      use(1);
      const length = await read.call(conn, buffer);
      use(-1);
      return length;
    };
    conn.write = async (bytes) => {
      use(1);
      const length = await write.call(conn, bytes);
      use(-1, length);
      return length;
    };
    this.#watched.add(watched);
    return { [Symbol.dispose]: () => this.#watched.delete(watched) };
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer);
  }
}
