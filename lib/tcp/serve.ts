/**
 * The accept loop, and the conversations that it starts.
 *
 * @module
 */
import { isGonePeer } from "./errors.ts";
import { IdleSweep } from "./idle.ts";
import { after } from "./stream.ts";

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
  /**
   * Told of what went wrong: with one conversation, or with accepting. What it
   * throws ends the server.
   */
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
 * @throws {unknown} What `onError` throws.
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
  const { signal, grace = Infinity, maxConnections = 1000 } = options;
  const { idleTimeout, handshakeTimeout = 10_000 } = options;
  const { once = false, onError = () => {} } = options;
  /** Every open connection, and why we have closed it, if we have. */
  const open = new Map<Deno.Conn, string | undefined>();
  using sweep = idleTimeout ? new IdleSweep(idleTimeout) : undefined;
  let wake = () => {};
  let failure: { error: unknown } | undefined;
  let graceTimer: ReturnType<typeof setTimeout> | undefined;

  /** Carries on one conversation, whatever its handler does. */
  async function converse(conn: Deno.Conn): Promise<void> {
    open.set(conn, undefined);
    sweep?.watch(conn, () => close(conn, "it was silent too long"));
    try {
      // A message must not wait for the acknowledgement of the one before it.
      if ("setNoDelay" in conn) (conn as Deno.TcpConn).setNoDelay();
      if ("handshake" in conn) await shakeHands(conn as Deno.TlsConn);
      await handler(conn);
    } catch (error) {
      const reason = open.get(conn);
      onError(reason ? new Deno.errors.TimedOut(reason) : error, conn);
    } finally {
      open.delete(conn);
      sweep?.forget(conn);
      conn[Symbol.dispose]();
      wake();
    }
  }

  /** Closes a connection; its handler finds out by its next call. */
  function close(conn: Deno.Conn, reason: string): void {
    open.set(conn, reason);
    conn[Symbol.dispose]();
  }

  /**
   * A client that does not finish its handshake gives its place to another.
   * Deno 2.9 keeps its descriptor, though, until it goes: closing a connection
   * in the middle of the handshake does not close the socket.
   */
  async function shakeHands(conn: Deno.TlsConn): Promise<void> {
    using _late = after(handshakeTimeout, () => {
      close(conn, "it did not finish the TLS handshake");
    });
    await conn.handshake();
  }

  /** Waits until a conversation ends, we are to stop, or the time is over. */
  async function change(most?: number): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    wake = resolve;
    using _timer = most ? after(most, resolve) : undefined;
    await promise;
  }

  function stop(): void {
    listener[Symbol.dispose]();
    wake();
    if (grace === Infinity) return;
    graceTimer ??= setTimeout(() => {
      for (const conn of open.keys()) close(conn, "the server stops");
    }, grace);
  }

  /** Stops, as what tells of errors has failed itself. */
  function fail(error: unknown): void {
    failure ??= { error };
    stop();
  }

  if (signal?.aborted) stop();
  signal?.addEventListener("abort", stop, { once: true });
  try {
    while (!signal?.aborted) {
      if (open.size >= maxConnections) {
        await change();
        continue;
      }
      try {
        converse(await listener.accept()).catch(fail);
      } catch (error) {
        if (isClosed(error)) break;
        onError(error);
        if (!isGonePeer(error)) await change(ACCEPT_PAUSE);
        continue;
      }
      if (once) break;
    }
    listener[Symbol.dispose]();
    while (open.size > 0) await change();
    if (failure) throw failure.error;
  } finally {
    clearTimeout(graceTimer);
    signal?.removeEventListener("abort", stop);
  }
}

function isClosed(error: unknown): boolean {
  return error instanceof Deno.errors.BadResource ||
    error instanceof Deno.errors.Interrupted;
}
