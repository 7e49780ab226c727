/** What a network does to datagrams, done on purpose and counted exactly. */
import { assert, assertEquals, assertMatch } from "@std/assert";
import { readNumbers } from "../support/bytes.ts";
import { COPIES, run, type Running } from "../support/helpers.ts";
import { start, within } from "../support/helpers.ts";
import { Namespace } from "../support/small_network.ts";
import { Udp } from "../support/sockets.ts";
import { has, needs } from "../support/system.ts";

/** It takes root, `ip` and, where a rule shall drop something, `nft`. */
function namespacesWork(...commands: string[][]): boolean {
  if (!has("linux")) return false;
  if (COPIES) return false; // which count nothing
  try {
    using namespace = new Namespace();
    for (const command of commands) namespace.run(...command);
    return true;
  } catch {
    return false;
  }
}

interface Counted {
  received: number;
  lost: number;
  duplicated: number;
  reordered: number;
}

/** What a receiver with --stats --json has said at its end. */
function statsIn(stderr: string): Counted {
  const records = stderr.trim().split("\n").map((line) => JSON.parse(line));
  const { received, lost, duplicated, reordered } = records.find(({ event }) =>
    event === "stats"
  );
  return { received, lost, duplicated, reordered };
}

async function portOf(receiver: Running): Promise<number> {
  const said = await receiver.stderr(/udp:\S+:\d+"/);
  return Number(/udp:\S+:(\d+)"/.exec(said)![1]);
}

const STATS = ["--stats", "--json"];
/** A receiver that counts what comes, in a namespace. */
function receiverIn(namespace: Namespace): Running {
  return namespace.script("udp_receiver.ts", "127.0.0.1:0", ...STATS);
}

const NUMBERED = ["--number", "--count", "2000", "--interval", "1ms"];

// One datagram in five; and all that a person would try to hide: the ends.
const RULES: [string, string][] = [
  ["20 % at random", "numgen random mod 100 < 20"],
  ["every fifth, the first among them", "numgen inc mod 5 == 0"],
  ["every fifth, the last among them", "numgen inc mod 5 == 4"],
];
for (const [name, condition] of RULES) {
  Deno.test({
    name: `udp_receiver.ts --stats counts what nftables drops, ${name}`,
    ...needs("linux"),
    ignore: !namespacesWork(["nft", "list", "ruleset"]),
    async fn() {
      using namespace = new Namespace();
      await using receiver = receiverIn(namespace);
      const port = await portOf(receiver);
      namespace.drop("input", `udp dport ${port} ${condition} counter`);
      await using sender = namespace.script(
        "udp_sender.ts",
        `127.0.0.1:${port}`,
        ...NUMBERED,
      );
      assertEquals((await sender.ended()).code, 0);
      receiver.process.kill("SIGINT");
      const { code, stderr } = await receiver.ended();
      const rules = namespace.run("nft", "list", "ruleset");
      const dropped = Number(/packets (\d+)/.exec(rules)![1]);
      assert(dropped > 200 && dropped < 600, `${dropped} dropped`);
      assertEquals(code, 0);
      assertEquals(statsIn(stderr), {
        received: 2000 - dropped,
        lost: dropped,
        duplicated: 0,
        reordered: 0,
      });
    },
  });
}

Deno.test({
  name: "udp_sender.ts goes on with a series when a firewall here drops some",
  ...needs("linux"),
  ignore: !namespacesWork(["nft", "list", "ruleset"]),
  async fn() {
    using namespace = new Namespace();
    await using receiver = receiverIn(namespace);
    const port = await portOf(receiver);
    namespace.drop("output", `udp dport ${port} numgen inc mod 3 == 1`);
    await using sender = namespace.script(
      "udp_sender.ts",
      `127.0.0.1:${port}`,
      ...["--number", "--count", "9", "--interval", "1ms"],
    );
    const { code, stderr } = await sender.ended();
    assertMatch(stderr, /^Sent 6 datagrams /m);
    assertMatch(stderr, /firewall/);
    assertEquals(code, 1);
    receiver.process.kill("SIGINT");
    const counted = statsIn((await receiver.ended()).stderr);
    // The rule drops the second, the fifth and the eighth.
    assertEquals(counted, {
      received: 6,
      lost: 3,
      duplicated: 0,
      reordered: 0,
    });
  },
});

const withFirewall = {
  ...needs("linux"),
  ignore: !namespacesWork(["nft", "list", "ruleset"]),
};
Deno.test(
  "udp_sender.ts prints answers when a firewall here drops some",
  withFirewall,
  async () => {
    using namespace = new Namespace();
    await using echo = namespace.script(
      "udp_receiver.ts",
      ...["127.0.0.1:0", "--echo"],
    );
    const to = `127.0.0.1:${await echo.port()}`;
    namespace.drop("output", `udp dport ${await echo.port()} udp length 10`);
    const messages = ["a", "bb", "c"];
    for (const options of [["--wait", "500ms"], ["--replies", "2"]]) {
      const args = [to, ...messages, ...options];
      await using sender = namespace.script("udp_sender.ts", ...args);
      const { code, stdout, stderr } = await sender.ended();
      assertEquals([code, stdout], [1, "ac"]);
      assertMatch(stderr, /^Sent 2 datagrams /m);
      assertMatch(stderr, /\nudp_sender: .*firewall.*\n$/);
    }
  },
);

for (
  const [which, condition, expected, lost] of [
    ["now and then", "numgen inc mod 2 == 0", 0, 0],
    ["always", "", 1, 8],
  ] as const
) {
  Deno.test(
    `udp_sender.ts says how many it has sent when a firewall here ${which} drops the last`,
    withFirewall,
    async () => {
      using namespace = new Namespace();
      await using receiver = receiverIn(namespace);
      const port = await portOf(receiver);
      namespace.drop("output", `udp dport ${port} udp length 28 ${condition}`);
      await using sender = namespace.script(
        "udp_sender.ts",
        ...[`127.0.0.1:${port}`, "hello", "--number", "--count", "9"],
        ...["--interval", "20s"],
      );
      await receiver.stdout("hello");
      sender.process.kill("SIGTERM");
      const { code, stderr } = await sender.ended();
      assertMatch(stderr, /^Sent 1 datagram /);
      assertEquals([code, stderr.includes("firewall")], [expected, !!expected]);
      receiver.process.kill("SIGINT");
      const counted = statsIn((await receiver.ended()).stderr);
      assertEquals(counted.lost, lost);
    },
  );
}

Deno.test(
  "udp_sender.ts says how many it has sent when the network goes",
  { ...needs("linux"), ignore: !namespacesWork() },
  async () => {
    using namespace = new Namespace();
    namespace.run("ip", "address", "add", "10.9.0.1/32", "dev", "lo");
    await using echo = namespace.script(
      "udp_receiver.ts",
      ...["0.0.0.0:0", "--echo"],
    );
    await using sender = namespace.script(
      "udp_sender.ts",
      ...[`10.9.0.1:${await echo.port()}`, "hello", "--number"],
      ...["--count", "999", "--interval", "50ms", "--wait", "100ms"],
    );
    await sender.stdout("hello");
    namespace.run("ip", "address", "del", "10.9.0.1/32", "dev", "lo");
    const { code, stderr } = await sender.ended();
    assertMatch(stderr, /^Sent \d+ datagrams? /m);
    assertMatch(stderr, /\nudp_sender: .*\(network unreachable\)\n$/);
    assertEquals(code, 1);
  },
);

for (
  const [to, setup, message] of [
    ["[fe80::1]:81", "", "its zone is missing: an interface, as in %eth0"],
    ["[ff02::1]:81", "", "its zone is missing: an interface, as in %eth0"],
    [
      "10.9.0.1:81",
      "ip route add blackhole 10.9.0.1",
      "the system refuses that address, or its route leads nowhere",
    ],
  ]
) {
  Deno.test(
    `udp_sender.ts says why it cannot send to ${to} ${setup}`,
    { ...needs("linux"), ignore: !namespacesWork() },
    async () => {
      using namespace = new Namespace();
      if (setup) namespace.run(...setup.split(" "));
      await using sender = namespace.script("udp_sender.ts", to, "hi");
      const { code, stderr } = await sender.ended();
      assertEquals(
        [code, stderr],
        [1, `udp_sender: Cannot send to udp://${to}: ${message}\n`],
      );
    },
  );
}

Deno.test(
  "udp_sender.ts and udp_receiver.ts say so when all ports are in use",
  { ...needs("linux"), ignore: !namespacesWork() },
  async () => {
    using namespace = new Namespace();
    const [range, two] = ["net.ipv4.ip_local_port_range", "40000 40001"];
    namespace.run("sysctl", "-q", "-w", `${range}=${two}`);
    await using ended = new AsyncDisposableStack();
    for (const port of two.split(" ")) {
      const place = `0.0.0.0:${port}`;
      const receiver = namespace.script("udp_receiver.ts", place);
      await ended.use(receiver).port();
    }
    for (
      const [script, ...args] of [
        ["udp_sender.ts", "127.0.0.1:9", "hi"],
        ["udp_receiver.ts", "127.0.0.1:0"],
      ]
    ) {
      await using running = namespace.script(script, ...args);
      const { code, stderr } = await running.ended();
      assertMatch(
        stderr,
        /^.*: Cannot listen .*:0: all its ports are in use\n$/,
      );
      assertEquals(code, 1);
    }
  },
);

Deno.test(
  "udp_receiver.ts --stats counts what a relay doubles and holds back",
  { ...needs("signals"), ignore: COPIES || !has("signals") },
  async () => {
    await using receiver = start("udp_receiver.ts", ["127.0.0.1:0", ...STATS]);
    const to = await portOf(receiver);
    using relay = new Udp();
    const expected = { received: 0, lost: 0, duplicated: 0, reordered: 0 };
    const came = new Set<number>();
    const relaying = (async () => {
      let held: { payload: Uint8Array; for: number } | undefined;
      const forward = async (payload: Uint8Array) => {
        await relay.send(payload, to);
        came.add(readNumbers(payload).sequence);
      };
      for (;;) {
        const { payload } = await relay.receive();
        if (payload.length === 0) break;
        const { sequence } = readNumbers(payload);
        if (held === undefined && sequence % 7 === 3 && sequence < 1900) {
          held = { payload: payload.slice(), for: 1 + sequence % 4 };
          continue;
        }
        await forward(payload);
        if (sequence % 10 === 0) {
          await forward(payload);
          expected.duplicated++;
        }
        if (held !== undefined && --held.for === 0) {
          await forward(held.payload);
          expected.reordered++;
          held = undefined;
        }
      }
    })();
    const through = `127.0.0.1:${relay.address.port}`;
    const { code } = await run("udp_sender.ts", [through, ...NUMBERED]);
    assertEquals(code, 0);
    await relay.send(new Uint8Array(0), relay.address);
    await within(relaying);
    // All of it has been read when the last of it is printed: 44 bytes each.
    const size = 44 * (came.size + expected.duplicated);
    await receiver.stdout(new RegExp(`^.{${size}}$`));
    receiver.process.kill("SIGINT");
    const { stderr } = await receiver.ended();
    expected.received = came.size;
    expected.lost = 2000 - came.size;
    assert(expected.duplicated > 100 && expected.reordered > 100);
    assertEquals(statsIn(stderr), expected);
  },
);

const IPV6_GROUP_ROUTE = [
  ..."ip -6 route add local ff00::/8 dev lo table local".split(" "),
];
for (const group of ["ff15::1234", "ff02::1234"]) {
  Deno.test({
    name: `udp_receiver.ts hears the IPv6 group ${group}`,
    ...needs("linux"),
    ignore: COPIES || !namespacesWork(IPV6_GROUP_ROUTE),
    async fn() {
      using namespace = new Namespace();
      namespace.run(...IPV6_GROUP_ROUTE);
      const join = ["--join", `[${group}]@::1`, "--count", "1"];
      await using ended = new AsyncDisposableStack();
      // Bound to the group, where that can be, and to all addresses.
      const receivers = [":5000", "[::]:5000"].map((place) =>
        ended.use(namespace.script("udp_receiver.ts", place, ...join))
      );
      for (const receiver of receivers) await receiver.port();
      const args = [`[${group}]:5000`, "hello", "--bind", "[::1]"];
      await using sender = namespace.script("udp_sender.ts", ...args);
      await sender.ended();
      for (const receiver of receivers) {
        assertEquals((await receiver.ended()).stdout, "hello");
      }
    },
  });
}
