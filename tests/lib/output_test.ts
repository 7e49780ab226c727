/** Standard output: untouched in a pipe, safe on a terminal, hexadecimal, and what happens when it takes no more. */
import { assertEquals, assertRejects, assertStrictEquals } from "@std/assert";
import { Output, OutputError } from "../../lib/command/output.ts";
import { collecting } from "../support/fakes.ts";
import { bytes, text } from "../support/helpers.ts";

/** What takes the place of standard output. */
interface Screen {
  write(part: Uint8Array): Promise<number>;
}

/** Standard output is something else until this goes out of scope. */
function showing({ write }: Screen, terminal: boolean): Disposable {
  const { write: before, isTerminal } = Deno.stdout;
  Object.assign(Deno.stdout, { write, isTerminal: () => terminal });
  return {
    [Symbol.dispose]() {
      Object.assign(Deno.stdout, { write: before, isTerminal });
    },
  };
}

/** Every byte there is, and half a character. */
const ALL_BYTES = Uint8Array.from(
  { length: 257 },
  (_, i) => i < 256 ? i : 0xe2,
);

Deno.test("Output.write() leaves bytes untouched where a program reads them", async () => {
  const page = collecting();
  using _shown = showing(page, false);
  const output = new Output();
  await output.write(ALL_BYTES);
  await output.finish();
  assertEquals(page.bytes, ALL_BYTES);
  assertEquals([output.terminal], [false]);
});

/** What a terminal is for, the pieces that are written, and what is seen. */
const SHOWN: [string, (string | number[])[], string][] = [
  [
    "makes bytes safe on a terminal",
    ["\x1b[2J\x07\u202e\x9b1A\tü\n"],
    "\\x1b[2J\\x07\\u202e\\x9b1A\tü\n",
  ],
  [
    "joins a character cut across three writes",
    [[0xf0], [0x9f, 0x91], [0x8b, 0x21]],
    "👋!\n",
  ],
  [
    "joins a CRLF cut across two writes",
    ["one\r", "\ntwo\rthree\n"],
    "one\ntwo\\x0dthree\n",
  ],
  ["shows what is not UTF-8", [[0xff, 0x41]], "\ufffdA\n"],
];

for (const [what, pieces, expected] of SHOWN) {
  for (const most of [Infinity, 1]) {
    Deno.test(`Output.write() ${what}, ${most} bytes a write`, async () => {
      const page = collecting(most);
      using _shown = showing(page, true);
      const output = new Output();
      for (const piece of pieces) {
        const part = typeof piece === "string"
          ? bytes(piece)
          : new Uint8Array(piece);
        await output.write(part);
      }
      await output.finish();
      assertEquals(text(page.bytes), expected);
    });
  }
}

Deno.test("Output.write() writes all where a write takes a part", async () => {
  const page = collecting(3);
  using _shown = showing(page, false);
  const output = new Output();
  await output.write(bytes("abcdefgh"));
  await output.write(bytes("ABCDEFGH"));
  await output.finish();
  assertEquals(text(page.bytes), "abcdefghABCDEFGH");
});

Deno.test("Output.finish() ends the last line on a terminal, half a character too", async () => {
  for (const [part, expected] of [["a", "a\n"], ["a\n", "a\n"], ["", ""]]) {
    const page = collecting(3);
    using _shown = showing(page, true);
    const output = new Output();
    await output.write(bytes(part));
    await output.finish();
    assertEquals(text(page.bytes), expected);
    await output.write(new Uint8Array([0xe2, 0x82]));
    await output.finish();
    assertEquals(text(page.bytes), `${expected}\ufffd\n`);
  }
});

/** What writing throws, and why. */
const FAULTS: [unknown, string][] = [
  [
    new Deno.errors.BrokenPipe("Broken pipe (os error 32)"),
    "the peer has closed the connection",
  ],
  [
    Object.assign(new Error("os error 28"), { code: "ENOSPC" }),
    "there is no space left on the device",
  ],
  [new Deno.errors.BadResource("Bad resource ID"), "Bad resource ID"],
];

const WAYS: [string, boolean, (output: Output) => Promise<unknown>][] = [
  ["write", false, (output) => output.write(bytes("a"))],
  ["write", true, (output) => output.write(bytes("a"))],
];

for (const [cause, reason] of FAULTS) {
  for (const [name, isTerminal, write] of WAYS) {
    const where = isTerminal ? "at a terminal" : "elsewhere";
    Deno.test(`Output.${name}() ${where} fails where ${reason}`, async () => {
      const broken = { write: () => Promise.reject(cause) };
      using _shown = showing(broken, isTerminal);
      const output = new Output();
      const error = await assertRejects(
        () => write(output).then(() => output.finish()),
        OutputError,
      );
      if (!isTerminal) assertStrictEquals(output.failed.reason, error);
      assertStrictEquals(error.cause, cause);
      assertEquals(error.message, `Cannot write to standard output: ${reason}`);
    });
  }
}

/** A writer that takes what it is given when it is told to. */
function slowScreen() {
  const taking = Promise.withResolvers<void>();
  const page = collecting();
  return {
    /** Takes what waits, and all that comes. */
    take: taking.resolve,
    get text() {
      return text(page.bytes);
    },
    async write(part: Uint8Array): Promise<number> {
      await taking.promise;
      return await page.write(part);
    },
  };
}

Deno.test("Output.write() copies and does not wait where a program reads", async () => {
  const screen = slowScreen();
  using _shown = showing(screen, false);
  const output = new Output();
  const reused = bytes("one");
  await output.write(reused);
  reused.set(bytes("two"));
  await output.write(reused);
  reused.fill(0);
  await output.write(bytes("three"));
  assertEquals(screen.text, "");
  screen.take();
  await output.finish();
  assertEquals(screen.text, "onetwothree");
});

Deno.test("Output.write() waits when a mebibyte waits", async () => {
  const screen = slowScreen();
  using _shown = showing(screen, false);
  const output = new Output();
  await output.write(bytes("under way"));
  await output.write(new Uint8Array(1_048_576));
  let isThere = false;
  const late = output.write(bytes("late")).then(() => isThere = true);
  await new Promise((resolve) => setImmediate(resolve));
  assertEquals(isThere, false);
  screen.take();
  await late;
  await output.finish();
  assertEquals(screen.text, `under way${"\0".repeat(1_048_576)}late`);
});

Deno.test("Output.write() waits until it is shown where a person reads", async () => {
  const screen = slowScreen();
  using _shown = showing(screen, true);
  const output = new Output();
  let isShown = false;
  const shown = output.write(bytes("hello")).then(() => isShown = true);
  await new Promise((resolve) => setImmediate(resolve));
  assertEquals(isShown, false);
  screen.take();
  await shown;
  assertEquals(screen.text, "hello");
});
