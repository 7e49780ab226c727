// The accept loop, and the conversations that it starts.
import { isGonePeer, unlessGone } from "./errors.ts";
import { IdleSweep } from "./idle.ts";
import { after, farewell } from "./stream.ts";

/** Carries on one conversation; the connection is closed when it returns. */
export type Handler = (conn: Deno.Conn) => Promise<unknown> | void;

/** Options for {@linkcode serve}; times are in milliseconds. */
export interface ServeOptions {
  /** Stops accepting when aborted; open conversations go on to their end. */
  signal?: AbortSignal;
  /** How long they may go on; then they are cut. @default {Infinity} */
  grace?: number;
  /** Conversations at a time; more clients wait. @default {1000} */
  maxConnections?: number;
  /** Closes a connection that is silent for so long, if given. */
  idleTimeout?: number;
  /** Serves one client, and closes the port for it. @default {false} */
  once?: boolean;
  /** Tells, before TLS begins, whether to serve a client or to close it. */
  admit?: (conn: Deno.Conn) => Promise<boolean>;
  /** Told of errors, with the connection if there is one; may throw to stop. */
  onError?: (error: unknown, conn?: Deno.Conn) => void;
}

/** How long to wait where accepting fails, out of descriptors for instance. */
const ACCEPT_PAUSE = 1000;
const HANDSHAKE_TIMEOUT = 10_000;
/** Clients at a time that are not served yet, as they have to shake hands. */
const MOST_COMING = 1000;

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
 * const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
 * const greeting = new TextEncoder().encode("hello");
 * const served = serve(listener, (conn) => conn.write(greeting), { once: true });
 * using conn = await Deno.connect({ port: listener.addr.port });
 * await served;
 * ```
 */
export async function serve(
  listener: Deno.Listener,
  handler: Handler,
  options: ServeOptions = {},
): Promise<void> {
  const { signal, grace = Infinity, maxConnections = 1000 } = options;
  const { idleTimeout, once, admit, onError = () => {} } = options;
  /** Every open connection, and why we have closed it, if we have. */
  const open = new Map<Deno.Conn, string | undefined>();
  using sweep = idleTimeout && idleTimeout < Infinity
    ? new IdleSweep(idleTimeout)
    : undefined;
  using cleanup = new DisposableStack();
  const stopped = Promise.withResolvers<void>();
  let failure: { error: unknown } | undefined;
  let [talking, served] = [0, 0];
  let changed = Promise.withResolvers<void>();

  /** Lets all that wait for a change look again. */
  function wake(): void {
    changed.resolve();
    changed = Promise.withResolvers();
  }

  /** Closes a connection; its handler finds out by its next call. */
  function close(conn: Deno.Conn, reason: string): void {
    open.set(conn, reason);
    conn[Symbol.dispose]();
  }

  /** Until a late client goes, Deno 2.9 keeps its descriptor all the same. */
  async function shakeHands(conn: Deno.TlsConn): Promise<void> {
    using _late = after(HANDSHAKE_TIMEOUT, () => {
      close(conn, "it did not finish the TLS handshake");
    });
    await conn.handshake();
  }

  /** Accepts nobody any more. */
  function stop(): void {
    listener[Symbol.dispose]();
    stopped.resolve();
    wake();
    if (grace === Infinity) return;
    cleanup.use(after(grace, () => {
      for (const conn of open.keys()) close(conn, "the server stops");
    }));
  }

  /** Accepts nobody beside the one. */
  function closePort(one: Deno.Conn): void {
    listener[Symbol.dispose]();
    for (const conn of open.keys()) {
      if (conn !== one) close(conn, "another client was sooner");
    }
  }

  /** Tells of an error; stops where even that fails. */
  function report(error: unknown, conn?: Deno.Conn): void {
    try {
      onError(error, conn);
    } catch (error) {
      failure ??= { error };
      stop();
    }
  }

  /** Carries on one conversation, whatever its handler does. */
  async function converse(conn: Deno.Conn): Promise<void> {
    open.set(conn, undefined);
    const idle = sweep?.watch(conn, () => {
      close(conn, "it was silent too long");
    });
    try {
      // A message must not wait for the acknowledgement of the one before it.
      const tcp = conn as Partial<Deno.TcpConn>;
      await Promise.try(() => tcp.setNoDelay?.()).catch(unlessGone);
      if (admit && !await admit(conn)) return;
      if ("handshake" in conn) await shakeHands(conn as Deno.TlsConn);
      // A client that did not come as far as that is not the one.
      if (once && ++served === 1) closePort(conn);
      if (once && served > 1) return;
      while (talking >= maxConnections) await changed.promise;
      talking++;
      try {
        await handler(conn);
      } finally {
        talking--;
      }
      // A process that exits now would take the goodbye of TLS with it.
      if ("handshake" in conn) await farewell(conn);
    } catch (error) {
      const reason = open.get(conn);
      report(reason ? new Deno.errors.TimedOut(reason) : error, conn);
      if (!reason && !isGonePeer(error)) await farewell(conn);
    } finally {
      idle?.[Symbol.dispose]();
      open.delete(conn);
      conn[Symbol.dispose]();
      wake();
    }
  }

  /** Accepts one after the other until the listener is closed. */
  async function acceptAll(): Promise<void> {
    for (;;) {
      while (talking >= maxConnections || open.size - talking >= MOST_COMING) {
        await changed.promise;
      }
      try {
        converse(await listener.accept());
      } catch (error) {
        if (error instanceof Deno.errors.BadResource) return;
        if (error instanceof Deno.errors.Interrupted) return;
        if (isGonePeer(error)) continue;
        report(error);
        // A unix client whose address is not UTF-8: Deno has closed it already.
        if (error instanceof Deno.errors.InvalidData) continue;
        using _timer = after(ACCEPT_PAUSE, wake);
        await changed.promise;
      }
    }
  }

  if (signal?.aborted) stop();
  signal?.addEventListener("abort", stop);
  cleanup.defer(() => signal?.removeEventListener("abort", stop));
  await Promise.race([acceptAll(), stopped.promise]);
  listener[Symbol.dispose]();
  while (open.size > 0) await changed.promise;
  if (failure) throw failure.error;
}
