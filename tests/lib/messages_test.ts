/** Messages out of a program's input, and messages printed as they come. */
import {
  assertEquals,
  assertInstanceOf,
  assertRejects,
  assertStrictEquals,
} from "@std/assert";
import {
  FrameTooLongError,
  parseFraming,
  TruncatedFrameError,
} from "../../lib/framing.ts";
import {
  encodeTyped,
  frameInput,
  inputOf,
  MessagePrinter,
} from "../../lib/messages.ts";
import { Output } from "../../lib/output.ts";
import { concatenate } from "../../lib/stream.ts";
import { Page, Typist } from "../support/fakes.ts";
import { bytes, text } from "../support/helpers.ts";

/** The framing, CRLF or not, the input in pieces, and the wire. */
const INPUTS: [string, boolean, string[], string][] = [
  ["lines", false, ["one\ntw", "o\r\n\nthree"], "one\ntwo\n\nthree\n"],
  ["lines", true, ["one\ntwo\r\n\n"], "one\r\ntwo\r\n\r\n"],
  ["raw", false, ["one\r\ntwo"], "one\ntwo\n"],
  ["raw", true, ["one\ntwo"], "one\r\ntwo\r\n"],
  ["u16", false, ["one\n\ntwo\r\n"], "\0\x03one\0\0\0\x03two"],
  ["u16", true, ["one"], "\0\x03one"],
  ["netstring", false, ["hello\n"], "5:hello,"],
  ["fixed:4", false, ["abc", "defgh", "ij"], "abcdefghij\0\0"],
  ["fixed:4", false, ["a", "b", "c", "d"], "abcd"],
  ["fixed:4", false, ["a\nb\0", "\r\n"], "a\nb\0\r\n\0\0"],
  ["fixed:1", false, ["abc"], "abc"],
  ["lines", false, [], ""],
  ["u16", false, [], ""],
  ["fixed:4", false, [], ""],
];

for (const [name, crlf, pieces, wire] of INPUTS) {
  const input = JSON.stringify(pieces);
  Deno.test(`frameInput() sends ${input} as ${name}, crlf ${crlf}`, async () => {
    const source = new Typist(...pieces).end();
    const sent = frameInput(source, parseFraming(name), crlf);
    assertEquals(text(concatenate(await Array.fromAsync(sent))), wire);
  });
}

Deno.test("frameInput() gives each message as soon as it is there", async () => {
  for (const [name, typed] of [["lines", "one\ntw"], ["fixed:4", "one\ntw"]]) {
    const sent = frameInput(new Typist(typed), parseFraming(name));
    const { value } = await sent.next();
    assertEquals(text(value as Uint8Array), "one\n");
  }
});

Deno.test("frameInput() refuses a line that the framing cannot carry", async () => {
  const source = new Typist("short\n", "x".repeat(256), "\n").end();
  const sent = frameInput(source, parseFraming("u8"));
  assertEquals(text((await sent.next()).value as Uint8Array), "\x05short");
  await assertRejects(() => sent.next(), FrameTooLongError);
});

/** The framing, CRLF or not, and what goes out for the texts `a` and nothing. */
const TEXTS: [string, boolean, string][] = [
  ["raw", false, "a"],
  ["raw", true, "a\r\n\r\n"],
  ["lines", false, "a\n\n"],
  ["lines", true, "a\r\n\r\n"],
  ["u16", false, "\0\x01a\0\0"],
  ["fixed:2", false, "a\0\0\0"],
];

for (const [name, crlf, wire] of TEXTS) {
  Deno.test(`inputOf() sends texts as ${name}, crlf ${crlf}`, async () => {
    const options = { send: ["a", ""], noStdin: true, crlf };
    const source = inputOf(options, parseFraming(name));
    const sent = await Array.fromAsync(source as AsyncIterable<Uint8Array>);
    assertEquals(text(concatenate(sent)), wire);
  });
}

Deno.test("inputOf() takes raw input as it is", () => {
  const options = { send: [], noStdin: false, crlf: false };
  assertStrictEquals(inputOf(options, parseFraming("raw")), Deno.stdin);
});

/** What a printer prints of some pieces, and what it throws. */
async function print(name: string, hex: boolean, pieces: string[]) {
  const page = new Page(3);
  const output = new Output({ to: page, terminal: false, hex });
  const framing = parseFraming(name, { maxFrameLength: 10 });
  const printer = new MessagePrinter(output, framing);
  try {
    for (const piece of pieces) {
      assertEquals(await printer.write(bytes(piece)), piece.length);
    }
    await printer.finish();
  } catch (error) {
    return { printed: page.text, error };
  }
  return { printed: page.text };
}

/** The framing, what comes, what is printed. */
const MESSAGES: [string, string[], string][] = [
  ["u8", ["\x03one\x00\x03two"], "one\n\ntwo\n"],
  ["u8", ["\x03", "on", "e\x03tw", "o"], "one\ntwo\n"],
  ["u8", ["\x03a\nb"], "a\nb\n"],
  ["netstring", ["3:one,0:,"], "one\n\n"],
  ["lines", ["one\r\ntw", "o\nthree"], "one\ntwo\nthree\n"],
  ["fixed:4", ["abcdef", "gh"], "abcdefgh"],
  ["u8", [], ""],
];

for (const [name, pieces, printed] of MESSAGES) {
  const sent = JSON.stringify(pieces);
  Deno.test(`MessagePrinter() prints ${sent} in ${name}`, async () => {
    assertEquals(await print(name, false, pieces), { printed });
  });
}

Deno.test("MessagePrinter() adds nothing to hexadecimal", async () => {
  const { printed } = await print("u8", true, ["\x02hi\x01!"]);
  const row = "68 69 21".padEnd(49);
  assertEquals(printed, `00000000  ${row} |hi!|\n`);
});

/** The framing, what comes, what of it is printed, what is wrong. */
const BROKEN: [string, string[], string, unknown][] = [
  ["u8", ["\x03one\x05hel"], "one\n", TruncatedFrameError],
  ["u8", ["\x03one", "\x05"], "one\n", TruncatedFrameError],
  ["u8", ["\x03one\x0b", "x"], "one\n", FrameTooLongError],
  ["netstring", ["3:one,3:two;"], "one\n", Deno.errors.InvalidData],
  ["fixed:4", ["abcdef"], "abcd", TruncatedFrameError],
  ["lines", [`one\n${"x".repeat(11)}`], "one\n", FrameTooLongError],
];

for (const [name, pieces, printed, type] of BROKEN) {
  const sent = JSON.stringify(pieces);
  Deno.test(`MessagePrinter() prints what is whole of ${sent} in ${name}`, async () => {
    const result = await print(name, false, pieces);
    assertEquals(result.printed, printed);
    assertInstanceOf(result.error, type as typeof Error);
  });
}

/** The framing, whether lines end with CRLF, and `hi` on the wire. */
const TYPED: [string, boolean, string][] = [
  ["raw", false, "hi\n"],
  ["raw", true, "hi\r\n"],
  ["lines", false, "hi\n"],
  ["lines", true, "hi\r\n"],
  ["fixed:4", false, "hi\0\0"],
  ["u8", false, "\x02hi"],
  ["u16", false, "\0\x02hi"],
  ["u16", true, "\0\x02hi"],
  ["u32le", false, "\x02\0\0\0hi"],
  ["varint", false, "\x02hi"],
  ["netstring", true, "2:hi,"],
];

for (const [name, crlf, wire] of TYPED) {
  Deno.test(`encodeTyped() sends hi in ${name}${crlf ? " with CRLF" : ""}`, () => {
    const framing = parseFraming(name);
    assertEquals(encodeTyped(bytes("hi"), framing, crlf), bytes(wire));
  });
}

Deno.test("encodeTyped() sends an empty line", () => {
  assertEquals(encodeTyped(bytes(""), parseFraming("raw")), bytes("\n"));
  assertEquals(encodeTyped(bytes(""), parseFraming("u8")), bytes("\0"));
});
