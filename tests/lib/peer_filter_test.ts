/** Which peers are let in. */
import { assertEquals, assertThrows } from "@std/assert";
import { peerFilter } from "../../lib/tcp/peer_filter.ts";

// What is asked for, who comes, whether that one is let in.
const PEERS: [string[], string, number, boolean][] = [
  [[], "10.0.0.1", 5000, true],
  [["10.0.0.1"], "10.0.0.1", 5000, true],
  [["10.0.0.1"], "10.0.0.2", 5000, false],
  [["10.0.0.1:5000"], "10.0.0.1", 5000, true],
  [["10.0.0.1:5001"], "10.0.0.1", 5000, false],
  [["udp://10.0.0.1:5000"], "10.0.0.1", 5000, true],
  [["10.0.0.2", "10.0.0.1"], "10.0.0.1", 5000, true],
  [["10.0.0.1"], "::ffff:10.0.0.1", 5000, true],
  [["[::ffff:10.0.0.1]"], "10.0.0.1", 5000, true],
  [["[::1]:5000"], "::1", 5000, true],
  [["::1"], "::1", 5000, true],
  [["[0:0:0:0:0:0:0:1]"], "::1", 5000, true],
  [["[::1]"], "0.0.0.1", 5000, false],
  [["[FE80::A]"], "fe80::a", 5000, true],
  [["[fe80::a]"], "fe80::a%2", 5000, true],
  [["10.0.0.0/8"], "10.255.0.1", 5000, true],
  [["10.0.0.0/8"], "11.0.0.1", 5000, false],
  [["10.0.0.0/8"], "::ffff:10.1.2.3", 5000, true],
  [["10.1.2.3/8"], "10.255.0.1", 5000, true],
  [["10.64.0.0/10"], "10.127.255.255", 5000, true],
  [["10.64.0.0/10"], "10.128.0.0", 5000, false],
  [["10.0.0.1/32"], "10.0.0.1", 5000, true],
  [["10.0.0.1/32"], "10.0.0.2", 5000, false],
  [["0.0.0.0/0"], "203.0.113.9", 5000, true],
  [["0.0.0.0/0"], "::1", 5000, false],
  [["fd00::/8"], "fdff::1", 5000, true],
  [["fd00::/8"], "fe80::1", 5000, false],
  [["[fd00::]/8"], "fdff::1", 5000, true],
  [["2001:db8::/33"], "2001:db8:7fff::1", 5000, true],
  [["2001:db8::/33"], "2001:db8:8000::1", 5000, false],
  [["::/0"], "1:2:3:4:5:6:7:8", 5000, true],
  [["::/0"], "10.0.0.1", 5000, false],
  [["::1/128"], "::1", 5000, true],
  [["::1/128"], "::2", 5000, false],
];
for (const [texts, hostname, port, expected] of PEERS) {
  Deno.test(`peerFilter(${texts}) ${expected ? "lets in" : "keeps out"} ${hostname} ${port}`, () => {
    const peer = { transport: "udp" as const, hostname, port };
    assertEquals(peerFilter(texts)(peer), expected);
  });
}

Deno.test("peerFilter() tells one peer from the one before", () => {
  const passes = peerFilter(["10.0.0.1", "[::1]:80"]);
  const peers: [string, number, boolean][] = [
    ["10.0.0.1", 1, true],
    ["10.0.0.2", 1, false],
    ["10.0.0.1", 2, true],
    ["::1", 80, true],
    ["::1", 81, false],
  ];
  for (const [hostname, port, expected] of peers) {
    assertEquals(passes({ transport: "tcp", hostname, port }), expected);
  }
});

const BAD_PEERS: [string, string][] = [
  ["localhost", "it must be an IP address"],
  ["localhost/8", "it must be an IP address"],
  ["unix:socket", "it must be an IP address"],
  ["", "it names no host"],
  ["10.0.0.0/33", "or a network, as in 10.0.0.0/8"],
  ["::/129", "or a network, as in 10.0.0.0/8"],
  ["10.0.0.0/", "neither a host name nor an IPv4 address"],
  ["10.0.0.0/x", "neither a host name nor an IPv4 address"],
  ["10.0.0.0/8:80", "neither a host name nor an IPv4 address"],
  ["10.0.0.0/8/8", "neither a host name nor an IPv4 address"],
  ["/8", "it names no host"],
  ["fe80::a%eth0", "a zone such as %eth0 must be left out"],
  ["[fe80::a%eth0]:80", "a zone such as %eth0 must be left out"],
  ["fe80::%1/10", "a zone such as %eth0 must be left out"],
];
for (const [text, message] of BAD_PEERS) {
  Deno.test(`peerFilter() refuses ${JSON.stringify(text)}`, () => {
    assertThrows(() => peerFilter([text]), SyntaxError, message);
  });
}
