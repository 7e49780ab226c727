/**
 * Socket addresses as text: `host:port`, `:port`, `port`, `[v6]:port`, with
 * `tcp://`, `tls://` or `udp://` before it, or `unix:/path`.
 *
 * ```ts
 * import { assertEquals } from "@std/assert";
 *
 * assertEquals(parseAddress("tls://example.com:443"), {
 *   transport: "tls",
 *   hostname: "example.com",
 *   port: 443,
 * });
 * ```
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
/** A last label that is a number makes every resolver think of IPv4. */
const NUMERIC_REGEXP = /(?:^|\.)(?:\d+|0x[0-9a-f]*)\.?$/i;
const ZONE_REGEXP = /^[\w.~-]+$/;
const MAX_HOSTNAME_LENGTH = 253;
const MAX_PORT = 65_535;

/**
 * Reads an address.
 *
 * Host names stay names: nothing is looked up. An IPv4-mapped IPv6 address
 * (`::ffff:127.0.0.1`, RFC 4291 2.5.5.2) becomes the IPv4 address that it
 * stands for, an international name its ASCII form (RFC 5891).
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
  const [scheme, rest] = splitScheme(text);
  const transport = scheme ?? defaults.transport ?? "tcp";
  const fallback = defaults.hostname ?? "127.0.0.1";

  if (rest === "") throw invalid(text, "it names no host and no port");
  if (DIGITS_REGEXP.test(rest)) {
    return { transport, hostname: fallback, port: parsePort(text, rest) };
  }
  const parts = HOST_PORT_REGEXP.exec(rest);
  if (parts === null) throw invalid(text, shapeProblem(rest));
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
 * assertEquals(
 *   permissionFor({ transport: "unix", path: "/tmp/chat" }),
 *   "--allow-net=unix:/tmp/chat --allow-read=/tmp/chat --allow-write=/tmp/chat",
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

function formatHostPort(
  { hostname, port }: { hostname: string; port: number },
) {
  const host = unmapIpv4(hostname);
  return host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`;
}

function invalid(text: string, reason: string): SyntaxError {
  return new SyntaxError(`Cannot parse address "${text}": ${reason}`);
}

function splitScheme(
  text: string,
): [NetAddress["transport"] | undefined, string] {
  const end = text.indexOf("://");
  if (end === -1) return [undefined, text];
  const given = text.slice(0, end).toLowerCase();
  const scheme = SCHEMES.find((name) => name === given);
  const rest = text.slice(end + "://".length);
  if (scheme === undefined || rest.includes("://")) {
    throw invalid(
      text,
      'the scheme must be tcp://, tls://, udp:// or unix:; or write "host:port" alone',
    );
  }
  return [scheme, rest];
}

/** What is wrong with a host and port, before either is looked at. */
function shapeProblem(rest: string): string {
  return rest.includes("[") || rest.includes("]")
    ? 'brackets go around an IPv6 address only, as in "[::1]:1234"'
    : 'an IPv6 address needs brackets, as in "[::1]:1234"';
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

/**
 * Tells whether a name is made of letters of any script. The expression is made
 * for the name: all the world's letters take a millisecond, and a script that
 * only starts has no such name.
 */
function isInternational(name: string): boolean {
  const letters = String.raw`\p{L}\p{M}\p{N}_`;
  return new RegExp(
    `^(?!.*\\.\\.)[${letters}](?:[${letters}.-]*[${letters}.])?$`,
    "u",
  ).test(name);
}

/** Four numbers from 0 to 255, without leading zeros, which mean octal to some. */
function isIpv4(name: string): boolean {
  const parts = name.split(".");
  return parts.length === 4 &&
    parts.every((part) => part === String(Number(part) & 255));
}

function parseHostname(text: string, name: string): string {
  if (isIpv4(name)) return name; // the usual case; what follows takes longer
  const ascii = HOSTNAME_REGEXP.test(name)
    ? name
    : isInternational(name)
    ? URL.parse(`http://${name}`)?.hostname
    : undefined;
  if (!ascii) throw invalid(text, `"${name}" is not a host name`);
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
  return unmapIpv4(host);
}

/** From `::ffff:a.b.c.d` or `::ffff:hhhh:hhhh` to `a.b.c.d`; all else stays. */
function unmapIpv4(hostname: string): string {
  if (!/:ffff:/i.test(hostname)) return hostname; // what follows takes longer
  // The URL parser writes every IPv6 address in its one shortest form.
  const canonical = URL.parse(`http://[${hostname}]`)?.hostname;
  const mapped = canonical?.match(/\[::ffff:([0-9a-f]+):([0-9a-f]+)\]/);
  if (!mapped) return hostname;
  const [high, low] = [parseInt(mapped[1], 16), parseInt(mapped[2], 16)];
  return [high >> 8, high & 255, low >> 8, low & 255].join(".");
}
