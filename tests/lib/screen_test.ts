/** A screen with a prompt: when it comes, how it goes, and that a pipe gets none. */
import { assertEquals } from "@std/assert";
import { Output } from "../../lib/output.ts";
import { Screen } from "../../lib/screen.ts";
import { Page } from "../support/fakes.ts";
import { bytes } from "../support/helpers.ts";

/** Erases the line that the prompt is on. */
const ERASE = "\r\x1b[K";

function screenOn(page: Page, terminal = true, prompting = true): Screen {
  return new Screen(new Output({ to: page, terminal }), prompting);
}

/** Started after a prompt's clock and longer, it ends after it. */
function later(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, 100));
}

Deno.test("Screen.prompt() asks after a pause, once", async () => {
  const page = new Page();
  using screen = screenOn(page);
  screen.prompt();
  screen.prompt();
  assertEquals(page.text, "");
  await page.until(" -> ");
  screen.prompt();
  await later();
  await screen.message(bytes("next"));
  assertEquals(page.text, ` -> ${ERASE}next\n`);
});

Deno.test("Screen.prompt() comes after the last of several messages", async () => {
  const page = new Page();
  using screen = screenOn(page);
  for (const word of ["one", "two", "three"]) await screen.message(bytes(word));
  await page.until(" -> ");
  assertEquals(page.text, "one\ntwo\nthree\n -> ");
});

/** What comes while the prompt is shown, and what is seen then. */
const MESSAGES: [string, (screen: Screen) => Promise<void>, string][] = [
  ["a message", (screen) => screen.message(bytes("hi")), "hi\n -> "],
  [
    "a message with its end",
    (screen) => screen.message(bytes("hi\n")),
    "hi\n -> ",
  ],
  ["an empty message", (screen) => screen.message(bytes("")), "\n -> "],
  ["two lines", (screen) => screen.message(bytes("a\nb")), "a\nb\n -> "],
  ["bytes with an end", (screen) => screen.stream(bytes("hi\n")), "hi\n -> "],
  ["bytes without one", (screen) => screen.stream(bytes("hi")), "hi\n -> "],
  [
    "a forged prompt",
    (screen) => screen.message(bytes("\r\x1b[K")),
    "\\x0d\\x1b[K\n -> ",
  ],
];

for (const [what, show, expected] of MESSAGES) {
  Deno.test(`Screen erases the prompt, shows ${what}, and asks again`, async () => {
    const page = new Page();
    using screen = screenOn(page);
    screen.prompt();
    await page.until(" -> ");
    await show(screen);
    await page.until(` -> ${ERASE}${expected}`);
    assertEquals(page.text, ` -> ${ERASE}${expected}`);
  });
}

Deno.test("Screen.stream() goes on where the last part ended", async () => {
  const page = new Page();
  using screen = screenOn(page);
  await screen.stream(bytes("he"));
  await screen.stream(bytes("llo"));
  await screen.stream(bytes("\n"));
  await page.until(" -> ");
  assertEquals(page.text, "hello\n -> ");
});

Deno.test("Screen.entered() asks again on the line after the typed one", async () => {
  const page = new Page();
  using screen = screenOn(page);
  await screen.stream(bytes("name?"));
  await page.until("\n -> ");
  screen.entered(); // the terminal itself has shown the line and its end
  await page.until("\n ->  -> ");
  await screen.message(bytes("hi"));
  assertEquals(page.text, `name?\n ->  -> ${ERASE}hi\n`);
});

Deno.test("Screen asks nothing while a slow terminal still shows a message", async () => {
  const slow = Promise.withResolvers<void>();
  const writes: string[] = [];
  const to = {
    async write(part: Uint8Array) {
      writes.push(new TextDecoder().decode(part));
      if (writes.length === 1) await slow.promise;
      return Math.min(part.length, 2);
    },
  };
  using screen = new Screen(new Output({ to, terminal: true }), true);
  screen.prompt();
  const shown = screen.message(bytes("hi"));
  await later();
  slow.resolve();
  await shown;
  assertEquals(writes, ["hi\n", "\n"]);
});

// A prompt that was due would leave its clock running, and so fail these.
for (const [terminal, prompting] of [[false, true], [true, false]]) {
  Deno.test(`Screen asks nothing with terminal ${terminal}, prompting ${prompting}`, async () => {
    const page = new Page();
    const screen = screenOn(page, terminal, prompting);
    screen.prompt();
    await screen.message(bytes("one"));
    await screen.stream(bytes("two"));
    screen.entered();
    assertEquals(page.text, "one\ntwo");
  });
}

Deno.test("Screen asks nothing more when it is disposed of", () => {
  const screen = screenOn(new Page());
  screen.prompt();
  screen[Symbol.dispose]();
});

Deno.test("Screen leaves a failing terminal to the next message", async () => {
  const asked = Promise.withResolvers<void>();
  const to = {
    write() {
      asked.resolve();
      return Promise.reject(new Deno.errors.BrokenPipe("gone"));
    },
  };
  using screen = new Screen(new Output({ to, terminal: true }), true);
  screen.prompt();
  await asked.promise;
});
