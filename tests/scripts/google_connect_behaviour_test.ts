/** google_connect.ts as a whole process: which address it tries when, and what becomes of the others. */
import { assert, assertEquals, assertMatch } from "@std/assert";
import { installed } from "../support/helpers.ts";
import {
  canMakeNetworks,
  inNetworks,
  runInNetwork,
} from "../support/small_network.ts";

const SCRIPT = "google_connect.ts";
const WWW = "www.example.test";

Deno.test("google_connect.ts tries IPv6 and IPv4 by turns", {
  ...inNetworks,
}, async () => {
  const network = {
    zone: {
      [WWW]: {
        A: ["127.0.0.1", "127.0.0.2", "127.0.0.3"],
        AAAA: ["fd00::1", "fd00::2", "fd00::3"],
      },
    },
    setup: [1, 2, 3].map((i) => `ip addr add fd00::${i}/128 dev lo nodad`),
  };
  // With nobody there all of them are tried, in this order.
  const { code, stderr } = await runInNetwork(network, SCRIPT, [WWW]);
  assertEquals(code, 1);
  const tried = [...stderr.matchAll(/(\[fd00::\d\]|127\.0\.0\.\d):80/g)]
    .map(([, address]) => address);
  assertEquals(tried.length, 6, stderr);
  assertEquals(new Set(tried).size, 6, stderr);
  const families = tried.map((address) => address.startsWith("[") ? 6 : 4);
  for (let i = 1; i < families.length; i++) {
    assert(families[i] !== families[i - 1], stderr);
  }
});

Deno.test(
  "google_connect.ts lists IPv6 and IPv4 addresses by turns when the first one wins",
  {
    ...inNetworks,
  },
  async () => {
    const network = {
      zone: {
        [WWW]: { A: ["127.0.0.1", "127.0.0.2"], AAAA: ["::1", "fd00::2"] },
      },
      web: ["::1", "127.0.0.1", "127.0.0.2"],
    };
    const { code, stdout } = await runInNetwork(network, SCRIPT, [WWW]);
    assertEquals(code, 0);
    const listed = [...stdout.matchAll(/^ {2}(\S+):80 /gm)].map(([, it]) => it);
    assertEquals(listed.length, 4, stdout);
    const families = listed.map((address) => address.startsWith("[") ? 6 : 4);
    for (let i = 1; i < families.length; i++) {
      assert(families[i] !== families[i - 1], stdout);
    }
  },
);

Deno.test(
  "google_connect.ts lets go of an address at once when another one has won",
  {
    ...inNetworks,
    ignore: !canMakeNetworks || !installed("python3", "--version"),
  },
  async () => {
    const server = new URL("../support/python/late_loser.py", import.meta.url);
    const network = {
      zone: { [WWW]: { A: ["127.0.0.1", "127.0.0.2"] } },
      setup: [`python3 ${server.pathname} 127.0.0.1 127.0.0.2`],
    };
    const args = [WWW, "--timeout", "8s"];
    const { code, stdout, stderr } = await runInNetwork(network, SCRIPT, args);
    assertEquals(code, 0, stderr);
    assertMatch(stdout, /^ {2}127\.0\.0\.2:80 .*it won$/m);
    // The first one has let the script in by now, if it still wanted to come.
    assertMatch(stderr, /^(closed 0\.\d+\n)*left open: 0\n$/);
  },
);

Deno.test("google_connect.ts finds nobody when it would meet itself", {
  ...inNetworks,
}, async () => {
  const range = "net.ipv4.ip_local_port_range=40000 40001";
  const network = { zone: {}, setup: [`sysctl -qw "${range}"`] };
  for (const place of ["127.0.0.1:40000", "[::1]:40001"]) {
    for (const args of [[place], [place, "--all"]]) {
      const { code, stderr } = await runInNetwork(network, SCRIPT, args);
      assertMatch(stderr, /: nobody listens there \(connection refused\)\n$/);
      assertEquals(code, 1);
    }
  }
});
