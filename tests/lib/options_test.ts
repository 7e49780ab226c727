/** Values of options: durations, sizes, integers, words; good ones, and bad ones with what is said about them. */
import {
  assertEquals,
  assertMatch,
  assertStrictEquals,
  assertThrows,
} from "@std/assert";
import { parseAddress } from "../../lib/address.ts";
import {
  duration,
  integer,
  list,
  natsAddress,
  oneOf,
  option,
  parseOptions,
  size,
  toggle,
  usage,
  UsageError,
} from "../../lib/command/options.ts";

type Parse = (value: string) => unknown;

/** The parser, what it takes and gives, what it refuses, and the words. */
const PARSERS: [string, Parse, [string, unknown][], string[], string][] = [
  [
    "duration()",
    duration,
    [
      ["1ms", 1],
      ["250ms", 250],
      ["0.5ms", 0.5],
      ["2s", 2000],
      ["2", 2000],
      ["02", 2000],
      ["1.5", 1500],
      ["0.001", 1],
      ["5m", 300_000],
      ["1h", 3_600_000],
      ["576h", 2_073_600_000],
      ["2073600000ms", 2_073_600_000],
    ],
    [
      "",
      "0",
      "0ms",
      "0.0s",
      "-1",
      "+1",
      " 1",
      "1 s",
      "1s ",
      "1S",
      "1d",
      "1h30m",
      ".5",
      "5.",
      "1e3",
      "1,5",
      "Infinity",
      "off",
      "s",
      "1s\n",
      "2147483648ms",
      "597h",
      "9".repeat(400),
    ],
    "must be a duration above zero and up to 24 days, as in 250ms, 2s, 5m or 1h, not ",
  ],
  [
    "size()",
    size,
    [
      ["0", 0],
      ["1", 1],
      ["512", 512],
      ["0512", 512],
      ["64k", 65_536],
      ["64K", 65_536],
      ["1m", 1_048_576],
      ["1M", 1_048_576],
      ["2g", 2_147_483_648],
      ["9007199254740991", Number.MAX_SAFE_INTEGER],
      ["8388607g", 8_388_607 * 2 ** 30],
    ],
    [
      "",
      "-1",
      "+1",
      "1.5k",
      "1kb",
      "1kk",
      "1 k",
      " 1",
      "1t",
      "0x10",
      "1e3",
      "k",
      "1\n",
      "9007199254740992",
      "8388608g",
    ],
    "must be a size, as in 512, 64k or 1m, not ",
  ],
  [
    "integer(1, 255)",
    integer(1, 255),
    [["1", 1], ["255", 255], ["0064", 64]],
    ["", "0", "256", "-1", "+1", "1.0", "1e2", "0x1", " 1", "1\n", "one", "٣"],
    "must be a whole number from 1 to 255, not ",
  ],
  [
    "integer()",
    integer(),
    [["0", 0], ["9007199254740991", Number.MAX_SAFE_INTEGER]],
    ["", "-1", "9007199254740992", "9".repeat(400)],
    "must be a whole number from 0, not ",
  ],
  [
    "integer(3)",
    integer(3),
    [["3", 3]],
    ["2"],
    "must be a whole number from 3, not ",
  ],
  [
    "oneOf()",
    oneOf("echo", "greet", "chat"),
    [["echo", "echo"], ["greet", "greet"], ["chat", "chat"]],
    ["", "Echo", "ech", "echo ", "echo,greet", "constructor"],
    "must be echo, greet or chat, not ",
  ],
  [
    "oneOf() of two",
    oneOf("yes", "no"),
    [["no", "no"]],
    ["maybe"],
    "must be yes or no, not ",
  ],
];

for (const [name, parse, good, bad, words] of PARSERS) {
  for (const [value, expected] of good) {
    Deno.test(`${name} reads ${JSON.stringify(value)}`, () => {
      assertStrictEquals(parse(value), expected);
    });
  }
  for (const value of bad) {
    const shown = JSON.stringify(value).slice(0, 20);
    Deno.test(`${name} refuses ${shown}`, () => {
      const error = assertThrows(() => parse(value), UsageError);
      assertEquals(error.message, words + value);
    });
  }
}

Deno.test("option() reads the last value, or gives its fallback", () => {
  const count = option("N", "how many", integer(), 5, "n");
  assertEquals([count.value, count.help, count.short], ["N", "how many", "n"]);
  assertEquals(count.read([]), 5);
  assertEquals(count.read(["0"]), 0);
  assertEquals(count.read(["7", "8"]), 8);
  assertThrows(() => count.read(["7", "x"]), UsageError);
  assertEquals(option("N", "", integer()).read([]), undefined);
  assertEquals(option("TEXT", "", String, "x").read([""]), "");
});

Deno.test("list() keeps all values in order", () => {
  const texts = list("TEXT", "send it");
  assertEquals([texts.value, texts.help], ["TEXT", "send it"]);
  assertEquals(texts.read([]), []);
  assertEquals(texts.read(["b", "a", "b", ""]), ["b", "a", "b", ""]);
});

Deno.test("toggle() is there or not, and has no value", () => {
  const verbose = toggle("say more", "v");
  assertEquals([verbose.value, verbose.short], [undefined, "v"]);
  assertEquals([verbose.read([]), verbose.read([""])], [false, true]);
});

Deno.test("usage() makes what is thrown the typist's to mend", () => {
  assertEquals(usage(() => 1), 1);
  const error = assertThrows(
    () => usage(() => parseAddress("a b"), "; so", "here: "),
    UsageError,
  );
  assertMatch(error.message, /^here: Cannot parse address "a b": .*; so$/);
});

for (
  const [relay, transport, hostname, port] of [
    ["nats://10.0.0.7", "tcp", "10.0.0.7", 4222],
    ["NATS://localhost:1", "tcp", "localhost", 1],
    ["tls://[::1]:4443", "tls", "::1", 4443],
  ] as const
) {
  Deno.test(`natsAddress() reads ${relay}`, () => {
    const address = natsAddress(relay);
    assertEquals(address, { transport, hostname, port });
  });
}

for (
  const relay of [
    "10.0.0.7:4222",
    "http://a",
    "nats://unix:/a",
    "nats://udp://:1",
    "nats://",
  ]
) {
  Deno.test(`natsAddress() refuses ${relay}`, () => {
    const read = () => natsAddress(relay);
    assertThrows(read, UsageError, "must be nats://HOST:PORT or tls:");
  });
}

Deno.test("parseOptions() gives a switch no value but its own", () => {
  const where = oneOf("here", "there");
  const tell = {
    help: "",
    read: (texts: string[]) =>
      texts.map((text) => where(text || "here")).at(-1),
  };
  const table = { tell, all: toggle("", "a") };
  const read = (...args: string[]) => {
    const { values, positionals } = parseOptions(table, args);
    return [values.tell, values.all, ...positionals];
  };
  assertEquals(read("word"), [undefined, false, "word"]);
  assertEquals(read("--tell", "word", "-a"), ["here", true, "word"]);
  assertEquals(read("--tell=there", "word"), ["there", false, "word"]);
  assertEquals(read("--", "--tell"), [undefined, false, "--tell"]);
  assertThrows(
    () => read("--tell=nowhere"),
    UsageError,
    "--tell must be here or there, not nowhere",
  );
});
