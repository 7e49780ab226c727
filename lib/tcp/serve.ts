// The accept loop, and the conversations that it starts.
import { describeError, isGonePeer } from "./errors.ts";
import { after, farewell, sendAtOnce } from "./stream.ts";

/** Carries on one conversation; the connection is closed when it returns. */
export type Handler = (conn: Deno.Conn) => Promise<unknown> | void;

/** Options for {@linkcode serve}; times are in milliseconds. */
export interface ServeOptions {
  /** Stops accepting when aborted; open conversations go on to their end. */
  signal?: AbortSignal;
  /** How long they may go on then, before we close them. @default {Infinity} */
  grace?: number;
  /** Conversations at a time; more clients wait. @default {1000} */
  maxConnections?: number;
  /** Serves one client only, and closes the port. @default {false} */
  once?: boolean;
  /** Decides, before TLS begins, whether to serve a client. */
  admit?: (conn: Deno.Conn) => Promise<boolean>;
  /** Told of a connection whose handler has returned. */
  onEnd?: (conn: Deno.Conn) => void;
  /** Told of each error and its connection; if it throws, the server stops. */
  onError?: (error: unknown, conn?: Deno.Conn) => void;

  // On request: not in a copy.
  /** Closes a connection that is silent for this long, if given. */
  idleTimeout?: number;
}

/**
 * Accepts connections and hands each to the handler, until it is told to stop.
 *
 * A handler that throws ends its own connection and nothing else. A client that
 * is gone before it is accepted, which ends the usual `for await` loop, does
 * not end this one, and neither do descriptors that run out.
 *
 * @param listener Where to accept; it is closed in the end.
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
  const { once, admit, onEnd = () => {}, onError = () => {} } = options;
  /** Every open connection, and why we have closed it, if we have. */
  const open = new Map<Deno.Conn, Error | undefined>();
  let [talking, isClosed] = [0, false];
  let changed = Promise.withResolvers<void>();
  const failures: unknown[] = []; // what `onError` has thrown

  /** Lets everything that waits for a change look again. */
  function wake(): void {
    changed.resolve();
    changed = Promise.withResolvers();
  }

  function stopAccepting(): void {
    isClosed = true;
    listener[Symbol.dispose]();
    wake();
  }

  /** Closes connections; their handlers then fail. */
  function cut(reason: string, ...conns: Deno.Conn[]): void {
    for (const conn of conns) {
      open.set(conn, new Deno.errors.TimedOut(reason));
      conn[Symbol.dispose]();
    }
  }

  function stop(): void {
    stopAccepting();
    const cutAll = () => cut("the server stops", ...open.keys());
    if (grace < Infinity) after(grace, cutAll);
  }

  function fail(error: unknown): void {
    failures.push(error);
    stop();
  }

  const silence: { watch?: (conn: Deno.Conn) => Disposable } = {};

  // On request: most servers wait for as long as their clients like.
  using sweep = options.idleTimeout
    ? (await import("./idle.ts")).idleSweep(options.idleTimeout)
    : undefined;
  const end = (conn: Deno.Conn) => cut("it was silent too long", conn);
  silence.watch = sweep && ((conn) => sweep.watch(conn, () => end(conn)));

  /** Serves one connection to its end, whatever its handler does. */
  async function converse(conn: Deno.Conn): Promise<void> {
    open.set(conn, undefined);
    using _watch = silence.watch?.(conn);
    try {
      sendAtOnce(conn as Partial<Deno.TcpConn>);
      if (admit && !await admit(conn)) return;
      const tls = "handshake" in conn ? conn as Deno.TlsConn : undefined;
      if (tls) {
        // Deno 2.9 keeps the descriptor until the client goes, all the same.
        const late = "it did not finish the TLS handshake";
        using _late = after(10_000, () => cut(late, conn));
        await tls.handshake();
      }
      if (once) {
        // Only now: a scan, a refusal or a failed handshake does not count.
        if (isClosed) return;
        stopAccepting();
        const others = [...open.keys()].filter((other) => other !== conn);
        cut("another client was sooner", ...others);
      }
      while (talking >= maxConnections) await changed.promise;
      talking++;
      try {
        await handler(conn);
        onEnd(conn);
      } finally {
        talking--;
      }
      // If the process exited now, the goodbye of TLS would be lost.
      if (tls) await farewell(conn);
    } catch (error) {
      const reason = open.get(conn);
      await Promise.try(onError, reason ?? error, conn).catch(fail);
      if (!reason && !isGonePeer(error)) await farewell(conn);
    } finally {
      open.delete(conn);
      conn[Symbol.dispose]();
      wake();
    }
  }

  async function acceptAll(): Promise<void> {
    const isTls = listener.constructor.name === "TlsListener";
    while (!isClosed) {
      try {
        // Clients in a TLS handshake are not talking yet, but limited, too.
        const isFull = talking >= maxConnections || open.size - talking >= 1000;
        if (isFull) await changed.promise;
        else converse(await listener.accept());
      } catch (error) {
        const { name } = error as Error;
        if (/^(BadResource|Interrupted)$/.test(name)) stopAccepting();
        else if (isGonePeer(error)) {
          // It is the one client, even if it was gone before it was accepted.
          const isTheOne = once && !admit && !isTls && open.size === 0;
          const reset = new Deno.errors.ConnectionReset();
          if (isTheOne) fail(describeError(reset, "serve a client", ""));
        } else {
          await Promise.try(onError, error).catch(fail);
          // A unix client whose address is not UTF-8: Deno has closed it already.
          if (error instanceof Deno.errors.InvalidData) continue;
          // Out of descriptors, for instance: wait until one is free, or 1 s.
          using _timer = after(1000, wake);
          await changed.promise;
        }
      }
    }
  }

  signal?.addEventListener("abort", stop);
  if (signal?.aborted) stop();
  acceptAll(); // not awaited: a listener may be closed, and never say so
  while (!isClosed || open.size > 0) await changed.promise;
  if (failures.length > 0) throw failures[0];
}
