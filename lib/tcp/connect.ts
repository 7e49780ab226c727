// Connecting, and what it needs first: addresses of names, certificates.
import { type Address, formatAddress, type NetAddress } from "../address.ts";
import { parseAddress, permissionFor } from "../address.ts";
import { describeError } from "./errors.ts";
import { after, patiently, pause, sendAtOnce } from "./stream.ts";

/** Options for {@linkcode connect}. */
export interface ConnectOptions {
  /** Gives up when aborted; a connection that is made stays open. */
  signal?: AbortSignal;
  /** Time for one attempt, with name and TLS, in ms. @default {10_000} */
  timeout?: number;
  /** Certificates of authorities to trust besides the usual, as PEM text. */
  caCerts?: string[];
  /** The name that the peer's certificate must be for, if not the host's. */
  serverName?: string;
  /** How often to try again, after 0.25, 0.5, 1 ... 8 s. @default {0} */
  retries?: number;
  /** Told why an attempt failed, before the next. */
  onRetry?: (error: Error) => void;
}

/**
 * Connects, and for `tls:` shakes hands: the certificate is always verified.
 *
 * @throws {Deno.errors.ConnectionRefused} If nobody listens there.
 * @throws {Deno.errors.TimedOut} If it takes longer than `timeout`.
 * @throws {Deno.errors.InvalidData} If the certificate is not trusted.
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
  const { timeout = 10_000, retries = 0, onRetry } = options;
  const { signal = new AbortController().signal } = options;
  for (let attempt = 0;; attempt++) {
    signal.throwIfAborted();
    // Windows tries three times if refused (uv_tcp_connect in libuv).
    const isShort = Deno.build.os === "windows" && timeout < 2500;
    const advice = isShort ? "; Windows takes 2s to hear of a refusal" : "";
    const silence = `no answer within ${timeout / 1000}s${advice}`;
    const end = new AbortController();
    const expire = () => end.abort(new Deno.errors.TimedOut(silence));
    using _deadline = after(timeout, expire);
    const stop = () => end.abort(signal.reason);
    signal.addEventListener("abort", stop);
    try {
      return await openConnection(address, options, end.signal);
    } catch (error) {
      signal.throwIfAborted();
      const tried = `connect to ${formatAddress(address)}`;
      const cause = end.signal.reason ?? error;
      const failure = describeError(cause, tried, permissionFor(address));
      if (attempt === retries) throw failure;
      onRetry?.(failure);
      await pause(Math.min(250 * 2 ** attempt, 8000), signal);
    } finally {
      signal.removeEventListener("abort", stop);
    }
  }
}

async function openConnection(
  address: Address | Deno.NetAddr,
  { caCerts, serverName }: ConnectOptions,
  signal: AbortSignal,
): Promise<Deno.Conn> {
  if (address.transport === "unix") {
    return await patiently(() => {
      signal.throwIfAborted(); // Deno itself does not look at it here
      return Deno.connect(address);
    });
  }
  const { transport, hostname, port } = address;
  if (transport === "udp") throw new TypeError("datagrams have no connections");
  if (port === 0) throw new RangeError("port 0 is only for listening");
  const name = transport === "tls" && certificateName(serverName ?? hostname);
  const conn = await dial({ hostname, port, signal });
  sendAtOnce(conn);
  if (!name) return conn;
  using handshake = new DisposableStack();
  const options = { hostname: name, caCerts };
  const tls = handshake.use(await Deno.startTls(conn, options));
  signal.throwIfAborted();
  // Deno's handshake takes no signal, but closing the connection ends it.
  signal.addEventListener("abort", () => handshake.dispose());
  await tls.handshake();
  handshake.move(); // which leaves it open
  return tls;
}

/** Connects, but never to itself. */
export async function dial(to: Deno.ConnectOptions): Promise<Deno.TcpConn> {
  const conn = await Deno.connect(to);
  // The system may give us that very port: then we would talk to ourselves.
  if (formatAddress(conn.localAddr) !== formatAddress(conn.remoteAddr)) {
    return conn;
  }
  conn.close();
  throw new Deno.errors.ConnectionRefused();
}

/** A host as its certificate names it: in ASCII, without brackets and zone. */
export function certificateName(host: string): string {
  const bracketed = /^[^[]*:/.test(host) ? `[${host}]` : host || "?";
  try {
    const { hostname } = parseAddress(`tcp://${bracketed}:0`) as NetAddress;
    return hostname.replace(/%.*|\.$/, "");
  } catch {
    throw new SyntaxError(`"${host}" is no host name`);
  }
}

// Looks a name up as the system does, the hosts file first. `versions` of IP are
// in order of preference; `attempt` is for the error message. Deno's own calls
// look a name up each time, and `Deno.listen` stops the process meanwhile.
export async function resolveName<Where extends Address>(
  address: Where,
  attempt: string,
  versions = [4, 6],
): Promise<Where> {
  if (address.transport === "unix") return address;
  const { hostname, port } = address;
  if (/^[\d.]+$|:/.test(hostname)) return address;
  const { lookup } = await import("node:dns/promises");
  try {
    const search = lookup(hostname, { all: true, order: "verbatim" });
    const found = await Promise.race([search, pause(10_000)]);
    if (!found) throw new Deno.errors.TimedOut("DNS is silent");
    const [best] = versions.flatMap((version) =>
      found.filter(({ family }) => family === version)
    );
    if (!best) throw new Error(`the name has no address of IPv${versions[0]}`);
    const place = { hostname: best.address, port };
    const host = formatAddress({ transport: "tcp", ...place });
    const { state } = Deno.permissions.querySync({ name: "net", host });
    return state === "granted" ? { ...address, ...place } : address;
  } catch (error) {
    // Deno is allowed the name only: then it looks it up itself.
    if ((error as { code?: string }).code === "EPERM") return address;
    throw describeError(error, `${attempt} ${formatAddress(address)}`, "");
  }
}

/** Reads a text file without byte order marks; joined files have several. */
export async function readText(path: string): Promise<string> {
  try {
    return (await Deno.readTextFile(path)).replaceAll("\ufeff", "");
  } catch (error) {
    throw describeError(error, `read ${path}`, `--allow-read=${path}`);
  }
}

/** Reads a certificate or a private key; TLS would ignore other text. */
export async function readPem(path: string, what: string): Promise<string> {
  const pem = await readText(path);
  const begin = new RegExp(`-----BEGIN (RSA |EC )?${what}-----`, "i");
  const isEncrypted = what === "private key" && pem.includes("ENCRYPTED");
  if (begin.test(pem) && !isEncrypted) return pem;
  const why = isEncrypted
    ? "the key is encrypted; `openssl pkey` writes it plain"
    : `it holds no ${what} in PEM form`;
  throw new Deno.errors.InvalidData(`Cannot use ${path}: ${why}`);
}
