/** Addresses: good ones, bad ones with the reason, round trips, and what real sockets report. */
import { assertEquals, assertInstanceOf, assertThrows } from "@std/assert";
import fc from "fast-check";
import {
  type Address,
  formatAddress,
  type NetAddress,
  parseAddress,
  permissionFor,
} from "../../lib/address.ts";
import { has, needs } from "../support/system.ts";

function tcp(hostname: string, port: number): NetAddress {
  return { transport: "tcp", hostname, port };
}

function tls(hostname: string, port: number): NetAddress {
  return { transport: "tls", hostname, port };
}

function udp(hostname: string, port: number): NetAddress {
  return { transport: "udp", hostname, port };
}

function unix(path: string): Address {
  return { transport: "unix", path };
}

const LONGEST_NAME = `${"a".repeat(62)}.`.repeat(4).slice(0, -1) + ".b"; // 253

/** The text, what it means, how it is written, and the flag it needs. */
const GOOD: [string, Address, string, string][] = [
  ["127.0.0.1:80", tcp("127.0.0.1", 80), "127.0.0.1:80", "127.0.0.1:80"],
  ["0.0.0.0:0", tcp("0.0.0.0", 0), "0.0.0.0:0", "0.0.0.0:0"],
  [
    "255.255.255.255:65535",
    tcp("255.255.255.255", 65_535),
    "255.255.255.255:65535",
    "255.255.255.255:65535",
  ],
  ["80", tcp("127.0.0.1", 80), "127.0.0.1:80", "127.0.0.1:80"],
  [":80", tcp("127.0.0.1", 80), "127.0.0.1:80", "127.0.0.1:80"],
  [":00080", tcp("127.0.0.1", 80), "127.0.0.1:80", "127.0.0.1:80"],
  ["tcp://80", tcp("127.0.0.1", 80), "127.0.0.1:80", "127.0.0.1:80"],
  ["udp://:53", udp("127.0.0.1", 53), "udp://127.0.0.1:53", "127.0.0.1:53"],
  ["localhost:1", tcp("localhost", 1), "localhost:1", "localhost:1"],
  ["Example.COM:1", tcp("Example.COM", 1), "Example.COM:1", "Example.COM:1"],
  [
    "example.com.:1",
    tcp("example.com.", 1),
    "example.com.:1",
    "example.com.:1",
  ],
  ["my_host-1:1", tcp("my_host-1", 1), "my_host-1:1", "my_host-1:1"],
  ["1.example:1", tcp("1.example", 1), "1.example:1", "1.example:1"],
  [
    `${LONGEST_NAME}:1`,
    tcp(LONGEST_NAME, 1),
    `${LONGEST_NAME}:1`,
    `${LONGEST_NAME}:1`,
  ],
  [
    "BÜCHER.example:1",
    tcp("xn--bcher-kva.example", 1),
    "xn--bcher-kva.example:1",
    "xn--bcher-kva.example:1",
  ],
  ["Ü:1", tcp("xn--tda", 1), "xn--tda:1", "xn--tda:1"],
  ["☃:1", tcp("xn--n3h", 1), "xn--n3h:1", "xn--n3h:1"],
  ["l·l.a:1", tcp("xn--ll-0ea.a", 1), "xn--ll-0ea.a:1", "xn--ll-0ea.a:1"],
  ["え。jp:1", tcp("xn--r8j.jp", 1), "xn--r8j.jp:1", "xn--r8j.jp:1"],
  ["tcp://a:1", tcp("a", 1), "a:1", "a:1"],
  ["A:1", tcp("A", 1), "A:1", "A:1"],
  ["tcp:1", tcp("tcp", 1), "tcp:1", "tcp:1"],
  ["TCP4-LISTEN:1", tcp("TCP4-LISTEN", 1), "TCP4-LISTEN:1", "TCP4-LISTEN:1"],
  ["udp-lb:1", tcp("udp-lb", 1), "udp-lb:1", "udp-lb:1"],
  ["TLS://a:443", tls("a", 443), "tls://a:443", "a:443"],
  ["udp://a:53", udp("a", 53), "udp://a:53", "a:53"],
  ["tcp://unix:80", tcp("unix", 80), "tcp://unix:80", "unix:80"],
  ["[::1]:80", tcp("::1", 80), "[::1]:80", "[::1]:80"],
  ["tls://[::]:0", tls("::", 0), "tls://[::]:0", "[::]:0"],
  [
    "[2001:DB8::7]:1",
    tcp("2001:db8::7", 1),
    "[2001:db8::7]:1",
    "[2001:db8::7]:1",
  ],
  [
    "[fe80::1%eth0]:1",
    tcp("fe80::1%eth0", 1),
    "[fe80::1%eth0]:1",
    "[fe80::1]:1",
  ],
  ["[::ffff:127.0.0.1]:1", tcp("127.0.0.1", 1), "127.0.0.1:1", "127.0.0.1:1"],
  ["[::FFFF:7f00:1]:1", tcp("127.0.0.1", 1), "127.0.0.1:1", "127.0.0.1:1"],
  ["[0:0:0:0:0:ffff:a00:1]:1", tcp("10.0.0.1", 1), "10.0.0.1:1", "10.0.0.1:1"],
  ["[::ffff:1]:1", tcp("::ffff:1", 1), "[::ffff:1]:1", "[::ffff:1]:1"],
  // An IPv4 address has no zones.
  ["[::ffff:a00:1%x]:1", tcp("10.0.0.1", 1), "10.0.0.1:1", "10.0.0.1:1"],
  // Not mapped: only the prefix ::ffff:0:0/96 is.
  ["[::127.0.0.1]:1", tcp("::7f00:1", 1), "[::7f00:1]:1", "[::7f00:1]:1"],
  [
    "[1:0:0:2:0:0:0:3]:1",
    tcp("1:0:0:2::3", 1),
    "[1:0:0:2::3]:1",
    "[1:0:0:2::3]:1",
  ],
  [
    "[::ffff:0:a00:1]:1",
    tcp("::ffff:0:a00:1", 1),
    "[::ffff:0:a00:1]:1",
    "[::ffff:0:a00:1]:1",
  ],
];

const GOOD_PATHS: [string, string][] = [
  ["unix:/tmp/chat", "/tmp/chat"],
  ["unix:///tmp/chat", "///tmp/chat"],
  ["unix:/tmp/a b:[80]\n", "/tmp/a b:[80]\n"],
  ["unix:80", "80"],
];

const NEEDS_BRACKETS = 'an IPv6 address needs brackets, as in "[::1]:1234"';
const SCHEME =
  'the scheme must be tcp://, tls://, udp:// or unix:; or write "host:port" alone';
const NO_PORT = "the port must be 0 to 65535, not ";

function neither(name: string): string {
  return `"${name}" is neither a host name nor an IPv4 address, four numbers from 0 to 255`;
}

function notIpv6(text: string): string {
  return `"${text}" is not an IPv6 address, as in "[fe80::1%eth0]:1234"`;
}

/** The text, and the reason that follows `Cannot parse address "…": `. */
const BAD: [string, string][] = [
  ["", "it names no host and no port"],
  ["udp://", "it names no host and no port"],
  ["localhost", 'the port is missing, as in "localhost:1234"'],
  ["tls://a", 'the port is missing, as in "a:1234"'],
  ["[::1]", 'the port is missing, as in "[::1]:1234"'],
  [":", NO_PORT],
  ["localhost:", NO_PORT],
  ["[::1]:", NO_PORT],
  ["a:http", "the port must be 0 to 65535, not http"],
  ["a:-1", "the port must be 0 to 65535, not -1"],
  ["a:1.5", "the port must be 0 to 65535, not 1.5"],
  ["a:0x50", "the port must be 0 to 65535, not 0x50"],
  ["a:80 ", "the port must be 0 to 65535, not 80 "],
  ["a:80\n", "the port must be 0 to 65535, not 80\n"],
  ["a:80/x", "the port must be 0 to 65535, not 80/x"],
  ["a:٨٠", "the port must be 0 to 65535, not ٨٠"],
  ["65536", "the port must be 0 to 65535, not 65536"],
  ["a:65536", "the port must be 0 to 65535, not 65536"],
  ["[::1]:99999999999999999999", `${NO_PORT}99999999999999999999`],
  ["http://a:80", SCHEME],
  ["/tmp/s", 'the port is missing, as in "/tmp/s:1234"'],
  ["TCP:a:80", NEEDS_BRACKETS],
  ["ftp://a:80", SCHEME],
  ["xtcp://a:80", SCHEME],
  ["://a:80", SCHEME],
  ["tcp://udp://a:80", SCHEME],
  ["::1", NEEDS_BRACKETS],
  ["::1:80", NEEDS_BRACKETS],
  ["a:80:81", NEEDS_BRACKETS],
  ["[::1", NEEDS_BRACKETS],
  ["::1]:80", NEEDS_BRACKETS],
  ["[::1]80", NEEDS_BRACKETS],
  ["[[::1]]:80", NEEDS_BRACKETS],
  ["[]:80", notIpv6("")],
  ["[localhost]:80", notIpv6("localhost")],
  ["[127.0.0.1]:80", notIpv6("127.0.0.1")],
  ["[::g]:80", notIpv6("::g")],
  ["[1::2::3]:80", notIpv6("1::2::3")],
  ["[::12345]:80", notIpv6("::12345")],
  ["[::1 ]:80", notIpv6("::1 ")],
  ["[::\t1]:80", notIpv6("::\t1")],
  ["[::1\n]:80", notIpv6("::1\n")],
  ["[::1%]:80", notIpv6("::1%")],
  ["[::1%a%b]:80", notIpv6("::1%a%b")],
  ["[::1%a b]:80", notIpv6("::1%a b")],
  [
    "256.0.0.1:80",
    neither("256.0.0.1"),
  ],
  ["127.1:80", neither("127.1")],
  [
    "1.2.3.4.5:80",
    neither("1.2.3.4.5"),
  ],
  [
    "01.2.3.4:80",
    neither("01.2.3.4"),
  ],
  [
    "1.2.3.4.:80",
    neither("1.2.3.4."),
  ],
  ["a.10:80", neither("a.10")],
  ["0:80", neither("0")],
  [
    "0x7f000001:80",
    neither("0x7f000001"),
  ],
  ["a.0X:80", neither("a.0X")],
  [
    "127.１:80",
    neither("127.１"),
  ],
  [" a:80", neither(" a")],
  ["a b:80", neither("a b")],
  ["me@a:80", neither("me@a")],
  ["a/b:80", neither("a/b")],
  ["-a:80", neither("-a")],
  ["a-:80", neither("a-")],
  [".a:80", neither(".a")],
  ["a..b:80", neither("a..b")],
  ["ab..c:80", neither("ab..c")],
  ["*:80", neither("*")],
  ["fe80%eth0:80", neither("fe80%eth0")],
  ["a\0:80", neither("a\0")],
  ["ü..b:80", neither("ü..b")],
  ["ü/b:80", neither("ü/b")],
  ["ü@b:80", neither("ü@b")],
  ["ü／b:80", neither("ü／b")],
  ["\u0301a:80", neither("\u0301a")],
  [`${LONGEST_NAME}c:80`, neither(`${LONGEST_NAME}c`)],
  ["unix:", 'the path is missing, as in "unix:/tmp/socket"'],
];

for (const [text, address, format, permission] of GOOD) {
  Deno.test(`parseAddress() reads ${JSON.stringify(text)}`, () => {
    assertEquals(parseAddress(text), address);
    assertEquals(formatAddress(address), format);
    assertEquals(parseAddress(format), address);
    assertEquals(permissionFor(address), `--allow-net=${permission}`);
  });
}

for (const [text, path] of GOOD_PATHS) {
  Deno.test(`parseAddress() reads ${JSON.stringify(text)} as a path`, () => {
    assertEquals(parseAddress(text), unix(path));
    assertEquals(formatAddress(unix(path)), text);
  });
}

for (const [text, reason] of BAD) {
  Deno.test(`parseAddress() rejects ${JSON.stringify(text)}`, () => {
    const { message } = assertThrows(() => parseAddress(text), SyntaxError);
    assertEquals(message, `Cannot parse address "${text}": ${reason}`);
  });
}

Deno.test("parseAddress() fills in the defaults when the text is silent", () => {
  const defaults: Partial<NetAddress> = {
    hostname: "::1",
    port: 443,
    transport: "tls",
  };
  const cases: [string, Address][] = [
    ["a", tls("a", 443)],
    ["a:1", tls("a", 1)],
    ["1", tls("::1", 1)],
    [":1", tls("::1", 1)],
    ["[::2]", tls("::2", 443)],
    ["udp://a", udp("a", 443)],
    ["tcp://:0", tcp("::1", 0)],
    ["unix:a", unix("a")],
  ];
  for (const [text, address] of cases) {
    assertEquals(parseAddress(text, defaults), address, text);
  }
  for (const text of ["", "a:", ":", "tcp://"]) {
    assertThrows(() => parseAddress(text, defaults), SyntaxError);
  }
});

Deno.test("permissionFor() asks for read and write when it is a unix socket", () => {
  assertEquals(
    permissionFor(unix("/tmp/s")),
    "--allow-net=unix:/tmp/s --allow-read=/tmp/s --allow-write=/tmp/s",
  );
  const path = `${Deno.cwd()}/s`;
  assertEquals(permissionFor(unix("s")), permissionFor(unix(path)));
});

const letters = "[A-Za-z0-9_]([A-Za-z0-9_-]{0,20}[A-Za-z0-9_])?";
const name = fc.oneof(
  fc.constantFrom("unix", "tcp", "udp", "localhost", "0.0x.a"),
  // The last label starts with a letter, or it would be a number.
  fc.stringMatching(RegExp(`^(${letters}\\.){0,3}[a-z]${letters}\\.?$`)),
);
// In its one shortest form, as parseAddress() gives it.
const ipv6 = fc.ipV6().filter((ip) => !/^[0:]*:ffff:/i.test(ip))
  .map((ip) => new URL(`http://[${ip}]`).hostname.slice(1, -1));
const zone = fc.stringMatching(/^[\w.~-]{1,15}$/);
const hostname = fc.oneof(
  name,
  fc.ipV4(),
  ipv6,
  fc.tuple(ipv6, zone).map((parts) => parts.join("%")),
);
const port = fc.nat(65_535);
const address: fc.Arbitrary<Address> = fc.oneof(
  fc.record({
    transport: fc.constantFrom("tcp" as const, "tls" as const, "udp" as const),
    hostname,
    port,
  }, { noNullPrototype: true }),
  fc.string({ unit: "binary", minLength: 1 })
    .filter((path) => !path.includes("\0")).map(unix),
);

Deno.test("parseAddress() reads back what formatAddress() wrote when any address is given", () => {
  fc.assert(
    fc.property(address, (address) => {
      assertEquals(parseAddress(formatAddress(address)), address);
    }),
    { numRuns: 2_000 },
  );
});

Deno.test("formatAddress() shows IPv4 when an IPv6 address maps it", () => {
  fc.assert(fc.property(fc.ipV4(), port, (ip, port) => {
    const [a, b, c, d] = ip.split(".").map(Number);
    const words = [a << 8 | b, c << 8 | d].map((word) => word.toString(16));
    for (const tail of [ip, words.join(":")]) {
      const mapped = tcp(`::ffff:${tail}`, port);
      assertEquals(formatAddress(mapped), `${ip}:${port}`);
      assertEquals(permissionFor(mapped), `--allow-net=${ip}:${port}`);
      assertEquals(parseAddress(`[::ffff:${tail}]:${port}`), tcp(ip, port));
    }
  }));
});

Deno.test("parseAddress() throws nothing but its own errors when given anything", () => {
  const scraps = fc.constantFrom(
    ..."[]:%./@#?\\ \t\n0a",
    "tcp://",
    "unix:",
    "::",
  );
  const text = fc.oneof(
    fc.string({ unit: "binary" }),
    fc.array(scraps).map((parts) => parts.join("")),
  );
  fc.assert(
    fc.property(text, (text) => {
      let address: Address;
      try {
        address = parseAddress(text);
      } catch (error) {
        assertInstanceOf(error, Error);
        const own = error instanceof SyntaxError;
        assertEquals(
          [own, error.message.startsWith(`Cannot parse address "${text}": `)],
          [true, true],
        );
        return;
      }
      assertEquals(parseAddress(formatAddress(address)), address);
    }),
    { numRuns: 2_000 },
  );
});

/** What both ends of a connection report, as text. */
async function reported(
  listener: Deno.Listener,
  connecting: Promise<Deno.Conn>,
) {
  const [server, client] = await Promise.all([listener.accept(), connecting]);
  using _server = server;
  using _client = client;
  return {
    client: [client.localAddr, client.remoteAddr].map(formatAddress),
    server: [server.localAddr, server.remoteAddr].map(formatAddress),
  };
}

function canListen(hostname: string): boolean {
  try {
    Deno.listen({ hostname, port: 0 }).close();
    return true;
  } catch {
    return false;
  }
}

for (const hostname of ["127.0.0.1", "::1"]) {
  Deno.test({
    name:
      `formatAddress() writes what sockets report when bound to ${hostname}`,
    ignore: !canListen(hostname),
    async fn() {
      using listener = Deno.listen({ hostname, port: 0 });
      const bound = formatAddress(listener.addr);
      const address = parseAddress(bound) as Deno.ConnectOptions;
      assertEquals({ ...address }, { ...listener.addr });
      const { client, server } = await reported(
        listener,
        Deno.connect(address),
      );
      assertEquals(client, [server[1], bound]);
      assertEquals(server, [bound, client[0]]);
      const peer = parseAddress(client[0]) as NetAddress;
      assertEquals([peer.transport, peer.hostname], ["tcp", hostname]);
    },
  });
}

Deno.test({
  name: "formatAddress() shows an IPv4 peer as IPv4 when the listener is on ::",
  ...needs("bothVersions"),
  ignore: !has("bothVersions") || !canListen("::"),
  async fn() {
    using listener = Deno.listen({ hostname: "::", port: 0 });
    const { port } = listener.addr;
    assertEquals(formatAddress(listener.addr), `[::]:${port}`);
    const { client, server } = await reported(
      listener,
      Deno.connect({ hostname: "127.0.0.1", port }),
    );
    assertEquals(server, [`127.0.0.1:${port}`, client[0]]);
    assertEquals(client[0].replace(/:\d+$/, ""), "127.0.0.1");
  },
});

Deno.test("formatAddress() writes udp:// when the socket is one of datagrams", () => {
  const socket = Deno.listenDatagram({
    transport: "udp",
    hostname: "127.0.0.1",
    port: 0,
  });
  const { port } = socket.addr as Deno.NetAddr;
  socket.close();
  assertEquals(formatAddress(socket.addr), `udp://127.0.0.1:${port}`);
});

Deno.test({
  name: "formatAddress() writes no path when a unix socket's client has none",
  ...needs("unixSockets"),
  async fn() {
    const directory = await Deno.makeTempDir();
    try {
      const path = `${directory}/socket`;
      using listener = Deno.listen({ transport: "unix", path });
      assertEquals(parseAddress(formatAddress(listener.addr)), unix(path));
      const { client, server } = await reported(
        listener,
        Deno.connect({ transport: "unix", path }),
      );
      assertEquals(client, ["unix:", `unix:${path}`]);
      assertEquals(server, [`unix:${path}`, "unix:"]);
    } finally {
      await Deno.remove(directory, { recursive: true });
    }
  },
});
