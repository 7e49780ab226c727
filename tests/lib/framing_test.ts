/** Every framing on the wire, at its limits, cut short and broken; the generator, and a real socket. */
import {
  assert,
  assertEquals,
  assertInstanceOf,
  assertRejects,
  assertStrictEquals,
  assertThrows,
} from "@std/assert";
import { concatenate, writeAll } from "../../lib/tcp/stream.ts";
import {
  decodeFrames,
  DEFAULT_MAX_FRAME_LENGTH,
  type FrameDecoder,
  FrameTooLongError,
  type Framing,
  parseFraming,
} from "../../lib/framing.ts";

/** Text of U+0000 to U+00FF as bytes, and back: bytes that read well. */
function b(text: string): Uint8Array<ArrayBuffer> {
  return Uint8Array.from(text, (character) => character.charCodeAt(0));
}

function text(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => String.fromCharCode(byte)).join("");
}

function x(length: number): string {
  return "x".repeat(length);
}

function limited(name: string, maxFrameLength: number): Framing {
  return parseFraming(name, { maxFrameLength });
}

function singly(wire: string): string[] {
  return [...wire];
}

/** All that a decoder gives for some chunks, and what it throws in the end. */
function decode(framing: Framing, ...chunks: string[]) {
  const decoder = framing.createDecoder();
  const frames: string[] = [];
  try {
    for (const chunk of chunks) {
      for (const frame of decoder.push(b(chunk))) frames.push(text(frame));
    }
    for (const frame of decoder.finish()) frames.push(text(frame));
  } catch (error) {
    assertKeepsThrowing(decoder, error);
    return { frames, error };
  }
  return { frames, error: undefined };
}

function assertKeepsThrowing(decoder: FrameDecoder, error: unknown) {
  const again = [
    () => [...decoder.push(b("\x01a\n"))],
    () => [...decoder.push(b(""))],
  ];
  for (const use of [...again, () => [...decoder.finish()], ...again]) {
    assertStrictEquals(assertThrows(use), error);
  }
}

const MISMATCH = "do both sides use the same framing?";

function assertTooLong(error: unknown, length: number, limit: number) {
  assertInstanceOf(error, FrameTooLongError);
  assertInstanceOf(error, RangeError);
  assertEquals([error.name, error.length, error.limit, error.message], [
    "FrameTooLongError",
    length,
    limit,
    `The frame is too long: ${length} bytes, the limit is ${limit}; ${MISMATCH}`,
  ]);
}

/** Framings that carry each message as one frame, whatever its length. */
const EXACT = [
  "lines",
  "u8",
  "u16",
  "u32",
  "u16le",
  "u32le",
  "varint",
  "netstring",
];
const ALL = ["raw", ...EXACT, "fixed:3"];

const WIRE: [string, string, string][] = [
  ["raw", "hello", "hello"],
  ["lines", "hello", "hello\n"],
  ["lines", "", "\n"],
  ["lines", "a\rb", "a\rb\n"],
  ["lines", "a\r", "a\r\r\n"],
  ["lines", "a\r\r", "a\r\r\r\n"],
  ["lines", "\r", "\r\r\n"],
  ["lines", "\0\xff", "\0\xff\n"],
  ["fixed:5", "hello", "hello"],
  ["fixed:1", "\0", "\0"],
  ["u8", "hello", "\x05hello"],
  ["u8", "", "\0"],
  ["u8", x(255), "\xff" + x(255)],
  ["u16", "hello", "\0\x05hello"],
  ["u16", "", "\0\0"],
  ["u16", x(300), "\x01\x2c" + x(300)],
  ["u16", x(65_535), "\xff\xff" + x(65_535)],
  ["u32", "hello", "\0\0\0\x05hello"],
  ["u32", "", "\0\0\0\0"],
  ["u32", x(65_536), "\0\x01\0\0" + x(65_536)],
  ["u16le", "hello", "\x05\0hello"],
  ["u16le", "", "\0\0"],
  ["u16le", x(300), "\x2c\x01" + x(300)],
  ["u32le", "hello", "\x05\0\0\0hello"],
  ["u32le", "", "\0\0\0\0"],
  ["u32le", x(65_536), "\0\0\x01\0" + x(65_536)],
  ["varint", "hello", "\x05hello"],
  ["varint", "", "\0"],
  ["varint", x(127), "\x7f" + x(127)],
  ["varint", x(128), "\x80\x01" + x(128)],
  ["varint", x(300), "\xac\x02" + x(300)],
  ["varint", x(16_383), "\xff\x7f" + x(16_383)],
  ["varint", x(16_384), "\x80\x80\x01" + x(16_384)],
  ["netstring", "hello", "5:hello,"],
  ["netstring", "", "0:,"],
  ["netstring", "1:a,", "4:1:a,,"],
  ["netstring", x(10), `10:${x(10)},`],
];

for (const [name, message, wire] of WIRE) {
  Deno.test(`${name} encodes and decodes the exact bytes when the message is ${label(message)}`, () => {
    const framing = parseFraming(name);
    assertEquals(text(framing.encode(b(message))), wire);
    const expected = { frames: [message, message], error: undefined };
    if (name === "raw") expected.frames = [message + message];
    assertEquals(decode(framing, wire + wire), expected);
  });
}

function label(message: string): string {
  return message.length < 10
    ? JSON.stringify(message)
    : `${message.length} long`;
}

for (const name of EXACT) {
  Deno.test(`${name} gives the same frames when they come byte by byte`, () => {
    const framing = parseFraming(name);
    const messages = ["hello", "", "", "a", x(200), "\0\x80\xff", ""];
    const wire = messages.map((message) => text(framing.encode(b(message))));
    const chunks = wire.join("").split("").flatMap((byte) => ["", byte]);
    assertEquals(decode(framing, ...chunks).frames, messages);
  });
}

for (const name of [...EXACT, "fixed:3"]) {
  Deno.test(`${name} gives the same frames when they are cut at any place`, () => {
    const framing = parseFraming(name);
    const messages = ["abc", "\0\0d", "e\xff ", "ghi"];
    const wire = messages.map((message) => text(framing.encode(b(message))))
      .join("");
    for (let cut = 0; cut <= wire.length; cut++) {
      assertEquals(decode(framing, wire.slice(0, cut), wire.slice(cut)), {
        frames: messages,
        error: undefined,
      });
    }
  });
}

Deno.test("raw gives each chunk as it came, whatever the limit", () => {
  for (const limit of [0, 3, 65_536]) {
    const framing = limited("raw", limit);
    assertEquals(framing.maxFrameLength, Infinity);
    assertEquals(decode(framing, "ab", "", "c", "abcdef", x(70_000)), {
      frames: ["ab", "c", "abcdef", x(70_000)],
      error: undefined,
    });
    assertEquals(text(framing.encode(b(x(70_000)))), x(70_000));
  }
});

Deno.test("raw encodes a copy when the caller goes on using the message", () => {
  const message = b("abc");
  const wire = parseFraming("raw").encode(message);
  message.fill(0);
  assertEquals(text(wire), "abc");
});

Deno.test("fixed:N pads the last block and cuts a longer message when it encodes", () => {
  const framing = parseFraming("fixed:4");
  const cases = [
    ["", "\0\0\0\0"],
    ["abc", "abc\0"],
    ["abcd", "abcd"],
    ["abcde", "abcde\0\0\0"],
    ["abcdefgh", "abcdefgh"],
  ];
  for (const [message, wire] of cases) {
    assertEquals(text(framing.encode(b(message))), wire);
    assertEquals(decode(framing, wire).frames, wire.match(/[^]{4}/g)!);
  }
});

Deno.test("fixed:N must fit the limit", () => {
  const framing = limited("fixed:4", 6);
  assertEquals(text(framing.encode(b("abcdef"))), "abcdef\0\0");
  assertTooLong(assertThrows(() => framing.encode(b("abcdefg"))), 7, 6);
  assertEquals(limited("fixed:4", 4).name, "fixed:4");
  for (const [size, limit] of [[4, 3], [65_537, 65_536], [2 ** 32, 65_536]]) {
    assertThrows(
      () => limited(`fixed:${size}`, limit),
      RangeError,
      `Cannot parse framing "fixed:${size}": its blocks are longer than a message may be, the limit is ${limit} bytes`,
    );
  }
});

for (const name of EXACT) {
  Deno.test(`${name} keeps its limit when it encodes and when it decodes`, () => {
    const limit = 6;
    const framing = limited(name, limit);
    const generous = parseFraming(name);
    for (const length of [0, limit - 1, limit]) {
      const wire = text(framing.encode(b(x(length))));
      assertEquals(wire, text(generous.encode(b(x(length)))));
      assertEquals(decode(framing, wire), {
        frames: [x(length)],
        error: undefined,
      });
    }
    const long = b(x(limit + 1));
    assertTooLong(assertThrows(() => framing.encode(long)), limit + 1, limit);
    const good = text(framing.encode(b("good")));
    const wire = text(generous.encode(long));
    for (const chunks of [[good + wire], singly(good + wire)]) {
      const { frames, error } = decode(framing, ...chunks);
      assertEquals(frames, ["good"]);
      assertTooLong(error, limit + 1, limit);
    }
  });
}

Deno.test("parseFraming() limits a frame to 65,536 bytes when nothing else is said", () => {
  assertEquals(DEFAULT_MAX_FRAME_LENGTH, 65_536);
  for (const name of ["lines", "u32", "u32le", "varint", "netstring"]) {
    const framing = parseFraming(name);
    assert(framing.encode(new Uint8Array(65_536)).length >= 65_536);
    const error = assertThrows(() => framing.encode(new Uint8Array(65_537)));
    assertTooLong(error, 65_537, 65_536);
  }
});

Deno.test("Framing.maxFrameLength is the limit when the framing can carry as much", () => {
  for (const name of [...EXACT, "fixed:3"]) {
    assertEquals(limited(name, 200).maxFrameLength, 200);
  }
  for (const name of ["u32", "u32le"]) {
    assertEquals(limited(name, 2 ** 40).maxFrameLength, 2 ** 32 - 1);
  }
  for (const name of ["lines", "varint", "netstring"]) {
    assertEquals(limited(name, 2 ** 40).maxFrameLength, 2 ** 40);
  }
});

Deno.test("parseFraming() limits a frame to what the prefix can say when the limit is higher", () => {
  for (
    const [name, most] of [["u8", 0xff], ["u16", 0xffff], [
      "u16le",
      0xffff,
    ]] as const
  ) {
    const framing = limited(name, 2 ** 40);
    assertEquals(framing.maxFrameLength, most);
    assertEquals(
      decode(framing, text(framing.encode(new Uint8Array(most)))).frames[0]
        .length,
      most,
    );
    assertTooLong(
      assertThrows(() => framing.encode(new Uint8Array(most + 1))),
      most + 1,
      most,
    );
  }
});

/** A limit of 100, the prefix that breaks it, and the length that it tells. */
const LONG_PREFIXES: [string, string, number][] = [
  ["u8", "\x65", 101],
  ["u8", "\xff", 255],
  ["u16", "\0\x65", 101],
  ["u16", "\xff\xff", 0xffff],
  ["u16le", "\x65\0", 101],
  ["u16le", "\0\x01", 256],
  ["u32", "\0\0\0\x65", 101],
  ["u32", "\x80\0\0\0", 0x80000000],
  ["u32", "\xff\xff\xff\xff", 0xffffffff],
  ["u32", "GET ", 1195725856],
  ["u32le", "\x65\0\0\0", 101],
  ["u32le", "\0\0\0\x80", 0x80000000],
  ["u32le", "\xff\xff\xff\xff", 0xffffffff],
  ["varint", "\x65", 101],
  ["varint", "\xe5", 101],
  ["varint", "\x80\x01", 128],
  ["varint", "\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01", 2 ** 63],
  ["netstring", "101", 101],
  ["netstring", "999", 999],
];

for (const [name, prefix, length] of LONG_PREFIXES) {
  Deno.test(`${name} refuses ${length} bytes as ${JSON.stringify(prefix)} when the prefix is read, before the payload`, () => {
    const framing = limited(name, 100);
    for (const chunks of [[prefix], singly(prefix)]) {
      const decoder = framing.createDecoder();
      const last = chunks.pop()!;
      for (const chunk of chunks) assertEquals([...decoder.push(b(chunk))], []);
      const error = assertThrows(() => [...decoder.push(b(last))]);
      assertTooLong(error, length, 100);
      assertKeepsThrowing(decoder, error);
    }
  });
}

Deno.test("lines refuses a line when it is too long, before its end comes", () => {
  const framing = limited("lines", 3);
  for (
    const chunks of [["abcd"], ["abc", "d"], ["ab\rd"], ["abc\r", "\r"], [
      "abcd\n",
    ], ["abcd\r\n"]]
  ) {
    const decoder = framing.createDecoder();
    const last = chunks.pop()!;
    for (const chunk of chunks) assertEquals([...decoder.push(b(chunk))], []);
    assertTooLong(assertThrows(() => [...decoder.push(b(last))]), 4, 3);
  }
});

Deno.test("lines does not count the CRLF when the line is as long as the limit", () => {
  const framing = limited("lines", 3);
  assertEquals(decode(framing, "abc\r\nabc\n\r\nabc\r").frames, [
    "abc",
    "abc",
    "",
    "abc",
  ]);
  assertEquals(decode(framing, "a", "bc\r", "\nabc", "\r", "\nabc").frames, [
    "abc",
    "abc",
    "abc",
  ]);
  assertEquals(text(framing.encode(b("ab\r"))), "ab\r\r\n");
  assertEquals(decode(framing, ...singly("ab\r\r\n")).frames, ["ab\r"]);
});

Deno.test("lines ends at LF and at CRLF when a CR stands anywhere", () => {
  const wire = "a\r\nb\nc\rd\n\r\n\n\r\r\n";
  const frames = ["a", "b", "c\rd", "", "", "\r"];
  for (let cut = 0; cut <= wire.length; cut++) {
    assertEquals(
      decode(parseFraming("lines"), wire.slice(0, cut), wire.slice(cut)).frames,
      frames,
    );
  }
});

Deno.test("lines gives the last line when the stream ends without a line end", () => {
  for (
    const [wire, frames] of [["a\nb", ["a", "b"]], ["a\n", ["a"]], ["", []], [
      "a\nb\r",
      ["a", "b"],
    ]] as const
  ) {
    assertEquals(decode(parseFraming("lines"), wire), {
      frames: [...frames],
      error: undefined,
    });
  }
});

Deno.test("lines cannot encode a line feed when it stands in the message", () => {
  for (const message of ["\n", "a\nb", "a\r\n"]) {
    const error = assertThrows(
      () => parseFraming("lines").encode(b(message)),
      Deno.errors.InvalidData,
    );
    assertEquals(error.message, "A line cannot hold a line feed");
  }
});

/** What comes after one whole frame, then how much there is of how much. */
const TRUNCATED: [string, string, number, number][] = [
  ["fixed:8", "a", 1, 8],
  ["fixed:8", "abcdefg", 7, 8],
  ["u8", "\x05", 0, 5],
  ["u8", "\x05hell", 4, 5],
  ["u16", "\0", 1, 2],
  ["u16", "\0\x05", 0, 5],
  ["u16", "\0\x05he", 2, 5],
  ["u16le", "\x05", 1, 2],
  ["u16le", "\x05\0", 0, 5],
  ["u16le", "\x05\0hell", 4, 5],
  ["u32", "\0", 1, 4],
  ["u32", "\0\0\0", 3, 4],
  ["u32", "\0\0\0\x05", 0, 5],
  ["u32", "\0\0\0\x05h", 1, 5],
  ["u32le", "\x05\0\0", 3, 4],
  ["u32le", "\x05\0\0\0", 0, 5],
  ["u32le", "\x05\0\0\0hell", 4, 5],
  ["varint", "\x80", 1, 2],
  ["varint", "\x80\x80", 2, 3],
  ["varint", "\xac\x02", 0, 300],
  ["varint", "\xac\x02he", 2, 300],
  ["netstring", "1", 1, 2],
  ["netstring", "12", 2, 3],
  ["netstring", "5:", 0, 6],
  ["netstring", "5:he", 2, 6],
  ["netstring", "5:hello", 5, 6],
  ["netstring", "0:", 0, 1],
];

for (const [name, wire, have, want] of TRUNCATED) {
  Deno.test(`${name} throws UnexpectedEof when the stream ends after ${JSON.stringify(wire)}`, () => {
    const framing = parseFraming(name);
    const good = text(framing.encode(b("goodgood")));
    for (const chunks of [[good + wire], [good, wire], singly(good + wire)]) {
      const { frames, error } = decode(framing, ...chunks);
      assertEquals(frames, ["goodgood"]);
      assertInstanceOf(error, Deno.errors.UnexpectedEof);
      assertEquals(
        error.message,
        `The stream ended inside a frame: after ${have} of ${want} bytes; ${MISMATCH}`,
      );
    }
  });
}

const LENGTH_AND_COLON = "a netstring starts with its length and a colon";
const NO_COMMA = "there is no comma after its payload";

const MALFORMED: [string, string, string][] = [
  ["netstring", ":", LENGTH_AND_COLON],
  ["netstring", "a", LENGTH_AND_COLON],
  ["netstring", "-1:a,", LENGTH_AND_COLON],
  ["netstring", " 1:a,", LENGTH_AND_COLON],
  ["netstring", "1;a,", LENGTH_AND_COLON],
  ["netstring", "1/", LENGTH_AND_COLON],
  ["netstring", "\n", LENGTH_AND_COLON],
  ["netstring", "00:,", LENGTH_AND_COLON],
  ["netstring", "05:hello,", LENGTH_AND_COLON],
  ["netstring", "5:hello\n", NO_COMMA],
  ["netstring", "5:hello5:hello,", NO_COMMA],
  ["netstring", "0:0", NO_COMMA],
  ["varint", "\x80".repeat(10), "its varint has more than 10 bytes"],
  ["varint", "\x80".repeat(10) + "\0", "its varint has more than 10 bytes"],
];

for (const [name, wire, reason] of MALFORMED) {
  Deno.test(`${name} throws InvalidData after the frames before it when it reads ${JSON.stringify(wire)}`, () => {
    const framing = parseFraming(name);
    const good = ["good", ""].map((message) => text(framing.encode(b(message))))
      .join("");
    for (const chunks of [[good + wire], [good, wire], singly(good + wire)]) {
      const { frames, error } = decode(framing, ...chunks);
      assertEquals(frames, ["good", ""]);
      assertInstanceOf(error, Deno.errors.InvalidData);
      assertEquals(error.message, `The frame is malformed: ${reason}`);
    }
  });
}

Deno.test("varint accepts a length when it has more bytes than it needs, up to 10", () => {
  const cases: [string, string][] = [
    ["\x82\0hi", "hi"],
    ["\x80\0", ""],
    ["\x82" + "\x80".repeat(8) + "\0hi", "hi"],
  ];
  for (const [wire, frame] of cases) {
    for (const chunks of [[wire], singly(wire)]) {
      assertEquals(decode(parseFraming("varint"), ...chunks), {
        frames: [frame],
        error: undefined,
      });
    }
  }
});

for (const name of ALL) {
  Deno.test(`${name} gives views when frames lie whole in the chunk`, () => {
    const framing = parseFraming(name);
    const wire = framing.encode(b("abc"));
    const chunk = new Uint8Array([...wire, ...wire]);
    const frames = [...framing.createDecoder().push(chunk)];
    assertEquals(frames.map(text).join(""), "abcabc");
    for (const frame of frames) assertStrictEquals(frame.buffer, chunk.buffer);
  });

  if (name === "raw") continue; // never joins two chunks
  Deno.test(`${name} gives frames that stay as they are when chunks are pushed and used again`, () => {
    const framing = parseFraming(name);
    const decoder = framing.createDecoder();
    const frames: Uint8Array[] = [];
    const chunk = new Uint8Array(2);
    for (const message of ["abc", "def", "ghi"]) {
      const wire = framing.encode(b(message));
      for (let i = 0; i < wire.length; i += 2) {
        const piece = chunk.subarray(0, Math.min(2, wire.length - i));
        piece.set(wire.subarray(i, i + 2));
        frames.push(...decoder.push(piece));
      }
    }
    assertEquals(frames.map(text), ["abc", "def", "ghi"]);
  });
}

for (
  const [name, prefix] of [
    ["u32", "\x01\0\0\0"],
    ["u32le", "\0\0\0\x01"],
    ["varint", "\x80\x80\x80\x08"],
    ["netstring", "16777216:"],
    ["fixed:16777216", ""],
    ["lines", ""],
  ]
) {
  Deno.test(`${name} takes memory for what has come when 16 MiB are announced`, () => {
    const framing = limited(name, 16_777_216);
    const before = Deno.memoryUsage().external;
    const decoders = Array.from({ length: 100 }, () => {
      const decoder = framing.createDecoder();
      for (const chunk of [prefix + "a", "b", "c"]) {
        assertEquals([...decoder.push(b(chunk))], []);
      }
      return decoder;
    });
    const grown = Deno.memoryUsage().external - before;
    assert(grown < 1_000_000, `${grown} bytes for ${decoders.length} decoders`);
  });
}

/** Counts how often memory is taken for an array, or another piece of it. */
function countSteps(act: () => void): number {
  const { Uint8Array } = globalThis;
  const { transfer } = ArrayBuffer.prototype;
  let count = 0;
  globalThis.Uint8Array = new Proxy(Uint8Array, {
    construct(target, args) {
      if (typeof args[0] === "number") count++; // else a view on memory
      return Reflect.construct(target, args);
    },
  });
  ArrayBuffer.prototype.transfer = function (length) {
    count++;
    return transfer.call(this, length);
  };
  try {
    act();
  } finally {
    globalThis.Uint8Array = Uint8Array;
    ArrayBuffer.prototype.transfer = transfer;
  }
  return count;
}

for (const name of [...EXACT.filter((name) => name !== "u8"), "fixed:65535"]) {
  Deno.test(`${name} takes memory in few steps when a long frame comes byte by byte`, () => {
    const decoder = parseFraming(name).createDecoder();
    const wire = parseFraming(name).encode(new Uint8Array(65_535).fill(0x61));
    const lengths: number[] = [];
    const count = countSteps(() => {
      for (let i = 0; i < wire.length; i++) {
        for (const frame of decoder.push(wire.subarray(i, i + 1))) {
          lengths.push(frame.length);
        }
      }
    });
    assertEquals(lengths, [65_535]);
    assert(count > 0 && count < 25, `${count} steps`);
  });
}

Deno.test("lines searches only what is new when a long line comes in pieces", () => {
  const framing = limited("lines", 2 ** 24);
  const decoder = framing.createDecoder();
  const piece = new Uint8Array(300).fill(0x61);
  const start = performance.now();
  let length = 0;
  while (length + piece.length <= 2 ** 24) {
    assertEquals([...decoder.push(piece)].length, 0);
    length += piece.length;
  }
  assertEquals([...decoder.push(b("\n"))].map((line) => line.length), [length]);
  assert(performance.now() - start < 10_000);
});

for (const name of EXACT) {
  Deno.test(`${name} keeps a joined frame in no more than it takes on the wire`, () => {
    const framing = limited(name, 200);
    const end = name === "lines" ? "\r\n" : "";
    const wire = end ? x(200) + end : text(framing.encode(b(x(200))));
    const first = text(framing.encode(b("first")));
    for (
      const chunks of [singly(wire), [
        first + wire.slice(0, -1),
        wire.slice(-1),
      ]]
    ) {
      const decoder = framing.createDecoder();
      const last = chunks.flatMap((chunk) => [...decoder.push(b(chunk))]).at(
        -1,
      )!;
      assertEquals(text(last), x(200));
      assert(last.buffer.byteLength <= wire.length);
    }
  });
}

Deno.test("parseFraming() knows each framing by its name", () => {
  for (const name of [...ALL, "fixed:1", "fixed:65536"]) {
    assertEquals(parseFraming(name).name, name);
  }
});

for (
  const name of [
    "",
    "line",
    "Lines",
    "u64",
    "u8le",
    " u8",
    "fixed",
    "fixed:",
    "fixed:0",
    "fixed:-1",
    "fixed:1.5",
    "fixed:1e3",
    "fixed:8 ",
    "unfixed:8",
    "toString",
    "__proto__",
  ]
) {
  Deno.test(`parseFraming() rejects ${JSON.stringify(name)}`, () => {
    assertEquals(
      assertThrows(() => parseFraming(name), SyntaxError).message,
      `Cannot parse framing "${name}": it must be one of raw, lines, u8, u16, u32, u16le, u32le, varint, netstring, or fixed:N with a block length from 1`,
    );
  });
}

for (const maxFrameLength of [-1, 1.5, NaN, Infinity, 2 ** 53]) {
  Deno.test(`parseFraming() rejects a limit when it is ${maxFrameLength}`, () => {
    assertEquals(
      assertThrows(() => limited("u8", maxFrameLength), RangeError).message,
      `Not a number of bytes: ${maxFrameLength}`,
    );
  });
}

/** Gives chunks one by one, and writes down when it is asked and when let go. */
async function* logged(log: string[], ...chunks: string[]) {
  try {
    for (const chunk of chunks) {
      log.push(`pull ${JSON.stringify(chunk)}`);
      yield await Promise.resolve(b(chunk));
    }
    log.push("end");
  } finally {
    log.push("released");
  }
}

for (const name of ALL) {
  Deno.test(`Framing.encodeInto() writes what encode() gives when there is room, framed as ${name}`, () => {
    const framing = parseFraming(name);
    for (const message of ["hello", "", "a\r", x(200)].map(b)) {
      const wire = framing.encode(message);
      const buffer = new Uint8Array(wire.length + 5).fill(0x3f);
      const end = 3 + wire.length;
      assertEquals(framing.encodeInto(message, buffer, 3), end);
      assertEquals(text(buffer), "???" + text(wire) + "??");
      const room = new Uint8Array(end);
      assertEquals(framing.encodeInto(message, room, 3), end);
      assertEquals(text(room.subarray(3)), text(wire));
      if (wire.length === 0) continue;
      const tight = new Uint8Array(end - 1);
      assertEquals(framing.encodeInto(message, tight, 3), end);
      assertEquals([...tight.subarray(0, 3)], [0, 0, 0]);
    }
  });
}

Deno.test("decodeFrames() asks for the next chunk when the frames are used up, not before", async () => {
  const log: string[] = [];
  const frames = decodeFrames(
    logged(log, "a\nb\nc", "d\n", "e"),
    parseFraming("lines"),
  );
  assertEquals(log, []);
  for await (const frame of frames) {
    log.push(text(frame));
    await new Promise((resolve) => setTimeout(resolve)); // time to read ahead
  }
  assertEquals(log, [
    'pull "a\\nb\\nc"',
    "a",
    "b",
    'pull "d\\n"',
    "cd",
    'pull "e"',
    "end",
    "released",
    "e",
  ]);
});

Deno.test("decodeFrames() lets its source go when the loop is left", async () => {
  const log: string[] = [];
  for await (
    const frame of decodeFrames(
      logged(log, "a\nb\n", "c\n"),
      parseFraming("lines"),
    )
  ) {
    log.push(text(frame));
    break;
  }
  assertEquals(log, ['pull "a\\nb\\n"', "a", "released"]);
});

Deno.test("decodeFrames() gives the frames before a bad one and lets its source go when it throws", async () => {
  const log: string[] = [];
  const error = await assertRejects(async () => {
    for await (
      const frame of decodeFrames(
        logged(log, "1:a,1:b,x", "1:c,"),
        parseFraming("netstring"),
      )
    ) log.push(text(frame));
  }, Deno.errors.InvalidData);
  assertEquals(error.message, `The frame is malformed: ${LENGTH_AND_COLON}`);
  assertEquals(log, ['pull "1:a,1:b,x"', "a", "b", "released"]);
});

Deno.test("decodeFrames() answers in order when it is asked several times at once", async () => {
  const frames = decodeFrames(
    logged([], "a\nb\nc", "d\n\ne\n"),
    parseFraming("lines"),
  );
  const results = await Promise.all(
    Array.from({ length: 7 }, () => frames.next()),
  );
  assertEquals(
    results.map(({ value }) => value && text(value)),
    ["a", "b", "cd", "", "e", undefined, undefined],
  );
});

Deno.test("decodeFrames() gives nothing more when it was told to return, or has thrown", async () => {
  const log: string[] = [];
  const returned = decodeFrames(logged(log, "a\nb\n"), parseFraming("lines"));
  await returned.next();
  const end = { done: true as const, value: undefined };
  assertEquals(await returned.return(), end);
  assertEquals(await returned.next(), end);

  const thrown = decodeFrames(logged(log, "1:a,x"), parseFraming("netstring"));
  await thrown.next();
  await assertRejects(() => thrown.next(), Deno.errors.InvalidData);
  assertEquals(await thrown.next(), end);

  await using told = decodeFrames(logged(log, "c\n"), parseFraming("lines"));
  await told.next();
  await assertRejects(() => told.throw(new Error("Enough")), Error, "Enough");
  assertEquals(await told.next(), end);
  assertEquals(log.filter((line) => line === "released").length, 3);
});

Deno.test("decodeFrames() lets its source go when it is disposed of", async () => {
  const log: string[] = [];
  {
    await using lines = decodeFrames(logged(log, "a\n"), parseFraming("lines"));
    await lines.next();
  }
  assertEquals(log, ['pull "a\\n"', "released"]);
});

Deno.test("decodeFrames() throws when the source ends inside a frame", async () => {
  await assertRejects(
    () => Array.fromAsync(decodeFrames([b("\x05he")], parseFraming("u8"))),
    Deno.errors.UnexpectedEof,
    "after 2 of 5 bytes",
  );
});

/** Answers each frame, slowly, until the client has said its last. */
async function answerSlowly(listener: Deno.Listener, framing: Framing) {
  using conn = await listener.accept();
  const writer = conn.writable.getWriter();
  for await (const frame of decodeFrames(conn.readable, framing)) {
    await new Promise((resolve) => setTimeout(resolve, 30));
    await writer.write(framing.encode(frame));
  }
}

for (const name of EXACT) {
  Deno.test(`decodeFrames() loses no answer when a client closes its half at once, framed as ${name}`, async () => {
    const framing = parseFraming(name);
    const most = name === "u8" ? 255 : 65_000;
    const messages = ["hello", "", x(most), "a", x(most - 1)];
    using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
    const server = answerSlowly(listener, framing);
    using conn = await Deno.connect({
      hostname: "127.0.0.1",
      port: listener.addr.port,
    });
    const sent = writeAll(
      conn,
      concatenate(messages.map((message) => framing.encode(b(message)))),
    ).then(() => conn.closeWrite());
    const answers = await Array.fromAsync(
      decodeFrames(conn.readable, framing),
      text,
    );
    await Promise.all([sent, server]);
    assertEquals(answers, messages);
  });
}
