/**
 * Socket addresses as text: `host:port`, `:port`, `port`, `[v6]:port`, with
 * `tcp://`, `tls://` or `udp://` before it, or `unix:/path`; and which
 * permission they need.
 *
 * @module
 */

/**
 * A host, a port, and what is spoken there. That is a stream (`tcp`), an
 * encrypted one (`tls`) or datagrams (`udp`). The host is a name, an IPv4
 * address, or an IPv6 address without brackets; port 0 is any free one.
 */
export type NetAddress = {
  transport: "tcp" | "tls" | "udp";
  hostname: string;
  port: number;
};

/** Where a socket is bound or connected to, which may be in the file system. */
export type Address = NetAddress | { transport: "unix"; path: string };

const SCHEME = /^(?:(.*):\/\/)?(.*)$/s;
const HOST_PORT = /^(?:\[([^[\]]*)\]|([^[\]:]*))(?::([^:]*))?$/s;
const IPV4 = /^((25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)(\.(?!$)|$)){4}$/;
const HOST_NAME = /^(?!.*\.\.|.{254})\w(?:[\w.-]*[\w.])?$/;

/**
 * Reads an address.
 *
 * Host names stay names: nothing is looked up. An international name becomes
 * its ASCII form (RFC 5891), an IPv6 address its one shortest form (RFC 5952),
 * and one that stands for an IPv4 address (`::ffff:127.0.0.1`) that address.
 *
 * @param defaults What the text may leave out: a host (127.0.0.1), a transport
 * (tcp), and a port; without a port here the text must name one.
 * @throws {SyntaxError} If the text is not an address; the message says why.
 *
 * @example
 * ```ts
 * import { assertEquals, assertThrows } from "@std/assert";
 *
 * const loopback = { transport: "tcp" as const, hostname: "::1", port: 80 };
 * assertEquals(parseAddress("[::1]:80"), loopback);
 * assertEquals(parseAddress(":80", { hostname: "::1" }), loopback);
 * assertThrows(() => parseAddress("localhost"), SyntaxError, "port is missing");
 * ```
 */
export function parseAddress(
  text: string,
  defaults: Partial<NetAddress> = {},
): Address {
  const refuse = (mistake: unknown, why: string) => {
    if (!mistake) return;
    throw new SyntaxError(`Cannot parse address "${text}": ${why}`);
  };
  const [, path] = /^unix:(.*)$/s.exec(text) ?? [];
  refuse(path === "", 'the path is missing, as in "unix:/tmp/socket"');
  if (path) return { transport: "unix", path };
  const [, scheme = defaults.transport ?? "tcp", rest] = SCHEME.exec(text)!;
  const transport = scheme.toLowerCase() as NetAddress["transport"];
  const schemes = "the scheme must be tcp://, tls://, udp:// or unix:";
  const isKnown = /^(tcp|tls|udp)$/.test(transport);
  refuse(!isKnown, `${schemes}; or write "host:port" alone`);
  refuse(rest === "", "it names no host and no port");
  const parts = HOST_PORT.exec(/^\d+$/.test(rest) ? `:${rest}` : rest);
  refuse(!parts, 'an IPv6 address needs brackets, as in "[::1]:1234"');
  const [, ipv6, name, digits = defaults.port] = parts!;
  refuse(digits === undefined, `the port is missing, as in "${rest}:1234"`);
  const port = /^\d+$/.test(`${digits}`) ? Number(digits) : Infinity;
  refuse(port > 65_535, `the port must be 0 to 65535, not ${digits}`);
  const { hostname: usual = "127.0.0.1" } = defaults;
  if (name === "") return { transport, hostname: usual, port };
  const hostname = name ? asciiName(name) : canonicalIp(ipv6);
  const wrong = name
    ? `"${name}" is neither a host name nor an IPv4 address, four numbers from 0 to 255`
    : `"${ipv6}" is not an IPv6 address, as in "[fe80::1%eth0]:1234"`;
  refuse(!hostname, wrong);
  return { transport, hostname: hostname!, port };
}

/**
 * Writes an address so that {@linkcode parseAddress} reads it back as it was.
 *
 * Takes what Deno's sockets have as `localAddr` and `remoteAddr` too. A plain
 * TCP address has no scheme; an IPv4-mapped IPv6 address is shown as IPv4.
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 *
 * using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
 * assertEquals(formatAddress(listener.addr), `127.0.0.1:${listener.addr.port}`);
 * ```
 */
export function formatAddress(address: Address | Deno.Addr): string {
  if (!("hostname" in address)) {
    // The client's end of a unix socket mostly has no path.
    return `unix:${(address as { path?: string }).path ?? ""}`;
  }
  // A host of the name "unix" needs the scheme, or it would read as a path.
  const plain = address.transport === "tcp" && address.hostname !== "unix";
  const scheme = plain ? "" : `${address.transport}://`;
  return scheme + formatHostPort(address);
}

/**
 * Names the flags that Deno needs to listen on an address or to reach it, and
 * others, as they stand on a command line.
 *
 * Deno compares the text of the host, so `localhost` does not cover
 * `127.0.0.1`; a unix socket is a file as well, to be read and written.
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 *
 * assertEquals(permissionFor(parseAddress("tls://[::1]:80")), "--allow-net=[::1]:80");
 * ```
 */
export function permissionFor(
  address: Address,
  ...others: { hostname: string; port: number }[]
): string {
  if (address.transport === "unix") {
    const path = address.path.replace(/^(?!\/)/, () => `${Deno.cwd()}/`);
    return `--allow-net=unix:${path} --allow-read=${path} --allow-write=${path}`;
  }
  const places = [address, ...others].map(formatHostPort).join();
  return `--allow-net=${places.replace(/%[^\]]*/g, "")}`; // Deno has no zones
}

function formatHostPort({ hostname, port }: Omit<NetAddress, "transport">) {
  const host = /^::ffff:/i.test(hostname) && canonicalIp(hostname) || hostname;
  return host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`;
}

/** Gives the ASCII form of a name, or an IPv4 address; else nothing. */
function asciiName(name: string): string | undefined {
  // Not "127.1" or "010.0.0.1". The URL parser takes 0.2 ms to load.
  if (/^[\d.]+$/.test(name)) return IPV4.test(name) ? name : undefined;
  if (!/^[\w.\x80-\uffff-]+$/.test(name)) return undefined;
  const ascii = URL.parse(`http://${name}`)?.hostname ?? "";
  // "0x7f000001" is an IPv4 address, too: too surprising.
  if (/^[\d.]+$/.test(ascii) || !HOST_NAME.test(ascii)) return undefined;
  return /^[\w.-]+$/.test(name) ? name : ascii;
}

/** Gives the shortest form of an IPv6 address, or the IPv4 address it maps. */
function canonicalIp(text: string): string | undefined {
  // The URL parser would skip tabs and line ends.
  const [, ip, zone = ""] = /^([\da-f.:]+)(%[\w.~-]+)?$/i.exec(text) ?? [];
  const shortest = URL.parse(`http://[${ip}]`)?.hostname.slice(1, -1);
  const mapped = /^::ffff:([\da-f]+):([\da-f]+)$/.exec(shortest ?? "");
  if (mapped === null) return shortest && shortest + zone;
  const [high, low] = mapped.slice(1).map((digits) => parseInt(digits, 16));
  return [high >> 8, high & 255, low >> 8, low & 255].join(".");
}
