/**
 * Multicast groups: reading them, where to bind for them, joining them.
 *
 * @module
 */
import { type NetAddress, parseAddress } from "../address.ts";
import { describeError } from "../tcp/errors.ts";

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
