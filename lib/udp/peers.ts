/**
 * Whom a receiver hears and answers: `peerFilter`, multicast groups (reading
 * them, where to bind for them, joining them), and `EchoGuard`.
 *
 * @module
 */
import { type NetAddress, parseAddress } from "../address.ts";
import { describeError } from "../tcp/errors.ts";

/** Lets in these addresses, of any port or one, and networks; or everybody. */
export function peerFilter(texts: string[]): (peer: Deno.NetAddr) => boolean {
  if (texts.length === 0) return () => true;
  const wanted = texts.map((text) => {
    const [, place, length] = /^(.*?)(?:\/(\d+))?$/s.exec(text)!;
    const bare = /^[^[]*:[^/]*:/.test(place);
    const address = parseAddress(bare ? `[${place}]` : place, { port: 0 });
    const { hostname = "", port = 0 } = address as Partial<NetAddress>;
    // What comes carries addresses, so a name would never match.
    const bits = /^[\d.]+$|:/.test(hostname) ? bitsOf(hostname) : "";
    const end = length === undefined ? bits.length : 2 + Number(length);
    if (bits && end <= bits.length) return { bits: bits.slice(0, end), port };
    throw new SyntaxError(
      `Cannot hear "${text}" only: it must be an IP address, as in 10.0.0.1 or [::1]:5000, or a network, as in 10.0.0.0/8`,
    );
  });
  // Most peers are the one of the call before.
  let [last, bits] = ["", ""];
  return ({ hostname, port }) => {
    if (hostname !== last) [last, bits] = [hostname, bitsOf(hostname)];
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

/** A group, and on which interface: an IPv4 address of it, an IPv6 number. */
export interface Group {
  hostname: string;
  on: string;
}

/** Tells whether an address is that of a group. */
export function isMulticast(hostname: string): boolean {
  return /^(22[4-9]|23\d)(\.\d+){3}$|^ff[\da-f]{2}:/i.test(hostname);
}

/** Reads `239.1.2.3`, `239.1.2.3@10.0.0.1`, `ff02::1`, `[ff02::1]@2`. */
export function parseGroup(text: string): Group {
  const [group, name] = text.split(/@(.*)/s);
  const bare = group.includes(":") && !group.startsWith("[");
  const address = parseAddress(bare ? `[${group}]` : group, { port: 0 });
  const { hostname } = address as NetAddress;
  const [anyInterface, form] = hostname.includes(":")
    ? ["0", /^\d{1,9}$/]
    : ["0.0.0.0", /^\d{1,3}(\.\d{1,3}){3}$/];
  // By an address Deno cannot find it; the loopback interface is always 1.
  const on = (name ?? anyInterface).replace(/^::1$/, "1");
  if (isMulticast(hostname) && form.test(on)) return { hostname, on };
  throw new SyntaxError(
    `Cannot join "${text}": a group is an address from 224.0.0.0 to 239.255.255.255 or in ff00::/8, and after @ its interface is an address of it or, for IPv6, its number (\`ip address\` shows them), as in 239.1.2.3@10.0.0.1 or ff02::1@2`,
  );
}

/**
 * Finds out where to bind a socket that shall hear groups: to the group itself,
 * or it hears everybody, if there is but one and the system can. Windows
 * cannot, and none can for groups of a link (`ff02::`).
 */
export function addressForGroups(
  address: NetAddress,
  groups: readonly Group[],
  os: string = Deno.build.os,
): NetAddress {
  const all = /^(0\.0\.0\.0|::)$/.test(address.hostname);
  if (groups.length === 0 || all) return address;
  // The same group may be joined on several interfaces.
  const [hostname, ...others] = new Set(groups.map((group) => group.hostname));
  const bindable = os !== "windows" && !/^ff.[12]:/.test(hostname);
  if (others.length === 0 && bindable) return { ...address, hostname };
  return { ...address, hostname: hostname.includes(":") ? "::" : "0.0.0.0" };
}

/** Joins a group: what is sent to it is heard from now on. */
export async function joinGroup(
  socket: Deno.DatagramConn,
  { hostname, on }: Group,
): Promise<void> {
  try {
    if (!hostname.includes(":")) await socket.joinMulticastV4(hostname, on);
    else await socket.joinMulticastV6(hostname, Number(on));
  } catch (error) {
    const why =
      `no interface has that address or number, it has been joined there already, or the socket is bound to the other version of IP (${
        (error as Error).message
      })`;
    throw describeError(error, `join ${hostname} on ${on}`, "", why);
  }
}

/** How often equal datagrams of one peer are answered before one is not. */
const ANSWERS = 32;
/** How many different datagrams are remembered. */
const REMEMBERED = 4096;

/**
 * Decides what is answered: not its own address, nor a service that answers
 * anything. A peer that echoes on another port looks like a person who repeats
 * "hello". So of equal datagrams of one peer 32 are answered, and then one is
 * not, which ends a loop of it; a peer that is no echo misses one in 33.
 */
export class EchoGuard {
  /** How often each was answered, the least recent first. */
  #answered = new Map<string, number>();

  constructor(readonly own: Deno.NetAddr) {}

  /** Says why a datagram must not be answered, or takes note that it is. */
  objection(payload: Uint8Array, peer: Deno.NetAddr): string | undefined {
    const { hostname, port } = peer;
    // echo, daytime, qotd and chargen
    if ([7, 13, 17, 19].includes(port)) return `port ${port} answers anything`;
    // Bound to all addresses, it has those of the loopback for certain.
    const isOwn = hostname === this.own.hostname ||
      /^(0\.0\.0\.0|::)$/.test(this.own.hostname) &&
        /^(::ffff:)?127\.|^::1$/.test(hostname);
    if (port === this.own.port && isOwn) return "it is its own address";
    // FNV-1a, 32 bits: equal for equal payloads.
    let hash = 0x811c9dc5;
    for (const byte of payload) hash = Math.imul(hash ^ byte, 0x01000193);
    const key = `${hostname} ${port} ${payload.length} ${hash}`;
    const answers = this.#answered.get(key) ?? 0;
    this.#answered.delete(key);
    if (answers === ANSWERS) {
      return `${ANSWERS} equal ones were answered, and where the peer echoes too, that would never end`;
    }
    this.#answered.set(key, answers + 1);
    const [oldest] = this.#answered.keys();
    if (this.#answered.size > REMEMBERED) this.#answered.delete(oldest);
  }
}
