/**
 * Which peers may come in: the filter behind `--from`.
 *
 * @module
 */
import { formatAddress, isIpAddress, parseAddress } from "./address.ts";

/**
 * Makes a filter from addresses (`10.0.0.1`, `[::1]:5000`) and networks
 * (`10.0.0.0/8`, `fd00::/8`). Without a port it lets every port of them in, and
 * with no text everybody.
 */
export function peerFilter(
  texts: readonly string[],
): (peer: Deno.NetAddr) => boolean {
  if (texts.length === 0) return () => true;
  const wanted = texts.map(parsePeers);
  // Most peers are the one of the call before.
  let [last, bits] = ["", ""];
  return ({ hostname, port }) => {
    if (hostname !== last) [last, bits] = [hostname, bitsOf(hostname)];
    return wanted.some((peers) =>
      bits.startsWith(peers.bits) && (peers.port === 0 || peers.port === port)
    );
  };
}

/** The bits that the addresses of peers begin with; and a port, 0 for any. */
function parsePeers(text: string): { bits: string; port: number } {
  const [place, length] = text.replace(/^(tcp|udp):\/\//, "").split(/\/(.*)/s);
  // A network of IPv6 has no port, so it needs no brackets.
  const bare = length !== undefined && /^[^[]*:.*:/.test(place);
  const address = parseAddress(bare ? `[${place}]` : place, { port: 0 });
  // What comes carries addresses, so a name would never match.
  if (!("hostname" in address) || !isIpAddress(address.hostname)) {
    throw new SyntaxError(
      `Cannot hear "${text}" only: it must be an IP address, as in 10.0.0.1 or [::1]:5000, or a network, as in 10.0.0.0/8`,
    );
  }
  const { hostname, port } = address;
  const bits = bitsOf(hostname);
  if (length === undefined) return { bits, port };
  const most = hostname.includes(":") ? 128 : 32;
  if (!/^\d+$/.test(length) || Number(length) > most) {
    throw new SyntaxError(
      `Cannot hear "${text}" only: after the slash stands a number from 0 to ${most}`,
    );
  }
  return { bits: bits.slice(0, 2 + Number(length)), port };
}

/** An IP address in zeros and ones, with its version before them. */
function bitsOf(hostname: string): string {
  // Reading it back gives it its one form: IPv4 also to an IPv6 socket's peer.
  const text = formatAddress({ transport: "tcp", hostname, port: 0 });
  const [address] = (parseAddress(text) as Deno.NetAddr).hostname.split("%");
  if (!address.includes(":")) {
    return `4 ${address.split(".").map((part) => binary(+part, 8)).join("")}`;
  }
  const [head, tail = []] = address.split("::").map((half) =>
    half.split(":").filter((group) => group !== "")
  );
  const zeros = Array(8 - head.length - tail.length).fill("0");
  const groups = [...head, ...zeros, ...tail];
  return `6 ${groups.map((group) => binary(+`0x${group}`, 16)).join("")}`;
}

function binary(number: number, digits: number): string {
  return number.toString(2).padStart(digits, "0");
}
