/** Typed lines: one at a time, and none lost between two conversations. */
import { assertEquals } from "@std/assert";
import { Keyboard } from "../../lib/keyboard.ts";
import { Typist } from "../support/fakes.ts";
import { text, within } from "../support/helpers.ts";

async function next(keyboard: Keyboard): Promise<string | undefined> {
  const line = await within(keyboard.next());
  return line && text(line);
}

Deno.test("Keyboard.next() reads nothing before it is asked", async () => {
  const typist = new Typist("one\n");
  using keyboard = new Keyboard(typist);
  assertEquals([typist.asked, keyboard.terminal], [0, false]);
  assertEquals(await next(keyboard), "one");
  assertEquals(typist.asked, 1);
});

Deno.test("Keyboard.next() gives the same line until it is taken", async () => {
  using keyboard = new Keyboard(new Typist("one\r\ntwo\n", "thr", "ee").end());
  assertEquals(await next(keyboard), "one");
  assertEquals(await next(keyboard), "one");
  keyboard.take();
  assertEquals(await next(keyboard), "two");
  keyboard.take();
  assertEquals(await next(keyboard), "three"); // without a line end
});

Deno.test("Keyboard.next() keeps a line whose first listener has gone", async () => {
  const typist = new Typist();
  using keyboard = new Keyboard(typist);
  const first = next(keyboard);
  const second = next(keyboard);
  typist.type("late\n");
  assertEquals(await Promise.all([first, second]), ["late", "late"]);
});

Deno.test("Keyboard.next() gives an empty line as such", async () => {
  using keyboard = new Keyboard(new Typist("\n"));
  assertEquals(await next(keyboard), "");
});

Deno.test("Keyboard.next() gives nothing at the end, again and again", async () => {
  using keyboard = new Keyboard(new Typist("one\n").end());
  assertEquals(await next(keyboard), "one");
  for (let i = 0; i < 3; i++) {
    keyboard.take();
    assertEquals(await next(keyboard), undefined);
  }
});
