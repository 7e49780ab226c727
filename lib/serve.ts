/**
 * The accept loop, and the conversations that it starts.
 *
 * @module
 */
import { IdleSweep } from "./idle.ts";

/** Carries on one conversation; the connection is closed when it returns. */
export type Handler = (conn: Deno.Conn) => Promise<unknown> | void;

/** Options for {@linkcode serve}. */
export interface ServeOptions {
  /** Stops accepting when aborted; open conversations go on to their end. */
  signal?: AbortSignal;
  /**
   * How long they may go on, in milliseconds; then they are cut.
   *
   * @default {Infinity}
   */
  grace?: number;
  /**
   * How many conversations there may be at a time; more clients wait.
   *
   * @default {1000}
   */
  maxConnections?: number;
  /** Closes a connection that is silent for so long, in milliseconds. */
  idleTimeout?: number;
  /**
   * How long a TLS client may take to shake hands, in milliseconds.
   *
   * @default {10_000}
   */
  handshakeTimeout?: number;
  /**
   * Accepts one connection only.
   *
   * @default {false}
   */
  once?: boolean;
  /** Told of what went wrong: with one conversation, or with accepting. */
  onError?: (error: unknown, conn?: Deno.Conn) => void;
}

/** How long to wait where accepting fails, out of descriptors for instance. */
const ACCEPT_PAUSE = 1000;

/**
 * Accepts connections and hands each to the handler, until it is told to stop.
 *
 * A handler that throws ends its own connection and nothing else. A client that
 * is gone before it is accepted, which ends the usual `for await` loop, does
 * not end this one, and neither do descriptors that run out.
 *
 * @param listener Where to accept; it is closed in the end.
 * @param handler What to do with a connection.
 * @param options When to stop, and limits.
 * @returns When the last conversation has ended.
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 *
 * using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
 * const stop = new AbortController();
 * const served = serve(listener, async (conn) => {
 *   await conn.write(new TextEncoder().encode("hello"));
 * }, { signal: stop.signal });
 * using conn = await Deno.connect({ port: listener.addr.port });
 * const buffer = new Uint8Array(16);
 * assertEquals(await conn.read(buffer), 5);
 * stop.abort();
 * await served;
 * ```
 */
export async function serve(
  listener: Deno.Listener,
  handler: Handler,
  options: ServeOptions = {},
): Promise<void> {
  const { signal, grace = Infinity, once = false, maxConnections = 1000 } =
    options;
  const open = new OpenConnections(handler, options);
  let graceTimer: ReturnType<typeof setTimeout> | undefined;
  const stop = () => {
    listener[Symbol.dispose]();
    open.changed();
    if (grace !== Infinity) graceTimer = setTimeout(() => open.cut(), grace);
  };
  if (signal?.aborted) stop();
  signal?.addEventListener("abort", stop, { once: true });
  try {
    while (!signal?.aborted) {
      if (open.size >= maxConnections) {
        await open.change();
        continue;
      }
      try {
        open.add(await listener.accept());
      } catch (error) {
        if (isClosed(error)) break;
        options.onError?.(error);
        if (!isGonePeer(error)) await open.change(ACCEPT_PAUSE);
        continue;
      }
      if (once) break;
    }
    listener[Symbol.dispose]();
    while (open.size > 0) await open.change();
  } finally {
    clearTimeout(graceTimer);
    signal?.removeEventListener("abort", stop);
    open[Symbol.dispose]();
  }
}

function isClosed(error: unknown): boolean {
  return error instanceof Deno.errors.BadResource ||
    error instanceof Deno.errors.Interrupted;
}

/**
 * Tells whether accepting failed because the client was gone already. Deno asks
 * for the peer's address, and after a reset there is none any more.
 *
 * @param error What `accept` threw.
 * @returns Whether the listener is as good as before.
 */
export function isGonePeer(error: unknown): boolean {
  return error instanceof Deno.errors.NotConnected ||
    error instanceof Deno.errors.ConnectionReset ||
    error instanceof Deno.errors.ConnectionAborted;
}

/** The conversations of one server. */
class OpenConnections implements Disposable {
  #handler: Handler;
  #onError: NonNullable<ServeOptions["onError"]>;
  #handshakeTimeout: number;
  #sweep: IdleSweep | undefined;
  #conns = new Set<Deno.Conn>();
  /** Why we have closed a connection ourselves. */
  #endings = new Map<Deno.Conn, string>();
  #wake = () => {};

  constructor(handler: Handler, options: ServeOptions) {
    const { idleTimeout, handshakeTimeout = 10_000, onError = () => {} } =
      options;
    this.#handler = handler;
    this.#onError = onError;
    this.#handshakeTimeout = handshakeTimeout;
    if (idleTimeout !== undefined) this.#sweep = new IdleSweep(idleTimeout);
  }

  get size(): number {
    return this.#conns.size;
  }

  /** Starts a conversation. What it throws goes to `onError`. */
  async add(conn: Deno.Conn): Promise<void> {
    this.#conns.add(conn);
    this.#sweep?.watch(conn, () => this.#end(conn, "it was silent too long"));
    try {
      // A message must not wait for the acknowledgement of the one before it.
      if ("setNoDelay" in conn) (conn as Deno.TcpConn).setNoDelay();
      if ("handshake" in conn) await this.#shakeHands(conn as Deno.TlsConn);
      await this.#handler(conn);
    } catch (error) {
      const reason = this.#endings.get(conn);
      this.#onError(
        reason === undefined ? error : new Deno.errors.TimedOut(reason),
        conn,
      );
    } finally {
      this.#conns.delete(conn);
      this.#endings.delete(conn);
      this.#sweep?.forget(conn);
      conn[Symbol.dispose]();
      this.changed();
    }
  }

  /** Closes every connection; the handlers find out by their next call. */
  cut(): void {
    for (const conn of this.#conns) this.#end(conn, "the server stops");
  }

  changed(): void {
    this.#wake();
  }

  /** Waits until a conversation has ended, or for so many milliseconds. */
  async change(most?: number): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#wake = resolve;
    const timer = most === undefined ? undefined : setTimeout(resolve, most);
    await promise;
    clearTimeout(timer);
  }

  [Symbol.dispose](): void {
    this.#sweep?.[Symbol.dispose]();
  }

  /**
   * A client that does not finish its handshake gives its place to another.
   * Deno 2.9 keeps its descriptor, though, until it goes: closing a connection
   * in the middle of the handshake does not close the socket.
   */
  async #shakeHands(conn: Deno.TlsConn): Promise<void> {
    const timer = setTimeout(
      () => this.#end(conn, "it did not finish the TLS handshake"),
      this.#handshakeTimeout,
    );
    try {
      await conn.handshake();
    } finally {
      clearTimeout(timer);
    }
  }

  #end(conn: Deno.Conn, reason: string): void {
    this.#endings.set(conn, reason);
    conn[Symbol.dispose]();
  }
}
