/**
 * Multicast: one datagram to all who have joined a group. `udp.ts` is the way
 * in.
 *
 * @module
 */
import { type NetAddress, parseAddress } from "./address.ts";
import { reasonFor } from "./failure.ts";

/** Groups of one machine or link: without a zone no socket is bound to them. */
const LINK_SCOPE_REGEXP = /^ff.[12]:/i;

/** A multicast group, and where to join it. */
export interface Group {
  /** Address of the group: 224.0.0.0 to 239.255.255.255, or ff00::/8. */
  hostname: string;
  /**
   * The interface: for IPv4 an address that it has, for IPv6 its number. What
   * the system takes by itself is 0.0.0.0, and 0.
   */
  on: string | number;
}

/**
 * Tells whether an address is that of a multicast group.
 *
 * @param hostname The address, without brackets, or a name.
 * @returns Whether it is one.
 *
 * @example
 * ```ts
 * import { assert } from "@std/assert";
 *
 * assert(isMulticast("239.1.2.3") && isMulticast("ff02::1"));
 * assert(!isMulticast("10.1.2.3") && !isMulticast("fe80::1"));
 * ```
 */
export function isMulticast(hostname: string): boolean {
  return /^(22[4-9]|23\d)(\.\d+){3}$/.test(hostname) ||
    /^ff[\da-f]{2}:/i.test(hostname);
}

/**
 * Reads a group: `239.1.2.3`, `239.1.2.3@10.0.0.1`, `ff02::1`, `[ff02::1]@2`.
 *
 * @param text The group, and after `@` the interface: for IPv4 an address of
 * it, for IPv6 its number, where `::1` stands for the loopback's.
 * @returns The group.
 * @throws {SyntaxError} If the text is none; the message says why.
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 *
 * const group = { hostname: "239.1.2.3", on: "127.0.0.1" };
 * assertEquals(parseGroup("239.1.2.3@127.0.0.1"), group);
 * assertEquals(parseGroup("ff02::1"), { hostname: "ff02::1", on: 0 });
 * ```
 */
export function parseGroup(text: string): Group {
  const [address, on] = text.split("@");
  const hostname = hostnameOf(address);
  if (!isMulticast(hostname)) {
    throw new SyntaxError(
      `Cannot join "${text}": a group is an address from 224.0.0.0 to 239.255.255.255 or in ff00::/8, as in 239.1.2.3@10.0.0.1`,
    );
  }
  if (!hostname.includes(":")) {
    return { hostname, on: on === undefined ? "0.0.0.0" : hostnameOf(on) };
  }
  // By an address Deno cannot find it; the loopback interface is always 1.
  const number = on === undefined ? "0" : on === "::1" ? "1" : on;
  if (!/^\d+$/.test(number)) {
    throw new SyntaxError(
      `Cannot join "${text}": for IPv6 the interface is a number, as in ff02::1@2 (\`ip link\` shows it)`,
    );
  }
  return { hostname, on: Number(number) };
}

/**
 * Finds out where to bind a socket that shall hear groups.
 *
 * Bound to an address of one machine, it would hear no group; bound to all, it
 * hears everybody. So it is bound to the group itself, if there is but one and
 * the system can: Windows cannot, and none can for groups of a link (`ff02::`).
 *
 * @param address Where it would be bound without a group.
 * @param groups The groups.
 * @param os The system.
 * @returns Where to bind it.
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 *
 * const address = { transport: "udp", hostname: "127.0.0.1", port: 80 } as const;
 * const groups = [parseGroup("239.1.2.3")];
 * assertEquals(
 *   addressForGroups(address, groups, "linux"),
 *   { ...address, hostname: "239.1.2.3" },
 * );
 * assertEquals(
 *   addressForGroups(address, groups, "windows"),
 *   { ...address, hostname: "0.0.0.0" },
 * );
 * ```
 */
export function addressForGroups(
  address: NetAddress,
  groups: readonly Group[],
  os: string = Deno.build.os,
): NetAddress {
  const all = /^(0\.0\.0\.0|::)$/.test(address.hostname);
  if (groups.length === 0 || all) return address;
  const [{ hostname }] = groups;
  const bindable = os !== "windows" && !LINK_SCOPE_REGEXP.test(hostname);
  if (groups.length === 1 && bindable) return { ...address, hostname };
  return { ...address, hostname: hostname.includes(":") ? "::" : "0.0.0.0" };
}

/** Of an address without a port, with or without brackets. */
function hostnameOf(text: string): string {
  const bracketed = text.includes(":") && !text.startsWith("[");
  const address = parseAddress(bracketed ? `[${text}]` : text, { port: 0 });
  return "hostname" in address ? address.hostname : "";
}

/**
 * Joins a group.
 *
 * @param socket The socket that shall hear it.
 * @param group The group.
 * @returns The membership.
 * @throws {Error} If there is no such interface, or not that version of IP.
 *
 * @example
 * ```ts
 * const socket = Deno.listenDatagram({
 *   transport: "udp",
 *   hostname: "0.0.0.0",
 *   port: 0,
 * });
 * const membership = await joinGroup(socket, parseGroup("239.1.2.3@127.0.0.1"));
 * await membership.leave();
 * socket.close();
 * ```
 */
export async function joinGroup(
  socket: Deno.DatagramConn,
  { hostname, on }: Group,
): Promise<Deno.MulticastV4Membership | Deno.MulticastV6Membership> {
  try {
    return typeof on === "string"
      ? await socket.joinMulticastV4(hostname, on)
      : await socket.joinMulticastV6(hostname, on);
  } catch (error) {
    // ENODEV on Linux, EADDRNOTAVAIL elsewhere.
    const missing = /os error 19\b/.test(`${error}`) ||
      error instanceof Deno.errors.AddrNotAvailable;
    const reason = missing
      ? "no interface has that address or number, or it does no multicast"
      : reasonFor(error);
    const message = `Cannot join ${hostname} on ${on}: ${reason}`;
    throw new Error(message, { cause: error });
  }
}
