/**
 * TCP, TLS and unix sockets: listen, serve, connect, and carry bytes.
 *
 * @module
 */
import { type Address, formatAddress, permissionFor } from "./address.ts";
import { explain } from "./failure.ts";
import { handshake } from "./handshake.ts";
import { pause } from "./pause.ts";

export {
  type Connection,
  duplex,
  type DuplexOptions,
  type Transferred,
} from "./duplex.ts";
export { type Handler, isGonePeer, serve, type ServeOptions } from "./serve.ts";
export {
  chunks,
  concatenate,
  copy,
  type Reader,
  writeAll,
  type Writer,
} from "./stream.ts";

/** Options for {@linkcode listen}. */
export interface ListenOptions {
  /**
   * How many connections may wait to be accepted. Deno's own 511 makes clients
   * wait a second and more where 2,000 come at once.
   *
   * @default {4096}
   */
  backlog?: number;
  /** The certificate for TLS, as PEM text. */
  cert?: string;
  /** The private key that belongs to it, as PEM text. */
  key?: string;
  /**
   * Lets several processes listen on one port; Linux deals connections out.
   *
   * @default {false}
   */
  reusePort?: boolean;
}

/**
 * Binds an address and listens on it.
 *
 * @param address Where to listen. `tls:` needs a certificate and its key.
 * @param options Backlog, certificate, sharing of the port.
 * @returns The listener; its `addr` has the port that the system chose for 0.
 * @throws {Deno.errors.AddrInUse} If something else listens there.
 * @throws {Deno.errors.NotCapable} If Deno's permissions do not cover it.
 * @throws {Deno.errors.InvalidData} If the certificate cannot be read.
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 *
 * const address = { transport: "tcp" as const, hostname: "127.0.0.1", port: 0 };
 * using listener = listen(address);
 * assertEquals(listener.addr.transport, "tcp");
 * ```
 */
export function listen(
  address: Address,
  options: ListenOptions = {},
): Deno.Listener {
  const { backlog = 4096, cert, key, reusePort = false } = options;
  try {
    if (address.transport === "unix") {
      return Deno.listen({ transport: "unix", path: address.path });
    }
    if (address.transport === "udp") {
      throw new TypeError("datagrams have no connections to listen for");
    }
    if (reusePort && typeof Deno.listenDatagram !== "function") {
      // Deno would end the process here.
      throw new TypeError(
        "sharing a port needs a flag; add --unstable-net after `deno run`",
      );
    }
    const { hostname, port } = address;
    const common = { hostname, port, tcpBacklog: backlog, reusePort };
    if (address.transport === "tcp") return Deno.listen(common);
    if (cert === undefined || key === undefined) {
      throw new TypeError("TLS needs a certificate and its key");
    }
    return Deno.listenTls({ ...common, cert, key });
  } catch (error) {
    throw explainFor(error, "listen on", address);
  }
}

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
    throw explainFor(cause, "connect to", address);
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

function explainFor(
  error: unknown,
  attempt: string,
  address: Address,
): Error {
  return explain(
    error,
    `${attempt} ${formatAddress(address)}`,
    permissionFor(address),
  );
}
