/** A conversation over a real connection: both ways, how it ends, and what of it is left for the next one. */
import { assertEquals, assertRejects } from "@std/assert";
import { type ConversationOptions, converse } from "../../lib/chat.ts";
import { parseFraming, TruncatedFrameError } from "../../lib/framing.ts";
import { Keyboard } from "../../lib/keyboard.ts";
import { encodeTyped } from "../../lib/messages.ts";
import { Page, type Pair, pair, Typist } from "../support/fakes.ts";
import { bytes, within } from "../support/helpers.ts";

/** One side of a conversation: what is typed, and what is seen. */
class Side {
  readonly typist = new Typist();
  readonly keyboard = new Keyboard(this.typist);
  readonly page = new Page();
  sent = 0;

  /** Converses, and closes the connection as a caller would. */
  async converse(
    { ours }: Pair,
    changed: Partial<ConversationOptions> = {},
  ): Promise<void> {
    using conn = ours;
    const framing = parseFraming("lines");
    await within(converse(conn, {
      framing,
      keyboard: this.keyboard,
      encode: (line) => encodeTyped(line, framing),
      show: async (message) => {
        await this.page.write(message);
        await this.page.write(bytes("\n"));
      },
      onSent: () => this.sent++,
      ...changed,
    }));
  }
}

Deno.test("converse() carries lines both ways at any moment", async () => {
  using peer = await pair();
  const side = new Side();
  const over = side.converse(peer);
  await peer.say("first\nsecond\n");
  await side.page.until("second\n");
  side.typist.type("one\ntwo\n");
  assertEquals([await peer.line(), await peer.line()], ["one", "two"]);
  await peer.say("third\r\n");
  await side.page.until("third\n");
  side.typist.type("thr");
  await peer.say("fourth\n");
  await side.page.until("fourth\n");
  side.typist.type("ee\n");
  assertEquals(await peer.line(), "three");
  assertEquals(side.page.text, "first\nsecond\nthird\nfourth\n");
  peer.theirs.close();
  await over;
  assertEquals(side.sent, 3);
});

for (const farewell of ["bye", "BYE", "  Bye "]) {
  Deno.test(`converse() ends when "${farewell}" is typed`, async () => {
    using peer = await pair();
    const side = new Side();
    const over = side.converse(peer);
    side.typist.type(`hello\n${farewell}\nlater\n`);
    assertEquals(await peer.line(), "hello");
    await over;
    assertEquals(await peer.line(), undefined);
    assertEquals(side.sent, 2);
  });

  Deno.test(`converse() ends when the peer says "${farewell}"`, async () => {
    using peer = await pair();
    const side = new Side();
    const over = side.converse(peer);
    await peer.say(`hello\n${farewell}\nlater\n`);
    await over;
    assertEquals(side.page.text, `hello\n${farewell}\n`);
    assertEquals(await peer.line(), undefined);
  });
}

Deno.test("converse() goes on where bye is only a part of a line", async () => {
  using peer = await pair();
  const side = new Side();
  const over = side.converse(peer);
  side.typist.type("goodbye\nbye bye\n");
  assertEquals([await peer.line(), await peer.line()], ["goodbye", "bye bye"]);
  await peer.say("bye for now\n");
  await side.page.until("bye for now\n");
  peer.theirs.close();
  await over;
});

Deno.test("converse() takes a raw bye without a line end", async () => {
  using peer = await pair();
  const side = new Side();
  const over = side.converse(peer, { framing: parseFraming("raw") });
  await peer.say("bye");
  await over;
  assertEquals(side.page.text, "bye\n");
});

Deno.test("converse() half-closes when the keyboard ends, and still listens", async () => {
  using peer = await pair();
  const side = new Side();
  const over = side.converse(peer);
  side.typist.type("last");
  side.typist.end();
  assertEquals(await peer.line(), "last");
  assertEquals(await peer.line(), undefined);
  await peer.say("answer\n");
  await side.page.until("answer\n");
  await peer.say("and another\n");
  peer.theirs.close();
  await over;
  assertEquals(side.page.text, "answer\nand another\n");
});

Deno.test("converse() leaves what is typed after it to the next conversation", async () => {
  const side = new Side();
  for (const greeting of ["hello", "again", "at last"]) {
    using peer = await pair();
    const over = side.converse(peer);
    side.typist.type(`${greeting}\n`);
    assertEquals(await peer.line(), greeting);
    peer.theirs.close();
    await over;
    // Nobody listens now, but the keyboard is being read already.
    side.typist.type(`after ${greeting}\n`);
    using next = await pair();
    const nextOver = side.converse(next);
    assertEquals(await next.line(), `after ${greeting}`);
    next.theirs.close();
    await nextOver;
  }
  assertEquals(side.sent, 6);
});

Deno.test("converse() shows what came before a stream that is cut short", async () => {
  using peer = await pair();
  const side = new Side();
  const over = assertRejects(
    () => side.converse(peer, { framing: parseFraming("u8") }),
    TruncatedFrameError,
    "after 3 of 5 bytes",
  );
  await peer.say("\x02hi\x05hel");
  peer.theirs.close();
  await over;
  assertEquals(side.page.text, "hi\n");
});

Deno.test("converse() ends with what showing throws", async () => {
  using peer = await pair();
  const side = new Side();
  const show = () => Promise.reject(new Error("the screen is broken"));
  await peer.say("hi\n");
  await assertRejects(
    () => side.converse(peer, { show }),
    Error,
    "the screen is broken",
  );
});
