/** What a peer sent, on its way to a terminal: every unsafe character shown, all others untouched. */
import { assertEquals, assertMatch } from "@std/assert";
import {
  hexDump,
  safeJson,
  safeLine,
  SafeTextDecoder,
} from "../../lib/text.ts";

/** First and last of each run of code points that a terminal must not get. */
const UNSAFE: [number, number][] = [
  [0x00, 0x1f], // C0 controls
  [0x7f, 0x9f], // delete, C1 controls
  [0x061c, 0x061c], // Arabic letter mark
  [0x200e, 0x200f], // left-to-right and right-to-left marks
  [0x2028, 0x202e], // line separators, bidirectional embeddings and overrides
  [0x2066, 0x2069], // bidirectional isolates
  [0xfeff, 0xfeff], // byte order mark
  [0xfff9, 0xfffb], // interlinear annotation
  [0xe0000, 0xe007f], // tags
];

const ORDINARY = [
  "plain ASCII ~ \\x1b {}[]",
  "👩‍👩‍👧 🏳️‍🌈 👍🏽 ☎️", // joined by U+200D, varied by U+FE0F
  "مرحبا بالعالم שלום",
  "e\u0301 n\u0303 क्षि ก็",
  "日本語 한국어 Ελλάδα ÿ \u00a0 \u00ad \ufffd",
  "",
];

/** Which code points a function changes, as runs; checks how it shows them. */
function changedRuns(safe: (text: string) => string): [number, number][] {
  const runs: [number, number][] = [];
  for (let code = 0; code <= 0x10ffff; code++) {
    if (code === 0xd800) code = 0xe000; // surrogates are no characters
    const character = String.fromCodePoint(code);
    const shown = safe(character);
    if (shown === character) continue;
    const width = code < 0x100 ? 2 : 4;
    const hex = code.toString(16).padStart(width, "0");
    assertEquals(
      shown,
      code < 0x100 ? `\\x${hex}` : code < 0x10000 ? `\\u${hex}` : `\\u{${hex}}`,
    );
    const run = runs.at(-1);
    if (run?.[1] === code - 1) run[1] = code;
    else runs.push([code, code]);
  }
  return runs;
}

Deno.test("safeLine() shows every unsafe character and no other when given all of Unicode", () => {
  assertEquals(changedRuns(safeLine), UNSAFE);
});

Deno.test("SafeTextDecoder leaves line feeds and tabs alone when given all of Unicode", () => {
  const [, ...rest] = UNSAFE;
  const decoder = new SafeTextDecoder();
  const encoder = new TextEncoder();
  const safeText = (text: string) =>
    decoder.push(encoder.encode(`${text}|`)).slice(0, -1);
  assertEquals(changedRuns(safeText), [[0, 8], [0x0b, 0x1f], ...rest]);
});

for (const text of ORDINARY) {
  Deno.test(`safeLine() changes nothing when the text is ${JSON.stringify(text)}`, () => {
    const decoded = decodeText(new TextEncoder().encode(text));
    assertEquals([safeLine(text), decoded], [text, text]);
  });
}

Deno.test("safeLine() shows escape sequences when they lie within text", () => {
  const cases = [
    ["\x1b]0;title\x07", "\\x1b]0;title\\x07"],
    ["\x1b[2J\x9b1m", "\\x1b[2J\\x9b1m"],
    ["a\r\n<root> b\u2028c", "a\\x0d\\x0a<root> b\\u2028c"],
    ["user\u202etxt.exe\u202c", "user\\u202etxt.exe\\u202c"],
    ["x\u{e0041}\u{e007f}", "x\\u{e0041}\\u{e007f}"],
  ];
  for (const [text, shown] of cases) assertEquals(safeLine(text), shown);
});

Deno.test("safeJson() means the same and holds nothing unsafe when given what is unsafe", () => {
  for (const code of [...UNSAFE.flat(), 0x1b, 0x85, 0x202e, 0xe0041]) {
    const text = `a"${String.fromCodePoint(code)}\\`;
    const json = safeJson({ text });
    assertEquals(safeLine(json), json);
    assertEquals(JSON.parse(json), { text });
  }
  assertEquals(safeJson("\x9b\u{e0041}é😀"), '"\\u009b\\udb40\\udc41é😀"');
});

Deno.test("SafeTextDecoder shows a carriage return when it could overwrite a line", () => {
  const shown = decodeText(latin1("good\rbad\r\r\n\tend\r"));
  assertEquals(shown, "good\\x0dbad\\x0d\n\tend\\x0d");
});

function latin1(text: string): Uint8Array {
  return Uint8Array.from(text, (character) => character.charCodeAt(0));
}

function concat(...parts: Uint8Array[]): Uint8Array {
  return Uint8Array.from(parts.flatMap((part) => [...part]));
}

function decodeText(...chunks: Uint8Array[]): string {
  const decoder = new SafeTextDecoder();
  return chunks.map((chunk) => decoder.push(chunk)).join("") +
    decoder.finish();
}

/** Bytes in which every cut hurts, and the text that they stand for. */
const TRICKY = concat(
  new TextEncoder().encode(
    "\ufeff1\r\n2\r3\r\r\n\n\t\x1b[0m\x00é€😀 👩‍👧 مرحبا e\u0301 \u202e\u0085\u{e0041}",
  ),
  // Bytes that are not UTF-8: alone, one short, too long, a surrogate, cut off.
  latin1(
    "|\xff|\xc3(|\xe2\x82|\xc0\xaf|\xed\xa0\x80|\xf0\x9f\x98|\r\n\r\xe2\x82",
  ),
);
const TRICKY_SHOWN =
  "\\ufeff1\n2\\x0d3\\x0d\n\n\t\\x1b[0m\\x00é€😀 👩‍👧 مرحبا e\u0301 \\u202e\\x85\\u{e0041}" +
  "|\ufffd|\ufffd(|\ufffd|\ufffd\ufffd|\ufffd\ufffd\ufffd|\ufffd|\n\\x0d\ufffd";

Deno.test("SafeTextDecoder gives the same text when cut at any one or two bytes", () => {
  assertEquals(decodeText(TRICKY), TRICKY_SHOWN);
  for (let first = 0; first <= TRICKY.length; first++) {
    for (let second = first; second <= TRICKY.length; second++) {
      assertEquals(
        decodeText(
          TRICKY.subarray(0, first),
          TRICKY.subarray(first, second),
          TRICKY.subarray(second),
        ),
        TRICKY_SHOWN,
        `cut at ${first} and ${second}`,
      );
    }
  }
});

Deno.test("SafeTextDecoder gives the same text when it comes byte by byte", () => {
  const chunks = Array.from(TRICKY, (byte) => Uint8Array.of(byte));
  assertEquals(decodeText(...chunks), TRICKY_SHOWN);
});

Deno.test("SafeTextDecoder holds back no more than it must when a chunk ends", () => {
  const decoder = new SafeTextDecoder();
  const given = ["a", "\r", "b\r", "\n", "\xe2", "\x82", "\xac!", "\r"]
    .map((chunk) => decoder.push(latin1(chunk)));
  assertEquals(given, ["a", "", "\\x0db", "\n", "", "", "€!", ""]);
  assertEquals(decoder.finish(), "\\x0d");
});

/** Counts up from zero. */
function counting(length: number): Uint8Array {
  return Uint8Array.from({ length }, (_, index) => index);
}

const ROW = "00 01 02 03 04 05 06 07  08 09 0a 0b 0c 0d 0e 0f";

const DUMPS: [Uint8Array, number, string][] = [
  [counting(0), 0, ""],
  [counting(0), 16, ""],
  [counting(1), 0, `00000000  00${" ".repeat(48)}|.|\n`],
  [
    latin1("12345678"),
    0,
    `00000000  31 32 33 34 35 36 37 38${" ".repeat(27)}|12345678|\n`,
  ],
  [
    latin1("123456789"),
    0,
    `00000000  31 32 33 34 35 36 37 38  39${" ".repeat(23)}|123456789|\n`,
  ],
  [counting(15), 0, `00000000  ${ROW.slice(0, -3)}     |${".".repeat(15)}|\n`],
  [counting(16), 0, `00000000  ${ROW}  |${".".repeat(16)}|\n`],
  [
    counting(17),
    0,
    `00000000  ${ROW}  |${".".repeat(16)}|\n00000010  10${" ".repeat(48)}|.|\n`,
  ],
  [latin1("~\x7f \x1f"), 10, `0000000a  7e 7f 20 1f${" ".repeat(39)}|~. .|\n`],
  [
    counting(17),
    0xfffffff8,
    `fffffff8  ${ROW}  |${".".repeat(16)}|\n100000008  10${
      " ".repeat(48)
    }|.|\n`,
  ],
];

for (const [bytes, offset, dump] of DUMPS) {
  Deno.test(`hexDump() lines up when it has ${bytes.length} bytes at ${offset}`, () => {
    assertEquals(hexDump(bytes, offset), dump);
  });
}

Deno.test("hexDump() counts from 0 when no offset is given", () => {
  assertEquals(hexDump(counting(20)), hexDump(counting(20), 0));
});

Deno.test("hexDump() shows a byte as itself when it is printable ASCII", () => {
  const columns = hexDump(counting(256)).trimEnd().split("\n")
    .map((row) => row.slice(61, -1)).join("");
  const printable = String.fromCharCode(...counting(0x7f).subarray(0x20));
  assertEquals(columns, ".".repeat(0x20) + printable + ".".repeat(0x81));
});

Deno.test("hexDump() writes only printable ASCII when the bytes are anything", () => {
  assertMatch(hexDump(counting(256)), /^(?:[ -~]+\n){16}$/);
});
