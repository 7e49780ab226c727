/**
 * What a peer may send to take over a terminal, or to be taken for another.
 *
 * @module
 */
import { bytes } from "../support/helpers.ts";

function range(first: number, last: number): string[] {
  return Array.from(
    { length: last - first + 1 },
    (_, i) => String.fromCodePoint(first + i),
  );
}

/** Commands of a terminal's operating system: title, clipboard, link, ... */
const OSC = [
  ...["0;owned", "1;icon", "2;title", "4;1;rgb:0/0/0", "7;file:///etc/passwd"],
  ...["8;;http://evil.example", "9;notify", "10;#fff", "11;?", "12;red"],
  ...["50;?", "52;c;cm0gLXJmIC8K", "52;c;?", "104", "133;A", "777;notify;a;b"],
  ...["1337;File=inline=1:AAAA"],
];

/** Control sequences: colour, cursor, erasing, modes, reports. */
const CSI = [
  ...["31m", "0m", "8m", "7m", "38;5;1m", "2J", "3J", "K", "1K", "2K", "H"],
  ...["1A", "9A", "1B", "5C", "5D", "1;1H", "s", "u", "6n", "c", ">c", "21t"],
  ...["?25l", "?1049h", "?2004h", "?1000h", "20h", "4h", "5i", "4i", "1;9r"],
  ...["!p", "1L", "1M", "99P", "99@", "99S"],
];

/** Others that take a string, and single escapes. */
const ESCAPES = [
  ...['P$q"p\x1b\\', "P1000p", "_apc\x1b\\", "^pm\x1b\\", "Xsos\x1b\\"],
  ...["c", "7", "8", "D", "E", "M", "H", "Z", "N", "O", "#8", "%@", "(0", "=>"],
];

/** What would put words into another's mouth. */
const FORGERIES = [
  "<user1> I owe you",
  "<announce> the server stops",
  "* user1 left",
  "* you are user1, 2 here",
  "hello\r<user1> I owe you",
  "hello\r\x1b[K<user1> I owe you",
  "\b\b\b\b\b\b\b\b<user1> I owe you",
  "\x1b[1A\r<user1> I owe you",
  "\x1b[1F<user1> I owe you",
  "hello\u2028<user1> I owe you",
  "hello\u2029<user1> I owe you",
  "hello\x85<user1> I owe you",
  "hello\x0b<user1> I owe you",
  "hello\x0c<user1> I owe you",
  "\u202e>1resu<",
  "\u2067<user1>\u2069",
  "\ufeff<user1> I owe you",
  "\u{e0001}<user1> I owe you",
  "hello\r\r\r<user1> I owe you",
  '"}\r{"level":"error","message":"forged"',
  "127.0.0.1:1 connected\r",
  "\r -> ",
];

/** Bytes that are no UTF-8, but C1 to a terminal that takes single bytes. */
const BAD_BYTES = [
  ...range(0x80, 0x9f).map((c) => [c.charCodeAt(0), 0x33, 0x31, 0x6d]),
  [0xc0, 0x9b],
  [0xe0, 0x82, 0x9b],
  [0xf0, 0x80, 0x80, 0x9b],
  [0xed, 0xa0, 0x80],
  [0xf4, 0x90, 0x80, 0x80],
  [0xff, 0xfe],
];

const TEXTS = [
  ...range(0x00, 0x1f).filter((control) => control !== "\n"),
  ...range(0x7f, 0x9f),
  ...["\u061c", "\u200e", "\u200f", "\ufeff", "\u{e0001}", "\u{e0041}"],
  ...[...range(0x2028, 0x202e), ...range(0x2066, 0x2069)],
  ...range(0xfff9, 0xfffb),
].map((character) => `a${character}b`);

const SEQUENCES = [
  ...OSC.flatMap((osc) =>
    ["\x1b]", "\x9d"].flatMap((start) =>
      ["\x07", "\x1b\\", "\x9c"].map((end) => start + osc + end)
    )
  ),
  ...CSI.flatMap((csi) => [`\x1b[${csi}`, `\x9b${csi}`]),
  ...ESCAPES.map((escape) => `\x1b${escape}`),
];

/** Each attack, none with a line feed. */
export const ATTACKS: Uint8Array<ArrayBuffer>[] = [
  ...[...TEXTS, ...SEQUENCES, ...FORGERIES].map(bytes),
  ...BAD_BYTES.map((bad) => new Uint8Array(bad)),
];

/** By these our own prompt comes and goes; no attack has one of them. */
const OUR_SEQUENCES = ["\r\x1b[K", "\x1b[1G", "\x1b[0J", "\x1b[5G"];
const OBEYED_REGEXP =
  /(?![\n\t])[\p{Cc}\p{Bidi_Control}\u2028\u2029\ufeff\ufff9-\ufffb\u{e0000}-\u{e007f}]/u;

/**
 * Takes the sequences of our own prompt out of what a terminal got, and asserts
 * that nothing is left that it would obey.
 */
export function assertHarmless(shown: string): string {
  const rest = OUR_SEQUENCES.reduce(
    (text, sequence) => text.replaceAll(sequence, ""),
    shown,
  );
  const found = OBEYED_REGEXP.exec(rest);
  if (found !== null) {
    const near = rest.slice(Math.max(0, found.index - 40), found.index + 40);
    throw new Error(`The terminal got ${JSON.stringify(near)}`);
  }
  return rest;
}
