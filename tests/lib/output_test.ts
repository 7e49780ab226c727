/** Standard output: untouched in a pipe, safe on a terminal, hexadecimal, and what happens when it takes no more. */
import { assertEquals, assertRejects, assertStrictEquals } from "@std/assert";
import { Output, OutputError } from "../../lib/command/output.ts";
import { Page } from "../support/fakes.ts";
import { concatenate } from "../../lib/tcp/stream.ts";
import { bytes } from "../support/helpers.ts";

type OutputOptions = ConstructorParameters<typeof Output>[0];

/** Every byte there is, and half a character. */
const ALL_BYTES = Uint8Array.from(
  { length: 257 },
  (_, i) => i < 256 ? i : 0xe2,
);

Deno.test("Output.write() leaves bytes untouched where a program reads them", async () => {
  const page = new Page();
  const output = new Output({ to: page, terminal: false });
  assertEquals(await output.write(ALL_BYTES), 257);
  await output.finish();
  assertEquals(concatenate(page.writes), ALL_BYTES);
  assertEquals([output.terminal], [false]);
});

/** How it is shown, the pieces that are written, and what is seen. */
const SHOWN: [string, OutputOptions, (string | number[])[], string][] = [
  [
    "makes bytes safe on a terminal",
    { terminal: true },
    ["\x1b[2J\x07\u202e\x9b1A\tü\n"],
    "\\x1b[2J\\x07\\u202e\\x9b1A\tü\n",
  ],
  [
    "joins a character cut across three writes",
    { terminal: true },
    [[0xf0], [0x9f, 0x91], [0x8b, 0x21]],
    "👋!",
  ],
  [
    "joins a CRLF cut across two writes",
    { terminal: true },
    ["one\r", "\ntwo\rthree\n"],
    "one\ntwo\\x0dthree\n",
  ],
  ["shows what is not UTF-8", { terminal: true }, [[0xff, 0x41]], "\ufffdA"],
];

for (const [what, options, pieces, expected] of SHOWN) {
  for (const most of [Infinity, 1]) {
    Deno.test(`Output.write() ${what}, ${most} bytes a write`, async () => {
      const written: number[] = [];
      const to = {
        write(part: Uint8Array) {
          written.push(...part.subarray(0, most));
          return Promise.resolve(Math.min(part.length, most));
        },
      };
      const output = new Output({ to, ...options });
      for (const piece of pieces) {
        const part = typeof piece === "string"
          ? bytes(piece)
          : new Uint8Array(piece);
        assertEquals(await output.write(part), part.length);
      }
      await output.finish();
      assertEquals(new TextDecoder().decode(new Uint8Array(written)), expected);
    });
  }
}

Deno.test("Output.write() writes all where a write takes a part", async () => {
  const page = new Page(3);
  const output = new Output({ to: page, terminal: false });
  assertEquals(await output.write(bytes("abcdefgh")), 8);
  assertEquals(await output.write(bytes("ABCDEFGH")), 8);
  await output.finish();
  assertEquals(page.text, "abcdefghABCDEFGH");
});

Deno.test("Output.text() writes all of our own text, untouched", async () => {
  const page = new Page(3);
  const output = new Output({ to: page, terminal: true });
  await output.text("\r\x1b[K -> ");
  assertEquals(page.text, "\r\x1b[K -> ");
});

/** What writing throws, whether that means that the reader has gone, and why. */
const FAULTS: [unknown, boolean, string][] = [
  [
    new Deno.errors.BrokenPipe("Broken pipe (os error 32)"),
    true,
    "the peer has closed the connection",
  ],
  [
    Object.assign(new Error("os error 28"), { code: "ENOSPC" }),
    false,
    "there is no space left on the device",
  ],
  [new Deno.errors.BadResource("Bad resource ID"), false, "Bad resource ID"],
];

const WAYS: [string, OutputOptions, (output: Output) => Promise<unknown>][] = [
  ["write", { terminal: false }, (output) => output.write(bytes("a"))],
  ["write", { terminal: true }, (output) => output.write(bytes("a"))],
  ["text", {}, (output) => output.text("a")],
];

for (const [cause, closed, reason] of FAULTS) {
  for (const [name, options, write] of WAYS) {
    const how = JSON.stringify(options);
    Deno.test(`Output.${name}() ${how} fails where ${reason}`, async () => {
      const to = { write: () => Promise.reject(cause) };
      const output = new Output({ to, terminal: false, ...options });
      const error = await assertRejects(
        () => write(output).then(() => output.finish()),
        OutputError,
      );
      assertStrictEquals(output.failed.reason, error);
      assertEquals(error.closed, closed);
      assertStrictEquals(error.cause, cause);
      assertEquals(error.message, `Cannot write to standard output: ${reason}`);
    });
  }
}

/** A writer that takes what it is given when it is told to. */
class SlowWriter {
  written: string[] = [];
  #taking = Promise.withResolvers<void>();

  /** Takes what waits, and all that comes. */
  take(): void {
    this.#taking.resolve();
  }

  async write(part: Uint8Array): Promise<number> {
    await this.#taking.promise;
    this.written.push(new TextDecoder().decode(part));
    return part.length;
  }
}

Deno.test("Output.write() copies and does not wait where a program reads", async () => {
  const to = new SlowWriter();
  const output = new Output({ to, terminal: false });
  const reused = bytes("one");
  await output.write(reused);
  reused.set(bytes("two"));
  await output.write(reused);
  reused.fill(0);
  await output.write(bytes("three"));
  assertEquals(to.written, []);
  to.take();
  await output.finish();
  assertEquals(to.written, ["one", "twothree"]);
});

Deno.test("Output.write() waits when a mebibyte waits", async () => {
  const to = new SlowWriter();
  const output = new Output({ to, terminal: false });
  await output.write(bytes("under way"));
  await output.write(new Uint8Array(1_048_576));
  let isThere = false;
  const late = output.write(bytes("late")).then(() => isThere = true);
  await new Promise((resolve) => setImmediate(resolve));
  assertEquals(isThere, false);
  to.take();
  await late;
  await output.finish();
  assertEquals(to.written.map(({ length }) => length), [9, 1_048_576, 4]);
});

Deno.test("Output.write() waits until it is shown where a person reads", async () => {
  const to = new SlowWriter();
  const output = new Output({ to, terminal: true });
  let isShown = false;
  const shown = output.write(bytes("hello")).then(() => isShown = true);
  await new Promise((resolve) => setImmediate(resolve));
  assertEquals(isShown, false);
  to.take();
  await shown;
  assertEquals(to.written, ["hello"]);
});
