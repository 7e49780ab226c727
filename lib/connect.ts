/**
 * Connecting: TCP, TLS and unix sockets, with a deadline.
 *
 * @module
 */
import { type Address, formatAddress, permissionFor } from "./address.ts";
import { explain } from "./failure.ts";
import { pause } from "./pause.ts";

/** Options for {@linkcode connect}. */
export interface ConnectOptions {
  /** Gives up when aborted; what is connected by then stays so. */
  signal?: AbortSignal;
  /**
   * How long resolving, connecting and the TLS handshake may take together, in
   * milliseconds.
   *
   * @default {10_000}
   */
  timeout?: number;
  /** Certificates of authorities to trust besides the usual, as PEM text. */
  caCerts?: string[];
  /** The name that the peer's certificate must be for, if not the host's. */
  serverName?: string;
}

/**
 * Connects, and for `tls:` shakes hands: the certificate is always verified.
 *
 * @param address Where to connect to.
 * @param options Deadline and certificates.
 * @returns The connection, ready for the first byte.
 * @throws {Deno.errors.ConnectionRefused} If nobody listens there.
 * @throws {Deno.errors.TimedOut} If it takes longer than `timeout`.
 * @throws {Deno.errors.InvalidData} If the certificate is not to be trusted.
 * @throws {Deno.errors.NotCapable} If Deno's permissions do not cover it.
 * @throws {unknown} The reason of `signal`, if it is aborted.
 *
 * @example
 * ```ts
 * using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
 * using _conn = await connect(listener.addr);
 * ```
 */
export async function connect(
  address: Address | Deno.NetAddr,
  options: ConnectOptions = {},
): Promise<Deno.Conn> {
  const { signal, timeout = 10_000, caCerts, serverName } = options;
  signal?.throwIfAborted();
  // Not setTimeout: its first use alone takes Deno 5 ms, and a client that
  // sends one message is done in less.
  const deadline = AbortSignal.timeout(timeout);
  const attempt = AbortSignal.any(signal ? [signal, deadline] : [deadline]);
  try {
    return await connectUntil(attempt, address, caCerts, serverName);
  } catch (error) {
    signal?.throwIfAborted();
    const cause = deadline.aborted
      ? new Deno.errors.TimedOut(`no answer within ${timeout / 1000}s`)
      : error;
    throw explain(
      cause,
      `connect to ${formatAddress(address)}`,
      permissionFor(address),
    );
  }
}

/** Options for {@linkcode connectPatiently}. */
export interface PatientConnectOptions extends ConnectOptions {
  /** How often to try again. */
  retries: number;
  /** Told why, before trying again. */
  onRetry?: (error: Error) => void;
}

/** How long to wait before the first retry, in milliseconds; then twice that. */
const RETRY_PAUSE = 250;
const LONGEST_RETRY_PAUSE = 8000;

/**
 * Connects like {@linkcode connect}, and tries again where that fails, after a
 * pause that doubles each time.
 *
 * @param address Where to connect to.
 * @param options How often to try again, and what `connect` takes.
 * @returns The connection.
 * @throws {Error} What the last attempt threw.
 */
export async function connectPatiently(
  address: Address,
  options: PatientConnectOptions,
): Promise<Deno.Conn> {
  const { signal, retries, onRetry } = options;
  for (let attempt = 0;; attempt++) {
    try {
      return await connect(address, options);
    } catch (error) {
      signal?.throwIfAborted();
      if (attempt === retries) throw error;
      onRetry?.(error as Error);
      const pauseLength = RETRY_PAUSE * 2 ** attempt;
      await pause(Math.min(pauseLength, LONGEST_RETRY_PAUSE), signal);
    }
  }
}

async function connectUntil(
  signal: AbortSignal,
  address: Address | Deno.NetAddr,
  caCerts?: string[],
  serverName?: string,
): Promise<Deno.Conn> {
  if (address.transport === "unix") {
    return await Deno.connect({ transport: "unix", path: address.path });
  }
  if (address.transport === "udp") {
    throw new TypeError("datagrams have no connections");
  }
  const { hostname, port } = address;
  if (port === 0) throw new RangeError("port 0 is only for listening");
  const conn = await Deno.connect({ hostname, port, signal });
  // A message must not wait for the acknowledgement of the one before it.
  conn.setNoDelay();
  if (address.transport === "tcp") return conn;
  const tls = await Deno.startTls(conn, {
    hostname: serverName ?? hostname,
    caCerts,
  });
  try {
    await handshake(tls, signal);
    return tls;
  } catch (error) {
    tls[Symbol.dispose]();
    throw error;
  }
}

/**
 * Shakes hands until a signal says that it takes too long.
 *
 * Deno's own `handshake` takes no signal, but closing the connection ends it.
 *
 * @param conn The connection; it is closed when the signal is aborted.
 * @param signal When to give up.
 * @throws {Deno.errors.InvalidData} If a certificate is not to be trusted, or
 * the peer does not speak TLS.
 * @throws {Deno.errors.Interrupted} If the signal is aborted.
 */
export async function handshake(
  conn: Deno.TlsConn,
  signal: AbortSignal,
): Promise<void> {
  const close = () => conn[Symbol.dispose]();
  signal.addEventListener("abort", close, { once: true });
  try {
    if (signal.aborted) close();
    await conn.handshake();
  } finally {
    signal.removeEventListener("abort", close);
  }
}
