/**
 * Which peers are heard.
 *
 * @module
 */
import { formatAddress } from "./address.ts";
import { parseUdpAddress } from "./udp.ts";

/**
 * Makes a filter of peers.
 *
 * @param texts Addresses that are heard, as `10.0.0.1` or `[::1]:5000`; without
 * a port, every port of them. None hears everybody.
 * @returns The filter.
 * @throws {SyntaxError} If a text is no address; a name is none, as what comes
 * carries addresses only.
 *
 * @example
 * ```ts
 * import { assert } from "@std/assert";
 *
 * const peer = { transport: "udp", hostname: "10.0.0.1", port: 5000 } as const;
 * const accept = peerFilter(["10.0.0.1", "[::1]:80"]);
 * assert(accept(peer) && !accept({ ...peer, hostname: "::1" }));
 * ```
 */
export function peerFilter(
  texts: readonly string[],
): (peer: Deno.NetAddr) => boolean {
  if (texts.length === 0) return () => true;
  const wanted = texts.map((text) => {
    const address = parseUdpAddress(text, { port: 0 });
    const hostname = canonical(address.hostname);
    if (/^[\d.]+$|:/.test(hostname)) return { ...address, hostname };
    throw new SyntaxError(
      `Cannot hear "${text}" only: it must be an IP address, as in 10.0.0.1 or [::1]:5000`,
    );
  });
  return (peer) => {
    // An IPv4 peer of an IPv6 socket has an address mapped into IPv6.
    const { hostname: unmapped } = parseUdpAddress(formatAddress(peer));
    const hostname = canonical(unmapped);
    return wanted.some((one) =>
      one.hostname === hostname && (one.port === 0 || one.port === peer.port)
    );
  };
}

/** The shortest form of an IPv6 address, of which there are many. */
function canonical(hostname: string): string {
  if (!hostname.includes(":")) return hostname;
  const [address] = hostname.split("%");
  return URL.parse(`http://[${address}]`)?.hostname.slice(1, -1) ?? address;
}
