// `peerFilter`: which peers are heard or served (`--from`).
import { type NetAddress, parseAddress } from "../address.ts";

/** Lets in these addresses (any port, or one) and networks; if none, all. */
export function peerFilter(texts: string[]): (peer: Deno.NetAddr) => boolean {
  if (texts.length === 0) return () => true;
  const wanted = texts.map((text) => {
    const [, place, length] = /^(.*?)(?:\/(\d+))?$/s.exec(text)!;
    const bare = /^[^[]*:[^/]*:/.test(place);
    const address = parseAddress(bare ? `[${place}]` : place, { port: 0 });
    const { hostname = "", port = 0 } = address as Partial<NetAddress>;
    // Deno gives peers without their zones: one here would never match.
    const isKnown = /^[\d.]+$|^[^%]*:[^%]*$/.test(hostname);
    const bits = isKnown ? bitsOf(hostname) : "";
    const end = length === undefined ? bits.length : 2 + Number(length);
    if (bits && end <= bits.length) return { bits: bits.slice(0, end), port };
    throw new SyntaxError(
      `Cannot let in "${text}" only: it must be an IP address, as in 10.0.0.1 or [::1]:5000, or a network, as in 10.0.0.0/8; a zone such as %eth0 must be left out, since Deno does not tell it`,
    );
  });
  return ({ hostname, port }) => {
    const bits = bitsOf(hostname);
    return wanted.some((peers) =>
      bits.startsWith(peers.bits) && (peers.port === 0 || peers.port === port)
    );
  };
}

/** An IP address in zeros and ones, with its version before them. */
function bitsOf(hostname: string): string {
  // An IPv6 socket has an IPv4 peer as ::ffff:10.0.0.1.
  const [ip] = hostname.replace(/^::ffff:(?=.*\.)/, "").split("%");
  const [version, base, width] = ip.includes(":") ? [6, 16, 16] : [4, 10, 8];
  const zeros = "0:".repeat(8 - (ip.match(/\w+/g)?.length ?? 0));
  const parts = ip.replace("::", `:${zeros}`).match(/\w+/g)!
    .map((part) => parseInt(part, base).toString(2).padStart(width, "0"));
  return `${version} ${parts.join("")}`;
}
