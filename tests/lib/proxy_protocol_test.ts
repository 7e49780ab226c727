/** PROXY headers: what is one, and what a server does with it. */
import {
  assert,
  assertEquals,
  assertMatch,
  assertRejects,
  assertStringIncludes,
  assertThrows,
} from "@std/assert";
import fc from "fast-check";
import {
  parseProxyHeader,
  ProxyError,
  readProxyHeader,
} from "../../lib/tcp/proxy_protocol.ts";
import { concatenate } from "../../lib/tcp/stream.ts";
import { serve } from "../../lib/tcp.ts";
import { pair } from "../support/fakes.ts";
import { bytes, readAll, text, within } from "../support/helpers.ts";
import {
  addresses4,
  addresses6,
  addressesUnix,
  crc32c,
  header,
  LOCAL,
  PROXY,
  TCP4,
  TCP6,
  UNIX,
} from "../support/proxy_headers.ts";

const RUNS = 1_000;

type Source = Deno.NetAddr | Deno.UnixAddr | undefined | null;

function tcp(hostname: string, port: number): Deno.NetAddr {
  return { transport: "tcp", hostname, port };
}

/** Every way to write an IPv6 address, as its eight numbers, or IPv4's four. */
function numbersOf(host: string): number[] {
  const groups = groupsOf(host);
  const [high, low] = groups.slice(6);
  return groups.slice(0, 6).join() === "0,0,0,0,0,65535"
    ? [high >> 8, high & 255, low >> 8, low & 255]
    : groups;
}

function groupsOf(host: string): number[] {
  const dotted = host.replace(
    /(\d+)\.(\d+)\.(\d+)\.(\d+)$/,
    (_, ...[a, b, c, d]) =>
      [a * 256 + +b, c * 256 + +d].map((group) => group.toString(16)).join(":"),
  );
  const [before, after] = dotted.split("::").map((part) =>
    part === "" ? [] : part.split(":").map((group) => parseInt(group, 16))
  );
  if (after === undefined) return before;
  const zeros = new Array(8 - before.length - after.length).fill(0);
  return [...before, ...zeros, ...after];
}

const BLOCK4 = addresses4("192.0.2.1", "192.0.2.9", 56_324, 1234);

const GOOD: [string, string | Uint8Array, Source][] = [
  [
    "the longest line with IPv4",
    "PROXY TCP4 255.255.255.255 255.255.255.255 65535 65535\r\n",
    tcp("255.255.255.255", 65_535),
  ],
  [
    "the longest line with IPv6",
    `PROXY TCP6 ${"ffff:".repeat(7)}ffff ${
      "FFFF:".repeat(7)
    }FFFF 65535 65535\r\n`,
    tcp(`${"ffff:".repeat(7)}ffff`, 65_535),
  ],
  ["a short line", "PROXY TCP4 0.0.0.0 0.0.0.0 0 0\r\n", tcp("0.0.0.0", 0)],
  ["the shortest of IPv6", "PROXY TCP6 :: :: 0 0\r\n", tcp("::", 0)],
  [
    // HAProxy does so on a socket that takes both.
    "IPv4 within IPv6",
    "PROXY TCP6 ::ffff:192.0.2.1 ::ffff:192.0.2.9 56324 80\r\n",
    tcp("192.0.2.1", 56_324),
  ],
  ["UNKNOWN", "PROXY UNKNOWN\r\n", undefined],
  ["UNKNOWN and more", "PROXY UNKNOWN ::1 \n any\rthing\r\n", undefined],
  [
    "the longest line of all",
    `PROXY UNKNOWN ${"f".repeat(107 - 16)}\r\n`,
    undefined,
  ],
  ["TCP4", header(TCP4, BLOCK4), tcp("192.0.2.1", 56_324)],
  [
    "TCP6",
    header(TCP6, addresses6(groupsOf("2001:db8::1"), groupsOf("::1"), 7, 80)),
    tcp("2001:db8::1", 7),
  ],
  [
    "UNIX",
    header(UNIX, addressesUnix("/run/client", "/run/server")),
    { transport: "unix", path: "/run/client" },
  ],
  [
    "UNIX with a path of full length",
    header(UNIX, addressesUnix("/".repeat(108), "")),
    { transport: "unix", path: "/".repeat(108) },
  ],
  ["LOCAL", header(0, new Uint8Array(), { command: LOCAL }), null],
  [
    "LOCAL with whatever else",
    header(0xff, bytes("\x03\0\x04junk"), { command: LOCAL }),
    null,
  ],
  ["a datagram over IPv4", header(0x12, BLOCK4), undefined],
  ["an unknown family", header(0, bytes("anything")), undefined],
  ["an unknown transport", header(0x10, new Uint8Array()), undefined],
  [
    "vectors",
    header(TCP4, BLOCK4, {
      vectors: [[4, new Uint8Array(0)], [0xe0, new Uint8Array(65_000)]],
      checksum: true,
    }),
    tcp("192.0.2.1", 56_324),
  ],
];

const REST = "\r\nPROXY TCP4 what the client says";

for (const [name, given, source] of GOOD) {
  Deno.test(`parseProxyHeader() reads the header and no more when it is ${name}`, () => {
    const whole = typeof given === "string" ? bytes(given) : given;
    assertEquals(parseProxyHeader(whole), source);
    assertEquals(parseProxyHeader(concatenate([whole, bytes(REST)])), source);
    // Also where it does not begin at the first byte of its buffer.
    const within = concatenate([bytes("before"), whole]).subarray(6);
    assertEquals(parseProxyHeader(within), source);
    for (let length = 0; length < whole.length; length++) {
      const missing = parseProxyHeader(whole.subarray(0, length));
      assert(typeof missing === "number", `a header after ${length} bytes`);
      assert(missing >= 1 && missing <= whole.length - length);
    }
  });
}

const v2 = (index: number, byte: number) => {
  const changed = header(TCP4, BLOCK4, { checksum: true });
  changed[index] = byte;
  return changed;
};

const BAD: [string | Uint8Array, string][] = [
  ["GET / HTTP/1.1\r\n", 'it began with "GET / HTTP/1", not with a PROXY'],
  ["\x16\x03\x01\x02", 'it began with "\\x16\\x03\\x01\\x02"'],
  ["proxy TCP4", "it began with"],
  ["PROXY\tTCP4", "it began with"],
  [" PROXY TCP4", "it began with"],
  ["\r\n\r\n\0\r\nQUIX", "it began with"],
  ...[
    "PROXY TCP4 1.2.3.4 1.2.3.4 1 2\n\r\n",
    "PROXY TCP4 1.2.3.4 1.2.3.4 1 2\r\r\n",
    "PROXY TCP4 1.2.3.4 1.2.3.4 1 2 \r\n",
    "PROXY TCP4  1.2.3.4 1.2.3.4 1 2\r\n",
    "PROXY  TCP4 1.2.3.4 1.2.3.4 1 2\r\n",
    "PROXY TCP4 1.2.3.4 1.2.3.4 1\r\n",
    "PROXY TCP4 1.2.3.4 1.2.3.4\r\n",
    "PROXY TCP4 1.2.3.4 1.2.3.4 01 2\r\n",
    "PROXY TCP4 1.2.3.4 1.2.3.4 1 65536\r\n",
    "PROXY TCP4 1.2.3.4 1.2.3.4 -1 2\r\n",
    "PROXY TCP4 1.2.3.04 1.2.3.4 1 2\r\n",
    "PROXY TCP4 1.2.3.4 1.2.3.256 1 2\r\n",
    "PROXY TCP4 1.2.3 1.2.3.4 1 2\r\n",
    "PROXY TCP4 1.2.3.4. 1.2.3.4 1 2\r\n",
    "PROXY TCP4 1.2.3.4 . 1 2\r\n",
    "PROXY TCP4 abc 1.2.3.4 1 2\r\n",
    "PROXY TCP4 ::1 ::1 1 2\r\n",
    "PROXY TCP6 1.2.3.4 1.2.3.4 1 2\r\n",
    "PROXY TCP6 ::1 1::2::3 1 2\r\n",
    "PROXY TCP6 ::1 1:2:3:4:5:6:7:8:9 1 2\r\n",
    "PROXY TCP6 fe80::1%1 ::1 1 2\r\n",
    "PROXY TCP6 [::1] ::1 1 2\r\n",
    "PROXY UDP4 1.2.3.4 1.2.3.4 1 2\r\n",
    "PROXY tcp4 1.2.3.4 1.2.3.4 1 2\r\n",
    "PROXY UNKNOWNS\r\n",
    "PROXY UNKNOWN\r\r\n",
    "PROXY \r\n",
    `PROXY UNKNOWN ${"f".repeat(107 - 15)}\r\n`,
    `PROXY TCP4 ${"1".repeat(200)}`,
  ].map((line): [string, string] => [line, "it sent no PROXY line but PROXY"]),
  [v2(12, 0x11), "no known kind: 0x1111"],
  [v2(12, 0x31), "no known kind: 0x3111"],
  [v2(12, 0x22), "no known kind: 0x2211"],
  [v2(13, 0x41), "no known kind: 0x2141"],
  [v2(13, 0x13), "no known kind: 0x2113"],
  [v2(16, 0xc1), "the checksum of its PROXY header is wrong"],
  [header(TCP4, BLOCK4.subarray(1)), "goes beyond its end"],
  [header(TCP6, BLOCK4), "goes beyond its end"],
  [header(UNIX, new Uint8Array(215)), "goes beyond its end"],
  ...["\x04", "\x04\0", "\x04\0\x01", "\x04\0\0\x03\0\x04abc", "\x04\xff\xffa"]
    .map((vectors): [Uint8Array, string] => {
      const block = Uint8Array.from(vectors, (c) => c.charCodeAt(0));
      return [header(TCP4, concatenate([BLOCK4, block])), "beyond its end"];
    }),
  [
    header(TCP4, BLOCK4, { vectors: [[3, new Uint8Array(3)]] }),
    "the checksum of its PROXY header is wrong",
  ],
  // Two, the second of which is right.
  [
    header(TCP4, BLOCK4, { vectors: [[3, bytes("four")]], checksum: true }),
    "the checksum of its PROXY header is wrong",
  ],
  [
    header(TCP4, BLOCK4, { vectors: [[3, new Uint8Array(5)]] }),
    "the checksum of its PROXY header is wrong",
  ],
];

for (const [given, reason] of BAD) {
  const name = typeof given === "string" ? given : `${given.subarray(12)}`;
  Deno.test(`parseProxyHeader() refuses ${JSON.stringify(name).slice(0, 70)}`, () => {
    const whole = typeof given === "string"
      ? Uint8Array.from(given, (character) => character.charCodeAt(0))
      : given;
    const error = assertThrows(() => parseProxyHeader(whole), ProxyError);
    assertStringIncludes(error.message, reason);
    // deno-lint-ignore no-control-regex
    assertMatch(error.message, /^[^\x00-\x1f\x7f-\x9f]+$/);
  });
}

Deno.test("crc32c() of the tests gives what all others give", () => {
  assertEquals(crc32c(bytes("123456789")), 0xe3069283);
});

const port = fc.nat(65_535);
const small = fc.uint8Array({ maxLength: 300 });
const vectors = fc.array(
  fc.tuple(fc.nat(255).filter((type) => type !== 3), small),
  { maxLength: 4 },
);

/** A header, and whose it says the connection is. */
const headers = fc.oneof(
  fc.tuple(fc.ipV4(), fc.ipV4(), port, port).map(([from, to, ...ports]) => ({
    sent: bytes(`PROXY TCP4 ${from} ${to} ${ports.join(" ")}\r\n`),
    source: { groups: from.split(".").map(Number), port: ports[0] },
  })),
  fc.tuple(fc.ipV6(), fc.ipV6(), port, port).map(([from, to, ...ports]) => ({
    sent: bytes(`PROXY TCP6 ${from} ${to} ${ports.join(" ")}\r\n`),
    source: { groups: numbersOf(from), port: ports[0] },
  })),
  fc.record({ vectors, checksum: fc.boolean() }).chain((options) =>
    fc.oneof(
      fc.tuple(fc.ipV4(), fc.ipV4(), port, port).map((places) => ({
        sent: header(TCP4, addresses4(...places), options),
        source: { groups: places[0].split(".").map(Number), port: places[2] },
      })),
      fc.tuple(fc.ipV6(), fc.ipV6(), port, port).map((
        [from, to, ...ports],
      ) => ({
        sent: header(
          TCP6,
          addresses6(groupsOf(from), groupsOf(to), ...ports),
          options,
        ),
        source: { groups: numbersOf(from), port: ports[0] },
      })),
      fc.record({
        command: fc.constantFrom(LOCAL, PROXY),
        block: small,
      }).map(({ command, block }) => ({
        sent: header(0, block, { ...options, command }),
        source: command === LOCAL ? null : undefined,
      })),
    )
  ),
);

/** What a header says, in a form that does not depend on how it is written. */
function said(source: Source | number) {
  if (source === undefined || source === null) return source;
  const { hostname, port } = source as Deno.NetAddr;
  const groups = hostname.includes(":")
    ? groupsOf(hostname)
    : hostname.split(".").map(Number);
  return { groups, port };
}

Deno.test("parseProxyHeader() reads what was written, whatever it is", () => {
  fc.assert(
    fc.property(headers, small, ({ sent, source }, rest) => {
      const found = parseProxyHeader(concatenate([sent, rest]));
      assertEquals(said(found), source);
    }),
    { numRuns: RUNS },
  );
});

Deno.test("parseProxyHeader() never asks for more than is missing", () => {
  fc.assert(
    fc.property(headers, ({ sent }) => {
      for (let length = 0; length < sent.length; length++) {
        const missing = parseProxyHeader(sent.subarray(0, length));
        assert(typeof missing === "number", `a header after ${length} bytes`);
        assert(missing >= 1 && missing <= sent.length - length);
      }
    }),
    { numRuns: RUNS },
  );
});

/** Nearly a header: some of its bytes are others. */
const damaged = fc.tuple(
  headers,
  fc.array(fc.tuple(fc.nat(60), fc.nat(255)), { minLength: 1, maxLength: 3 }),
).map(([{ sent }, changes]) => {
  for (const [index, byte] of changes) sent[index % sent.length] = byte;
  return sent;
});

Deno.test("parseProxyHeader() gives typed errors only, whatever comes", () => {
  const garbage = fc.oneof(damaged, fc.uint8Array({ maxLength: 200 }));
  fc.assert(
    fc.property(garbage, (sent) => {
      let refused = false;
      for (let length = 0; length <= sent.length; length++) {
        try {
          const found = parseProxyHeader(sent.subarray(0, length));
          // What is no header does not become one by what comes next.
          assert(!refused);
          if (typeof found === "number") assert(found >= 1 && found <= 65_551);
        } catch (error) {
          if (!(error instanceof ProxyError)) throw error;
          refused = true;
        }
      }
    }),
    { numRuns: RUNS },
  );
});

Deno.test("parseProxyHeader() finds every changed bit of an address when there is a checksum", () => {
  const sent = header(TCP4, BLOCK4, { checksum: true });
  for (let bit = 16 * 8; bit < 28 * 8; bit++) {
    const changed = sent.slice();
    changed[bit >> 3] ^= 1 << (bit & 7);
    assertThrows(() => parseProxyHeader(changed), ProxyError, "checksum");
  }
});

/** A connection whose bytes come in pieces of these lengths. */
function chopped(all: Uint8Array, pieces: number[]) {
  let [at, turn] = [0, 0];
  return {
    remoteAddr: tcp("127.0.0.1", 9),
    read(space: Uint8Array): Promise<number | null> {
      const piece = Math.min(space.length, pieces[turn++ % pieces.length]);
      const chunk = all.subarray(at, at + piece);
      space.set(chunk);
      at += chunk.length;
      return Promise.resolve(chunk.length || null);
    },
    [Symbol.dispose]() {},
  } as unknown as Deno.Conn;
}

Deno.test("readProxyHeader() leaves all that the client says to the next reader, however it comes", async () => {
  const pieces = fc.array(fc.integer({ min: 1, max: 2_000 }), { minLength: 1 });
  await fc.assert(
    fc.asyncProperty(headers, small, pieces, async (head, rest, pieces) => {
      const conn = chopped(concatenate([head.sent, rest]), pieces);
      const { read, remoteAddr } = conn;
      await readProxyHeader(conn);
      const expected = head.source ?? said(remoteAddr as Deno.NetAddr);
      assertEquals(said(conn.remoteAddr as Deno.NetAddr), expected);
      // Nothing stands between its reader and the connection.
      assertEquals(conn.read, read);
      assertEquals(await readAll(conn), rest);
    }),
    { numRuns: RUNS / 10 },
  );
});

/** Why a connection is refused. */
async function refusal(
  act: (client: Deno.TcpConn) => unknown,
  timeout?: number,
): Promise<string> {
  using both = await pair();
  const reading = readProxyHeader(both.ours, timeout);
  const refused = assertRejects(() => within(reading), ProxyError);
  await act(both.theirs);
  return (await refused).message;
}

Deno.test("readProxyHeader() refuses a connection when its header does not come in time", async () => {
  const whole = bytes("PROXY TCP4 1.2.3.4 1.2.3.4 1 2\r\n");
  assertEquals(
    await refusal(() => {}, 50),
    "no PROXY header came in 0.05s",
  );
  // The time is for all of it: a byte now and then does not buy more.
  const slowly = async (client: Deno.TcpConn) => {
    for (const byte of whole.subarray(0, -1)) {
      // It is gone when the time is over.
      await client.write(new Uint8Array([byte])).catch(() => {});
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
  };
  assertEquals(await refusal(slowly, 50), "no PROXY header came in 0.05s");
});

Deno.test("readProxyHeader() refuses a connection when it ends too soon", async () => {
  assertEquals(
    await refusal((client) => client.closeWrite()),
    "it ended before its PROXY header did",
  );
  const half = async (client: Deno.TcpConn) => {
    await client.write(bytes("PROXY TCP4 1.2."));
    client.close();
  };
  assertEquals(
    await refusal(half),
    "it ended before its PROXY header did",
  );
});

Deno.test("readProxyHeader() gives the place to the next client when a header is bad", async () => {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { port } = listener.addr;
  const stop = new AbortController();
  const refused: string[] = [];
  const served = serve(listener, async (conn) => {
    await readProxyHeader(conn, 100);
    await conn.write(bytes((conn.remoteAddr as Deno.NetAddr).hostname));
  }, {
    signal: stop.signal,
    maxConnections: 1,
    onError: (error) => refused.push((error as Error).message),
  });
  // It says nothing, and is let go for the one that waits behind it.
  using _silent = await Deno.connect({ port });
  using wrong = await Deno.connect({ port });
  await wrong.write(bytes("GET / HTTP/1.1\r\n"));
  using good = await Deno.connect({ port });
  await good.write(header(TCP4, BLOCK4));
  assertEquals(text(await within(readAll(good))), "192.0.2.1");
  assertEquals(refused.length, 2);
  stop.abort();
  await served;
});
