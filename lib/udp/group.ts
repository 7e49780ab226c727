// Multicast groups: reading one, where to bind for them, and joining.
import { type NetAddress, parseAddress } from "../address.ts";
import { describeError } from "../tcp/errors.ts";

/** A group, and on which interface: an IPv4 address of it, an IPv6 number. */
export type Group = Record<"hostname" | "on", string>;

/** Tells whether an address is that of a group. */
export function isMulticast(hostname: string): boolean {
  return /^(22[4-9]|23\d)(\.\d+){3}$|^ff[\da-f]{2}:/i.test(hostname);
}

/** Reads `239.1.2.3`, `239.1.2.3@10.0.0.1`, `ff02::1`, `[ff02::1]@2`. */
export function parseGroup(text: string): Group {
  const [group, place] = text.split(/@(.*)/s);
  const bracketed = group.replace(/^[^[]*:.*/s, "[$&]");
  const { hostname } = parseAddress(bracketed, { port: 0 }) as NetAddress;
  const [anyInterface, form] = hostname.includes(":")
    ? ["0", /^\d{1,9}$/]
    : ["0.0.0.0", /^((25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)(\.(?!$)|$)){4}$/];
  // For IPv6 Deno takes only a number; the loopback interface is always 1.
  const on = (place ?? anyInterface).replace(/^::1$/, "1");
  const isGroup = isMulticast(hostname) && !hostname.includes("%");
  if (isGroup && form.test(on)) return { hostname, on };
  throw new SyntaxError(
    `Cannot join "${text}": a group is an address from 224.0.0.0 to 239.255.255.255 or in ff00::/8, and after @ its interface is an address of it or, for IPv6, its number (\`ip address\`, \`ifconfig\` or \`ipconfig\` shows them), as in 239.1.2.3@10.0.0.1 or ff02::1@2`,
  );
}

// Reads groups. Binds to the group itself if there is only one and the system
// can (not Windows, none for `ff02::`): else the socket hears everybody.
export function bindToGroups(
  bound: { address: NetAddress; shared: boolean },
  texts: string[],
  os: string = Deno.build.os,
): Group[] {
  const { hostname } = bound.address;
  const own = isMulticast(hostname) && texts.length === 0 ? [hostname] : [];
  const groups = [...texts, ...own].map(parseGroup);
  bound.shared = groups.length > 0;
  // The same group may be joined on several interfaces.
  const [group, other] = new Set(groups.map(({ hostname }) => hostname));
  if (!group || /^(0\.0\.0\.0|::)$/.test(hostname)) return groups;
  const bindable = !other && os !== "windows" && !/^ff.[12]:/.test(group);
  const any = group.includes(":") ? "::" : "0.0.0.0";
  bound.address = { ...bound.address, hostname: bindable ? group : any };
  return groups;
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
    throw describeError(error, `join ${hostname} on ${on}`, "");
  }
}
