/**
 * Socket addresses as text: `host:port`, `:port`, `port`, `[v6]:port`, with
 * `tcp://`, `tls://` or `udp://` before it, or `unix:/path`; and which
 * permission they need.
 *
 * @module
 */

/** A host and a port, and what is spoken there. */
export interface NetAddress {
  /** Stream (`tcp`), encrypted stream (`tls`) or datagrams (`udp`). */
  transport: "tcp" | "tls" | "udp";
  /** A name, an IPv4 address, or an IPv6 address without brackets. */
  hostname: string;
  /** 0 to 65,535; 0 asks the system for any free port. */
  port: number;
}

/** A socket in the file system. */
export interface UnixAddress {
  /** Always a stream. */
  transport: "unix";
  /** Where the socket file is. */
  path: string;
}

/** Where a socket is bound or connected to. */
export type Address = NetAddress | UnixAddress;

/** What {@linkcode parseAddress} fills in where the text is silent. */
export interface AddressDefaults {
  /**
   * Host for `:port` and `port`.
   *
   * @default {"127.0.0.1"}
   */
  hostname?: string;
  /** Port for a host without one. With no default, the text must name it. */
  port?: number;
  /**
   * Transport where the text has no scheme.
   *
   * @default {"tcp"}
   */
  transport?: NetAddress["transport"];
}

const SCHEMES = ["tcp", "tls", "udp"] as const;
const DIGITS_REGEXP = /^\d+$/;
const HOST_PORT_REGEXP = /^(?:\[([^[\]]*)\]|([^[\]:]*))(?::([^:]*))?$/s;
const HOSTNAME_REGEXP = /^(?!.*\.\.)[a-z0-9_](?:[a-z0-9_.-]*[a-z0-9_.])?$/i;
const INTERNATIONAL_REGEXP = /^[\w.\x80-\uffff-]+$/;
/** A last label that is a number makes every resolver think of IPv4. */
const NUMERIC_REGEXP = /(?:^|\.)(?:\d+|0x[0-9a-f]*)\.?$/i;
const ZONE_REGEXP = /^[\w.~-]+$/;
const MAX_HOSTNAME_LENGTH = 253;
const MAX_PORT = 65_535;

/**
 * Reads an address.
 *
 * Host names stay names: nothing is looked up. An international name becomes
 * its ASCII form (RFC 5891), an IPv6 address its one shortest form (RFC 5952),
 * and one that stands for an IPv4 address (`::ffff:127.0.0.1`) that address.
 *
 * @param text The address, as a person types it.
 * @param defaults What to fill in where the text is silent.
 * @returns The address.
 * @throws {SyntaxError} If the text is not an address; the message says why.
 * @throws {RangeError} If the port is above 65,535.
 *
 * @example
 * ```ts
 * import { assertEquals, assertThrows } from "@std/assert";
 *
 * const loopback = { transport: "tcp" as const, hostname: "::1", port: 80 };
 * assertEquals(parseAddress("[::1]:80"), loopback);
 * assertEquals(parseAddress(":80", { hostname: "::1" }), loopback);
 * assertEquals(parseAddress("unix:/tmp/chat"), {
 *   transport: "unix",
 *   path: "/tmp/chat",
 * });
 * assertThrows(
 *   () => parseAddress("localhost"),
 *   SyntaxError,
 *   'Cannot parse address "localhost": the port is missing, as in "localhost:1234"',
 * );
 * ```
 */
export function parseAddress(
  text: string,
  defaults: AddressDefaults = {},
): Address {
  if (text.startsWith("unix:")) return parseUnixAddress(text);
  const [scheme, rest] = text.includes("://")
    ? text.split(/:\/\/(.*)/s)
    : [defaults.transport ?? "tcp", text];
  const transport = SCHEMES.find((name) => name === scheme.toLowerCase());
  if (transport === undefined || rest.includes("://")) {
    throw invalid(
      text,
      'the scheme must be tcp://, tls://, udp:// or unix:; or write "host:port" alone',
    );
  }
  const fallback = defaults.hostname ?? "127.0.0.1";
  if (rest === "") throw invalid(text, "it names no host and no port");
  if (DIGITS_REGEXP.test(rest)) {
    return { transport, hostname: fallback, port: parsePort(text, rest) };
  }
  const parts = HOST_PORT_REGEXP.exec(rest);
  if (parts === null) {
    const problem = /[[\]]/.test(rest)
      ? "brackets go around an IPv6 address only"
      : "an IPv6 address needs brackets";
    throw invalid(text, `${problem}, as in "[::1]:1234"`);
  }
  const [, ipv6, name, portText] = parts;
  const hostname = ipv6 !== undefined
    ? parseIpv6(text, ipv6)
    : name === ""
    ? fallback
    : parseHostname(text, name);
  if (portText !== undefined) {
    return { transport, hostname, port: parsePort(text, portText) };
  }
  if (defaults.port === undefined) {
    throw invalid(text, `the port is missing, as in "${rest}:1234"`);
  }
  return { transport, hostname, port: defaults.port };
}

/**
 * Writes an address so that {@linkcode parseAddress} reads it back as it was.
 *
 * Takes what Deno's sockets have as `localAddr` and `remoteAddr` too. A plain
 * TCP address has no scheme; an IPv4-mapped IPv6 address is shown as IPv4.
 *
 * @param address The address.
 * @returns `host:port`, `[v6]:port`, `tls://…`, `udp://…` or `unix:…`.
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 *
 * assertEquals(
 *   formatAddress({ transport: "tcp", hostname: "::1", port: 80 }),
 *   "[::1]:80",
 * );
 * assertEquals(
 *   formatAddress({ transport: "udp", hostname: "::ffff:10.0.0.1", port: 53 }),
 *   "udp://10.0.0.1:53",
 * );
 * ```
 */
export function formatAddress(address: Address | Deno.Addr): string {
  // The other end of a unix socket has no name of its own, so no path.
  if (!("hostname" in address)) {
    const { path } = address as { path?: string | null };
    return `unix:${path ?? ""}`;
  }
  // A host of the name "unix" needs the scheme, or it would read as a path.
  const plain = address.transport === "tcp" && address.hostname !== "unix";
  const scheme = plain ? "" : `${address.transport}://`;
  return scheme + formatHostPort(address);
}

/**
 * Names the flags that Deno needs to listen on an address or to reach it.
 *
 * Deno compares the text of the host, so `localhost` does not cover
 * `127.0.0.1`; a unix socket is a file as well, to be read and written.
 *
 * @param address The address.
 * @param others Addresses that the same flag shall cover.
 * @returns The flags, as they stand on a command line.
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 *
 * assertEquals(
 *   permissionFor({ transport: "tls", hostname: "example.com", port: 443 }),
 *   "--allow-net=example.com:443",
 * );
 * ```
 */
export function permissionFor(
  address: Address,
  ...others: { hostname: string; port: number }[]
): string {
  if (address.transport === "unix") {
    const path = address.path.startsWith("/")
      ? address.path
      : `${Deno.cwd()}/${address.path}`;
    return `--allow-net=unix:${path} --allow-read=${path} --allow-write=${path}`;
  }
  const places = [address, ...others].map(({ hostname, port }) =>
    formatHostPort({ hostname: hostname.split("%")[0], port }) // no zone for Deno
  );
  return `--allow-net=${places.join()}`;
}

/**
 * Tells whether a host is an IP address, so that there is nothing to look up.
 *
 * @param hostname A host as {@linkcode parseAddress} gives it.
 * @returns Whether it is one.
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 *
 * const hosts = ["::1", "127.0.0.1", "one.one.one.one"];
 * assertEquals(hosts.map(isIpAddress), [true, true, false]);
 * ```
 */
export function isIpAddress(hostname: string): boolean {
  if (hostname.includes(":")) return true;
  const parts = hostname.split(".");
  // No leading zeros: to some they mean octal.
  return parts.length === 4 &&
    parts.every((part) => part === String(Number(part) & 255));
}

function formatHostPort({ hostname, port }: Omit<NetAddress, "transport">) {
  const host = /^::ffff:/i.test(hostname) ? canonicalIp(hostname) : hostname;
  return host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`;
}

function invalid(text: string, reason: string): SyntaxError {
  return new SyntaxError(`Cannot parse address "${text}": ${reason}`);
}

function parseUnixAddress(text: string): UnixAddress {
  const path = text.slice("unix:".length);
  if (path === "") {
    throw invalid(text, 'the path is missing, as in "unix:/tmp/socket"');
  }
  if (path.includes("\0")) {
    throw invalid(text, "a path cannot hold a NUL character");
  }
  return { transport: "unix", path };
}

function parsePort(text: string, digits: string): number {
  if (digits === "") throw invalid(text, "the port after the colon is missing");
  if (!DIGITS_REGEXP.test(digits)) {
    throw invalid(text, `the port must be a number, not "${digits}"`);
  }
  const port = Number(digits);
  if (port > MAX_PORT) {
    throw new RangeError(
      `Cannot parse address "${text}": the port must be 0 to 65535, not ${digits}`,
    );
  }
  return port;
}

function parseHostname(text: string, name: string): string {
  if (isIpAddress(name)) return name; // the usual case; what follows takes longer
  const ascii = HOSTNAME_REGEXP.test(name)
    ? name
    : INTERNATIONAL_REGEXP.test(name) && URL.parse(`http://${name}`)?.hostname;
  if (!ascii || !HOSTNAME_REGEXP.test(ascii)) {
    throw invalid(text, `"${name}" is not a host name`);
  }
  if (NUMERIC_REGEXP.test(ascii)) {
    // Resolvers read "127.1", "0x7f000001" and "0" as IPv4 too: too surprising.
    throw invalid(
      text,
      `"${name}" is not an IPv4 address: four numbers from 0 to 255`,
    );
  }
  if (ascii.length > MAX_HOSTNAME_LENGTH) {
    throw invalid(
      text,
      `a host name has at most ${MAX_HOSTNAME_LENGTH} characters, not ${ascii.length}`,
    );
  }
  return ascii;
}

function parseIpv6(text: string, host: string): string {
  const [address, ...zones] = host.split("%");
  // The URL parser would pass over tabs and line ends.
  if (!/^[\da-f.:]+$/i.test(address) || !URL.canParse(`http://[${address}]`)) {
    throw invalid(text, `"${address}" is not an IPv6 address`);
  }
  const zone = zones.join("%");
  if (zones.length > 0 && !ZONE_REGEXP.test(zone)) {
    throw invalid(
      text,
      `"${zone}" is not a zone, as in "[fe80::1%eth0]:1234"`,
    );
  }
  const ip = canonicalIp(address);
  return zone && ip.includes(":") ? `${ip}%${zone}` : ip;
}

/**
 * Gives an IPv6 address its one shortest form, which the URL parser writes, and
 * one that maps an IPv4 address (`::ffff:a.b.c.d`) that address.
 */
function canonicalIp(address: string): string {
  const shortest = URL.parse(`http://[${address}]`)?.hostname.slice(1, -1);
  const mapped = /^::ffff:([\da-f]+):([\da-f]+)$/.exec(shortest ?? "");
  if (mapped === null) return shortest ?? address;
  const [high, low] = mapped.slice(1).map((digits) => parseInt(digits, 16));
  return [high >> 8, high & 255, low >> 8, low & 255].join(".");
}
