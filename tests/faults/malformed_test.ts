/** Bytes that no honest client sends, 10,000 connections of them. */
import { assert } from "@std/assert";
import { bytes, within } from "../support/helpers.ts";
import { noise } from "../support/peers.ts";
import { writeAll } from "../support/sockets.ts";
import {
  isWell,
  report,
  RUDE,
  type Server,
  serverWith,
  short,
} from "./support.ts";

/** How many malformed connections each of the four servers gets. */
const TIMES = 2500;
/** How much more memory they may cost, in MiB, once the server is warm. */
const MOST = 32;

/** What a malformed client sends; the number makes each one different. */
const ATTACKS: ((i: number) => Uint8Array)[] = [
  (i) => noise(1 + i % 2000),
  // Lengths of 2^31, 2^32 - 1, -2, and more than the varint of any length.
  () => new Uint8Array([0x80, 0, 0, 0, 1, 2, 3]),
  () => new Uint8Array(7).fill(0xff),
  () => new Uint8Array([0xff, 0xff, 0xff, 0xfe]),
  () => new Uint8Array(1000).fill(0x80),
  // Cut in the length, after it, and in the message.
  (i) => new Uint8Array([0, 0, 1, 0, 65, 66, 67]).subarray(0, 1 + i % 7),
  () => bytes("2147483648:"),
  () => bytes("4294967295:x"),
  () => bytes("007:letters,"),
  () => bytes("5:hello;"),
  () => bytes("12345678901234567890"),
  () => bytes("GET / HTTP/1.1\r\nHost: example.com\r\n\r\n"),
  (i) =>
    new Uint8Array([0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3, ...noise(i % 500)]),
  () => new Uint8Array(4096),
  () => new Uint8Array(70_000).fill(0x41),
  () => new Uint8Array(0),
];

/** Sends it, and reads what may come back until the server has had enough. */
async function attack(port: number, attack: Uint8Array): Promise<void> {
  using conn = await Deno.connect({ port });
  const buffer = new Uint8Array(65_536);
  try {
    await within(writeAll(conn, attack));
    await conn.closeWrite();
    while (await within(conn.read(buffer)) !== null);
  } catch (error) {
    // It closes on what it has not read, and that is a reset.
    const expected = error instanceof Deno.errors.ConnectionReset ||
      error instanceof Deno.errors.BrokenPipe;
    if (!expected) throw error;
  }
}

/** Attacks so often; gives the longest that an honest client had to wait. */
async function attackAll(
  server: Server,
  message: string,
  times: number,
): Promise<number> {
  let slowest = 0;
  for (let i = 0; i < times; i += 100) {
    const hundred = Array.from({ length: 100 }, (_, k) => i + k);
    while (hundred.length > 0) {
      await Promise.all(
        hundred.splice(0, 20).map((k) =>
          attack(server.port, ATTACKS[k % ATTACKS.length](k))
        ),
      );
    }
    slowest = Math.max(slowest, await server.serves(message));
  }
  return slowest;
}

for (
  const [framing, message] of [
    ["u32", "\0\0\0\x05hello"],
    ["varint", "\x05hello"],
    ["lines", "hello\n"],
    ["netstring", "5:hello,"],
  ]
) {
  Deno.test(
    `tcp_server.ts serves honest clients when ${TIMES} others break the rules of ${framing}`,
    RUDE,
    async () => {
      await using server = await serverWith("-f", framing);
      const before = await server.descriptors();
      await attackAll(server, message, TIMES / 5);
      const warm = await server.memory();
      const slowest = await attackAll(server, message, TIMES);
      await server.settled(before);
      const grown = await server.memory() - warm;
      report(
        framing,
        `an honest client waited at most ${short(slowest)} ms`,
        `memory ${short(warm)} + ${short(grown)} MiB`,
      );
      assert(grown < MOST, `It grew by ${grown} MiB`);
      await isWell(server);
    },
  );
}

/** Sends the block over and over, and reads, until so much or an end. */
async function pour(port: number, block: Uint8Array, total: number) {
  using conn = await Deno.connect({ port });
  const buffer = new Uint8Array(262_144);
  const reading = (async () => {
    try {
      while (await conn.read(buffer) !== null);
    } catch {
      // It is over, either way.
    }
  })();
  let sent = 0;
  try {
    for (; sent < total; sent += block.length) {
      await within(writeAll(conn, block));
    }
    await conn.closeWrite();
  } catch {
    // The server had enough.
  }
  await within(reading);
  return sent;
}

for (
  const [what, args, block, message, answer, whole] of [
    [
      "200 MB without a newline",
      ["-f", "lines"],
      new Uint8Array(1_000_000).fill(0x41),
      "hello\n",
      "hello\n",
      false,
    ],
    [
      "200 MB without a newline to a room",
      ["-m", "room"],
      new Uint8Array(1_000_000).fill(0x41),
      "",
      "* you are user",
      false,
    ],
    [
      "200 MB without a newline to raw",
      [],
      new Uint8Array(1_000_000).fill(0x41),
      "hello\n",
      "hello\n",
      true,
    ],
    [
      "endless empty frames",
      ["-f", "u32"],
      new Uint8Array(1_000_000),
      "\0\0\0\x05hello",
      "\0\0\0\x05hello",
      true,
    ],
    [
      "endless empty lines",
      ["-f", "lines"],
      new Uint8Array(1_000_000).fill(0x0a),
      "hello\n",
      "hello\n",
      true,
    ],
  ] as const
) {
  Deno.test(
    `tcp_server.ts keeps its memory when it gets ${what}`,
    RUDE,
    async () => {
      // Messages as short as can be are work; there are fewer of them.
      const total = what.startsWith("endless") ? 8_000_000 : 200_000_000;
      await using server = await serverWith(...args);
      await pour(server.port, block, total / 8);
      const before = await server.memory();
      const pouring = pour(server.port, block, total);
      let most = before;
      let slowest = 0;
      let over = false;
      pouring.finally(() => over = true);
      while (!over) {
        slowest = Math.max(slowest, await server.serves(message, answer));
        most = Math.max(most, await server.memory());
      }
      const sent = await pouring;
      report(
        what,
        `${sent / 1e6} MB taken`,
        `others waited at most ${short(slowest)} ms`,
        `memory ${short(before)} + ${short(most - before)} MiB`,
      );
      assert(whole === (sent >= total), `It took ${sent} bytes`);
      assert(most - before < MOST, `It grew by ${most - before} MiB`);
      await isWell(server);
    },
  );
}
