// Connecting: TCP, TLS and unix sockets, with a deadline and retries.
import { type Address, formatAddress, type NetAddress } from "../address.ts";
import { parseAddress, permissionFor } from "../address.ts";
import { describeError, unlessGone } from "./errors.ts";
import { after, patiently, pause } from "./stream.ts";

/** Options for {@linkcode connect}. */
export interface ConnectOptions {
  /** Gives up when aborted; what is connected by then stays so. */
  signal?: AbortSignal;
  /** Time for an attempt, with name and TLS, in ms. @default {10_000} */
  timeout?: number;
  /** Certificates of authorities to trust besides the usual, as PEM text. */
  caCerts?: string[];
  /** The name that the peer's certificate must be for, if not the host's. */
  serverName?: string;
  /** How often to try again; each pause is twice the last. @default {0} */
  retries?: number;
  /** Told why an attempt failed, before the next. */
  onRetry?: (error: Error) => void;
}

/** How long to wait before the first retry, and at most, in milliseconds. */
const RETRY_PAUSE = 250;
const LONGEST_RETRY_PAUSE = 8000;

/**
 * Connects, and for `tls:` shakes hands: the certificate is always verified.
 *
 * @param address Where to connect to.
 * @param options Deadline, certificates, retries.
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
  const { signal, timeout = 10_000, retries = 0, onRetry } = options;
  for (let attempt = 0;; attempt++) {
    signal?.throwIfAborted();
    const late = new AbortController();
    using _deadline = after(timeout, () => late.abort());
    const ends = signal ? [signal, late.signal] : [late.signal];
    try {
      return await openConnection(address, options, AbortSignal.any(ends));
    } catch (error) {
      signal?.throwIfAborted();
      // It asks three times where nobody listens (uv_tcp_connect in libuv).
      const isShort = Deno.build.os === "windows" && timeout < 2500;
      const advice = isShort ? "; Windows takes 2s to hear of a refusal" : "";
      const silence = `no answer within ${timeout / 1000}s${advice}`;
      const isLate = late.signal.aborted;
      const cause = isLate ? new Deno.errors.TimedOut(silence) : error;
      const tried = `connect to ${formatAddress(address)}`;
      const failure = describeError(cause, tried, permissionFor(address));
      if (attempt === retries) throw failure;
      onRetry?.(failure);
      const pauseLength = RETRY_PAUSE * 2 ** attempt;
      await pause(Math.min(pauseLength, LONGEST_RETRY_PAUSE), signal);
    }
  }
}

async function openConnection(
  address: Address | Deno.NetAddr,
  { caCerts, serverName }: ConnectOptions,
  signal: AbortSignal,
): Promise<Deno.Conn> {
  if (address.transport === "unix") {
    return await patiently(() => Deno.connect(address), signal);
  }
  if (address.transport === "udp") {
    throw new TypeError("datagrams have no connections");
  }
  const { hostname, port } = address;
  if (port === 0) throw new RangeError("port 0 is only for listening");
  const conn = await Deno.connect({ hostname, port, signal });
  // The system may choose that very port for us, and then we meet ourselves.
  if (formatAddress(conn.localAddr) === formatAddress(conn.remoteAddr)) {
    conn.close();
    throw new Deno.errors.ConnectionRefused();
  }
  // A message must not wait for the acknowledgement of the one before it.
  await Promise.try(() => conn.setNoDelay()).catch(unlessGone);
  if (address.transport === "tcp") return conn;
  const name = certificateName(serverName ?? hostname);
  const tls = await Deno.startTls(conn, { hostname: name, caCerts });
  await handshake(tls, signal);
  return tls;
}

/** A host as its certificate names it: in ASCII, without brackets and zone. */
export function certificateName(host: string): string {
  const bracketed = /^[^[]*:.*:/.test(host) ? `[${host}]` : host;
  const { hostname } = parseAddress(bracketed, { port: 0 }) as NetAddress;
  return hostname.replace(/%.*|\.$/, "");
}

/** Shakes hands; closes the connection if that fails, or a signal is aborted. */
export async function handshake(
  conn: Deno.TlsConn,
  signal: AbortSignal,
): Promise<void> {
  // Deno's own takes no signal, but closing the connection ends it.
  const close = () => conn[Symbol.dispose]();
  signal.addEventListener("abort", close);
  try {
    if (signal.aborted) close();
    await conn.handshake();
  } catch (error) {
    close();
    throw error;
  } finally {
    signal.removeEventListener("abort", close);
  }
}
