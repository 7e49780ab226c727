/** Which peers are heard. */
import { assertEquals, assertThrows } from "@std/assert";
import { peerFilter } from "../../lib/peer_filter.ts";

// What is asked for, who sends, whether that is heard.
const PEERS: [string[], string, number, boolean][] = [
  [[], "10.0.0.1", 5000, true],
  [["10.0.0.1"], "10.0.0.1", 5000, true],
  [["10.0.0.1"], "10.0.0.2", 5000, false],
  [["10.0.0.1:5000"], "10.0.0.1", 5000, true],
  [["10.0.0.1:5001"], "10.0.0.1", 5000, false],
  [["10.0.0.2", "10.0.0.1"], "10.0.0.1", 5000, true],
  [["10.0.0.1"], "::ffff:10.0.0.1", 5000, true],
  [["[::ffff:10.0.0.1]"], "10.0.0.1", 5000, true],
  [["[::1]:5000"], "::1", 5000, true],
  [["[0:0:0:0:0:0:0:1]"], "::1", 5000, true],
  [["[FE80::A%eth0]"], "fe80::a", 5000, true],
];
for (const [texts, hostname, port, expected] of PEERS) {
  Deno.test(`peerFilter(${texts}) ${expected ? "hears" : "ignores"} ${hostname} ${port}`, () => {
    const peer = { transport: "udp" as const, hostname, port };
    assertEquals(peerFilter(texts)(peer), expected);
  });
}

for (const text of ["localhost", "tcp://10.0.0.1", "::1", ""]) {
  Deno.test(`peerFilter() refuses ${JSON.stringify(text)}`, () => {
    assertThrows(() => peerFilter([text]), SyntaxError);
  });
}
