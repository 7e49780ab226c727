/** Every framing against a naive decoder that has all bytes at once, and the echo of lines; `-- --runs=N` sets the runs of a property. */
import { assert, assertEquals, assertThrows } from "@std/assert";
import fc from "fast-check";
import {
  FrameTooLongError,
  type Framing,
  parseFraming,
} from "../../lib/framing.ts";
import { answer, type Reply, unchanged } from "../../lib/modes/services.ts";

const RUNS = Number(
  Deno.args.find((argument) => argument.startsWith("--runs="))
    ?.slice("--runs=".length) ?? 1_000,
);
assert(
  Number.isSafeInteger(RUNS) && RUNS > 0,
  "--runs must be a whole number from 1",
);

const BLOCK = 12;
const FIXED = `fixed:${BLOCK}`;
const NAMES = [
  "raw",
  "lines",
  FIXED,
  "u8",
  "u16",
  "u32",
  "u16le",
  "u32le",
  "varint",
  "netstring",
];

type Failure = "FrameTooLongError" | "UnexpectedEof" | "InvalidData";

/** The frames in a stream, as texts of U+0000 to U+00FF, and how it ends. */
interface Outcome {
  frames: string[];
  failure: Failure | undefined;
}

/** Where the payload of a frame lies and the next frame starts, or why not. */
type Found = { start: number; end: number; next: number } | Failure;

/** Finds the first frame of a text that is not empty. */
type Find = (text: string, limit: number) => Found;

const FIND: Record<string, Find> = {
  lines(text, limit) {
    const [line] = text.split("\n", 1);
    const end = line.replace(/\r$/, "").length;
    if (end > limit) return "FrameTooLongError";
    return { start: 0, end, next: line.length + 1 };
  },
  [FIXED]: (text) => payload(text, 0, BLOCK),
  u8: integer(1, (digits) => digits),
  u16: integer(2, (digits) => digits),
  u32: integer(4, (digits) => digits),
  u16le: integer(2, (digits) => digits.reverse()),
  u32le: integer(4, (digits) => digits.reverse()),
  varint(text, limit) {
    const [digits] = /^[\x80-\xff]{0,9}[^]?/.exec(text)!;
    const length = [...digits].reduceRight(
      (sum, digit) => sum * 128n + BigInt(digit.charCodeAt(0) % 128),
      0n,
    );
    if (length > limit) return "FrameTooLongError";
    if (digits.at(-1)! < "\x80") return payload(text, digits.length, length);
    return digits.length === 10 ? "InvalidData" : "UnexpectedEof";
  },
  netstring(text, limit) {
    const [digits] = /^(0|[1-9]\d*)?/.exec(text)!;
    if (BigInt(digits) > limit) return "FrameTooLongError";
    if (digits === text) return "UnexpectedEof";
    const colon = digits.length;
    if (digits === "" || text[colon] !== ":") return "InvalidData";
    const found = payload(text, colon + 1, digits, 1);
    if (typeof found === "string" || text[found.end] === ",") return found;
    return "InvalidData";
  },
};

function integer(width: number, sort: (digits: string[]) => string[]): Find {
  return (text, limit) => {
    if (text.length < width) return "UnexpectedEof";
    const hex = sort([...text.slice(0, width)])
      .map((digit) => digit.charCodeAt(0).toString(16).padStart(2, "0"));
    const length = parseInt(hex.join(""), 16);
    return length > limit ? "FrameTooLongError" : payload(text, width, length);
  };
}

function payload(
  text: string,
  start: number,
  length: number | bigint | string,
  trailer = 0,
): Found {
  const end = start + Number(length);
  const next = end + trailer;
  return next > text.length ? "UnexpectedEof" : { start, end, next };
}

/** What must come. Raw gives any pieces, so all of its count as one frame. */
function decodeNaively(name: string, text: string, limit: number): Outcome {
  if (name === "raw") {
    return { frames: [text], failure: undefined };
  }
  const frames: string[] = [];
  while (text !== "") {
    const found = FIND[name](text, limit);
    if (typeof found === "string") return { frames, failure: found };
    frames.push(text.slice(found.start, found.end));
    text = text.slice(found.next);
  }
  return { frames, failure: undefined };
}

/** What comes, chunk by chunk. */
function decode(framing: Framing, chunks: Uint8Array[]): Outcome {
  const decoder = framing.createDecoder();
  // As texts only at the end: a frame must still be what it was by then.
  const frames: Uint8Array[] = [];
  let failure: Failure | undefined;
  try {
    for (const chunk of chunks) {
      for (const frame of decoder.push(chunk)) frames.push(frame);
    }
    for (const frame of decoder.finish()) frames.push(frame);
  } catch (error) {
    failure = failureOf(error);
  }
  return framing.name === "raw"
    ? { frames: [toText(concat(frames))], failure }
    : { frames: frames.map(toText), failure };
}

function failureOf(error: unknown): Failure {
  if (error instanceof FrameTooLongError) return "FrameTooLongError";
  if (error instanceof Deno.errors.UnexpectedEof) return "UnexpectedEof";
  if (error instanceof Deno.errors.InvalidData) return "InvalidData";
  throw error;
}

function toText(bytes: Uint8Array): string {
  // A spread does the same in seven times the time.
  return Reflect.apply(String.fromCharCode, null, bytes);
}

function concat(parts: Uint8Array[]): Uint8Array {
  const length = parts.reduce((sum, part) => sum + part.length, 0);
  const bytes = new Uint8Array(length);
  let start = 0;
  for (const part of parts) {
    bytes.set(part, start);
    start += part.length;
  }
  return bytes;
}

/** Compares without the cost of a deep comparison, which only explains. */
function assertSame(actual: Outcome, expected: Outcome, message?: string) {
  const same = actual.failure === expected.failure &&
    actual.frames.length === expected.frames.length &&
    actual.frames.every((frame, index) => frame === expected.frames[index]);
  if (!same) assertEquals(actual, expected, message);
}

type Cuts = number[] | "every byte";

/** Chunks of their own memory, cut at the places that the numbers fall on. */
function chop(bytes: Uint8Array, cuts: Cuts): Uint8Array[] {
  const places = cuts === "every byte"
    ? [...bytes.keys()]
    : cuts.map((cut) => cut % (bytes.length + 1)).sort((a, b) => a - b);
  return [...places, bytes.length]
    .map((place, index) => bytes.slice(places[index - 1] ?? 0, place));
}

const cuts: fc.Arbitrary<Cuts> = fc.oneof(
  { weight: 4, arbitrary: fc.array(fc.nat(1_000), { maxLength: 8 }) },
  { weight: 1, arbitrary: fc.constant("every byte" as const) },
);

/** Short messages, and not too seldom one about as long as a prefix grows at. */
const message = fc.oneof(
  { weight: 6, arbitrary: fc.uint8Array({ maxLength: 15 }) },
  {
    weight: 1,
    arbitrary: fc.tuple(fc.constantFrom(99, 100, 127, 128, 255), fc.nat(255))
      .map(([length, byte]) => new Uint8Array(length).fill(byte)),
  },
);

function withoutLineFeeds(bytes: Uint8Array): Uint8Array {
  return bytes.map((byte) => byte === 0x0a ? 0x0d : byte); // and more CR
}

/** What a list of messages comes out as. */
function received(name: string, messages: Uint8Array[]): string[] {
  const texts = messages.map(toText);
  if (name === "raw") return [texts.join("")];
  if (name !== FIXED) return texts;
  return texts.flatMap((text) => {
    const blocks = text.match(/[^]{1,12}/g) ?? [""];
    return blocks.map((block) => block.padEnd(BLOCK, "\0"));
  });
}

for (const name of NAMES) {
  Deno.test(`${name} gives back any messages when they are chopped anywhere`, () => {
    const framing = parseFraming(name);
    const messages = fc.array(
      name === "lines" ? message.map(withoutLineFeeds) : message,
      { maxLength: 6 },
    );
    fc.assert(
      fc.property(messages, cuts, (messages, cuts) => {
        const wire = concat(messages.map(framing.encode));
        const actual = decode(framing, chop(wire, cuts));
        assertSame(actual, decodeNaively(name, toText(wire), 65_536));
        assertSame(actual, {
          frames: received(name, messages),
          failure: undefined,
        });
      }),
      { numRuns: RUNS },
    );
  });
}

/** Bytes of which each means something to some framing. */
const MARKS = Array.from(
  "\0\0\x01\x02\x03\x07\x7f\x80\x80\x81\xff\n\n\r01239:,,",
  (mark) => mark.charCodeAt(0),
);
const byte = fc.oneof(fc.constantFrom(...MARKS), fc.nat(255));
const garbage = fc.array(byte, { maxLength: 40 }).map((bytes) =>
  new Uint8Array(bytes)
);

for (const name of NAMES) {
  Deno.test(`${name} fails as the naive decoder does when the bytes are garbage`, () => {
    const limit = fc.integer({ min: name === FIXED ? BLOCK : 0, max: 20 });
    fc.assert(
      fc.property(garbage, limit, cuts, (bytes, limit, cuts) => {
        const framing = parseFraming(name, { maxFrameLength: limit });
        const actual = decode(framing, chop(bytes, cuts));
        assertSame(actual, decodeNaively(name, toText(bytes), limit));
      }),
      { numRuns: RUNS },
    );
  });
}

/** A message with bytes of every kind but LF. */
function filled(length: number): Uint8Array {
  return withoutLineFeeds(
    Uint8Array.from({ length }, (_, index) => index * 37 + length),
  );
}

/** 300 bytes of frames of mixed lengths. */
function mixedStream(framing: Framing): Uint8Array {
  const frames = [0, 5, 1, 0, 130, 2, 33, 7, 0, 0].map((length) =>
    framing.encode(filled(length))
  );
  for (let length = 0;; length++) {
    const stream = concat([...frames, framing.encode(filled(length))]);
    if (stream.length >= 300) return stream;
  }
}

for (const name of NAMES) {
  Deno.test(`${name} gives the same frames when 300 bytes are cut at any one or two places`, () => {
    const framing = parseFraming(name);
    const stream = mixedStream(framing);
    assertEquals(stream.length, 300);
    const expected = decodeNaively(name, toText(stream), 65_536);
    assertEquals(expected.failure, undefined);
    const heads = Array.from({ length: 301 }, (_, end) => stream.slice(0, end));
    const tails = heads.map((head) => stream.slice(head.length));
    for (let first = 0; first <= 300; first++) {
      for (let second = first; second <= 300; second++) {
        const middle = stream.slice(first, second);
        const actual = decode(framing, [heads[first], middle, tails[second]]);
        assertSame(actual, expected, `cut at ${first} and ${second}`);
      }
    }
  });
}

for (const name of NAMES) {
  Deno.test(`${name} keeps its limit when that is anything from 0 to twice the message`, () => {
    const length = 20;
    const generous = parseFraming(name);
    const wire = concat(
      [0, 7, length - 1, length, length + 1, 1].map((length) =>
        generous.encode(filled(length))
      ),
    );
    for (let limit = 0; limit <= 2 * length; limit++) {
      const options = { maxFrameLength: limit };
      if (name === FIXED && limit < BLOCK) {
        assertThrows(() => parseFraming(name, options), RangeError);
        continue;
      }
      const framing = parseFraming(name, options);
      for (let size = 0; size <= 2 * length + 1; size++) {
        const message = filled(size);
        if (size > framing.maxFrameLength) {
          assertThrows(() => framing.encode(message), FrameTooLongError);
        } else assertEquals(framing.encode(message), generous.encode(message));
      }
      const expected = decodeNaively(name, toText(wire), limit);
      for (
        const cuts of [
          "every byte" as const,
          ...wire.keys().map((cut) => [cut]),
        ]
      ) {
        assertSame(
          decode(framing, chop(wire, cuts)),
          expected,
          `limit ${limit}, cut at ${cuts}`,
        );
      }
    }
  });
}

/** What an echo of lines answers, and in how many pieces. */
async function echo(
  framing: Framing,
  chunks: Uint8Array[],
  reply: Reply,
): Promise<{ answer: Outcome; count: number }> {
  const left = chunks.filter(({ length }) => length > 0);
  const conn = {
    read(buffer: Uint8Array) {
      const chunk = left.shift();
      if (chunk) buffer.set(chunk);
      return Promise.resolve(chunk?.length ?? null);
    },
  } as Deno.Conn;
  const sent: Uint8Array[] = [];
  const send = (replies: Uint8Array) => {
    if (replies.length > 0) sent.push(replies.slice());
    return Promise.resolve();
  };
  let failure: Failure | undefined;
  await answer(conn, framing, reply, send)
    .catch((error) => failure = failureOf(error));
  return {
    answer: { frames: [toText(concat(sent))], failure },
    count: sent.length,
  };
}

Deno.test("answer() echoes whole lines as it would line by line when there are line ends of both kinds", async () => {
  const letter = fc.constantFrom(0x61, 0x62, 0x63, 0x0a, 0x0a, 0x0a, 0x0d);
  const text = fc.array(letter, { maxLength: 40 });
  const limit = fc.integer({ min: 0, max: 60 });
  await fc.assert(
    fc.asyncProperty(text, limit, cuts, async (text, limit, cuts) => {
      const framing = parseFraming("lines", { maxFrameLength: limit });
      const chunks = chop(new Uint8Array(text), cuts);
      const whole = await echo(framing, chunks, unchanged);
      // Another function than this one has every line decoded and encoded.
      const each = await echo(framing, chunks, (line) => line);
      assertSame(whole.answer, each.answer);
    }),
    { numRuns: RUNS },
  );
});

Deno.test("answer() echoes whole lines in one piece, however many there are", async () => {
  const framing = parseFraming("lines");
  const said = new TextEncoder().encode("one\n".repeat(2000) + "tw");
  const chunks = [said.slice(0, 1001), said.slice(1001, 2000)];
  const { answer, count } = await echo(framing, chunks, unchanged);
  assertEquals(answer.frames[0].length, 2000);
  // Those of the first chunk, the line that it cut, and those of the second.
  assertEquals(count, 3);
});
