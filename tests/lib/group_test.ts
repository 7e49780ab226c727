/** Multicast groups as text, and where to bind for them. */
import { assertEquals, assertThrows } from "@std/assert";
import {
  bindToGroups,
  type Group,
  isMulticast,
  parseGroup,
} from "../../lib/udp/group.ts";

const GROUPS: [string, Group][] = [
  ["239.1.2.3", { hostname: "239.1.2.3", on: "0.0.0.0" }],
  ["224.0.0.1@10.0.0.1", { hostname: "224.0.0.1", on: "10.0.0.1" }],
  ["ff02::1", { hostname: "ff02::1", on: "0" }],
  ["[ff02::1]", { hostname: "ff02::1", on: "0" }],
  ["ff02::1@2", { hostname: "ff02::1", on: "2" }],
  ["[FF15::7]@::1", { hostname: "ff15::7", on: "1" }],
];
for (const [text, group] of GROUPS) {
  Deno.test(`parseGroup() reads ${text}`, () => {
    assertEquals(parseGroup(text), group);
  });
}

const BAD_GROUPS: [string, string][] = [
  ["10.0.0.1", "a group is an address from 224.0.0.0"],
  ["240.0.0.1", "a group is an address from 224.0.0.0"],
  ["fe80::1", "a group is an address from 224.0.0.0"],
  ["all.example", "a group is an address from 224.0.0.0"],
  ["239.1.2", "nor an IPv4 address"],
  ["ff02::1@10.0.0.1", "after @ its interface is"],
  ["ff02::1@eth0", "after @ its interface is"],
  ["ff02::1@4294967297", "after @ its interface is"],
  ["ff02::1%lo", "after @ its interface is"],
  ["[ff02::1%lo]@1", "after @ its interface is"],
  ["239.1.2.3@999.1.1.1", "after @ its interface is"],
  ["239.1.2.3@10.0.0.256", "after @ its interface is"],
  ["239.1.2.3@10.0.0.01", "after @ its interface is"],
  ["239.1.2.3@10.0.0", "after @ its interface is"],
  ["239.1.2.3@10.0.0.1.", "after @ its interface is"],
  ["239.1.2.3@z", "after @ its interface is"],
  ["239.1.2.3@eth0", "after @ its interface is"],
  ["239.1.2.3@::1", "after @ its interface is"],
  ["239.1.2.3@", "after @ its interface is"],
  ["239.1.2.3@10.0.0.1@x", "after @ its interface is"],
  ["", "it names no host"],
];
for (const [text, message] of BAD_GROUPS) {
  Deno.test(`parseGroup() refuses ${JSON.stringify(text)}`, () => {
    assertThrows(() => parseGroup(text), SyntaxError, message);
  });
}

for (
  const [hostname, expected] of [
    ["223.255.255.255", false],
    ["224.0.0.0", true],
    ["239.255.255.255", true],
    ["240.0.0.0", false],
    ["ff01::1", true],
    ["ffff::", true],
    ["feff::1", false],
    ["ff.example", false],
  ] as const
) {
  Deno.test(`isMulticast() is ${expected} for ${hostname}`, () => {
    assertEquals(isMulticast(hostname), expected);
  });
}

const ONE = ["239.1.2.3"];
const TWO = [...ONE, "239.1.2.4"];
const TWICE = [...ONE, "239.1.2.3@127.0.0.1"];
const SIX = ["ff15::1"];
const LINK = ["ff02::1"];
// Asked for, groups, system, bound.
const BOUND: [string, string[], string, string][] = [
  ["127.0.0.1", [], "linux", "127.0.0.1"],
  ["127.0.0.1", ONE, "linux", "239.1.2.3"],
  ["127.0.0.1", TWO, "linux", "0.0.0.0"],
  ["127.0.0.1", TWICE, "linux", "239.1.2.3"],
  ["127.0.0.1", ONE, "windows", "0.0.0.0"],
  ["0.0.0.0", ONE, "linux", "0.0.0.0"],
  ["127.0.0.1", SIX, "darwin", "ff15::1"],
  ["127.0.0.1", LINK, "linux", "::"],
  ["::", SIX, "linux", "::"],
  ["::1", SIX, "windows", "::"],
  ["239.1.2.3", [], "linux", "239.1.2.3"],
  ["239.1.2.3", [], "windows", "0.0.0.0"],
];
for (const [hostname, texts, os, expected] of BOUND) {
  Deno.test(`bindToGroups() binds to ${expected} for ${hostname} and ${texts} on ${os}`, () => {
    const address = { transport: "udp" as const, hostname, port: 80 };
    const bound = { address, shared: false };
    const groups = bindToGroups(bound, texts, os);
    assertEquals(bound.address, { ...address, hostname: expected });
    assertEquals(bound.shared, groups.length > 0);
    const own = hostname.startsWith("239.") ? [hostname] : [];
    assertEquals(groups, [...texts, ...own].map(parseGroup));
  });
}
