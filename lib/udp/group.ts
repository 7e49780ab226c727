/**
 * Multicast: one datagram to all who have joined a group.
 *
 * @module
 */
import { isIpAddress, type NetAddress, parseAddress } from "../address.ts";
import { describeError } from "../tcp/errors.ts";

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
  const refusal = (reason: string) =>
    new SyntaxError(`Cannot join "${text}": ${reason}`);
  const [group, on] = text.split(/@(.*)/s);
  const bare = group.includes(":") && !group.startsWith("[");
  const address = parseAddress(bare ? `[${group}]` : group, { port: 0 });
  const { hostname } = address as NetAddress;
  if (!isMulticast(hostname)) {
    throw refusal(
      "a group is an address from 224.0.0.0 to 239.255.255.255 or in ff00::/8, as in 239.1.2.3@10.0.0.1",
    );
  }
  if (!hostname.includes(":")) {
    if (on === undefined) return { hostname, on: "0.0.0.0" };
    if (isIpAddress(on) && !on.includes(":")) return { hostname, on };
    throw refusal(
      "for IPv4 the interface is an address that it has, as in 239.1.2.3@10.0.0.1 (`ip address` shows it)",
    );
  }
  // By an address Deno cannot find it; the loopback interface is always 1.
  const number = on === undefined ? "0" : on === "::1" ? "1" : on;
  if (/^\d{1,9}$/.test(number)) return { hostname, on: Number(number) };
  throw refusal(
    "for IPv6 the interface is a number, as in ff02::1@2 (`ip link` shows it)",
  );
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
 * const bound = addressForGroups(address, groups, "linux");
 * assertEquals(bound, { ...address, hostname: "239.1.2.3" });
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
  // The same group may be joined on several interfaces.
  const alone = groups.every((group) => group.hostname === hostname);
  const bindable = os !== "windows" && !/^ff.[12]:/.test(hostname);
  if (alone && bindable) return { ...address, hostname };
  return { ...address, hostname: hostname.includes(":") ? "::" : "0.0.0.0" };
}

/** Why a group cannot be joined, by the system's code or number for it. */
const GROUP_REASONS: [RegExp, string][] = [
  // ENODEV on Linux, EADDRNOTAVAIL elsewhere.
  [
    /os error 19\b|NotAvailable/,
    "no interface has that address or number, or it does no multicast",
  ],
  [/EADDRINUSE/, "it has been joined there already"],
  [
    /ENOBUFS/,
    "the system lets a socket join no more groups; `sysctl net.ipv4.igmp_max_memberships` says how many",
  ],
  [
    /os error 92\b|EAFNOSUPPORT/,
    "the socket is bound to the other version of IP; one receiver hears groups of one",
  ],
];

/** Joins a group: what is sent to it is heard from now on. */
export async function joinGroup(
  socket: Deno.DatagramConn,
  { hostname, on }: Group,
): Promise<void> {
  try {
    if (typeof on === "string") await socket.joinMulticastV4(hostname, on);
    else await socket.joinMulticastV6(hostname, on);
  } catch (error) {
    const said = `${error} ${(error as { code?: string }).code}`;
    const known = GROUP_REASONS.find(([code]) => code.test(said));
    throw describeError(error, `join ${hostname} on ${on}`, "", known?.[1]);
  }
}
