/** A chat over a real connection: both ways, how it ends, and what is left of it for the next one. */
import { assertEquals, assertRejects } from "@std/assert";
import { OutputError } from "../../lib/command/output.ts";
import type { Prompt } from "../../lib/command/prompt.ts";
import { parseFraming } from "../../lib/framing.ts";
import { chat } from "../../lib/modes/chat.ts";
import { FakePrompt, type Pair, pair } from "../support/fakes.ts";
import { text, within } from "../support/helpers.ts";
import { pause } from "../support/timing.ts";

/** Chats, and closes the connection as a caller would. */
async function chatting(
  { ours }: Pair,
  prompt: Prompt,
  framing = "lines",
  options?: { signal: AbortSignal },
): Promise<void> {
  using conn = ours;
  await within(chat(conn, parseFraming(framing), prompt, options));
}

Deno.test("chat() carries lines both ways at any moment", async () => {
  using peer = await pair();
  const prompt = new FakePrompt();
  const over = chatting(peer, prompt);
  await peer.say("first\nsecond\n");
  await prompt.until("second\n");
  prompt.type("one", "two");
  assertEquals([await peer.line(), await peer.line()], ["one", "two"]);
  await peer.say("third\r\n");
  await prompt.until("third\n");
  prompt.type("three");
  assertEquals(await peer.line(), "three");
  assertEquals(prompt.text, "first\nsecond\nthird\n");
  peer.theirs.close();
  await over;
});

for (const farewell of ["bye", "BYE", "  Bye "]) {
  Deno.test(`chat() ends when "${farewell}" is typed`, async () => {
    using peer = await pair();
    const prompt = new FakePrompt();
    const over = chatting(peer, prompt);
    prompt.type("goodbye", "bye bye", farewell, "later");
    assertEquals([await peer.line(), await peer.line()], [
      "goodbye",
      "bye bye",
    ]);
    await over;
    assertEquals(await peer.line(), undefined);
  });
}

Deno.test("chat() goes on when the peer says bye", async () => {
  using peer = await pair();
  const prompt = new FakePrompt();
  const over = chatting(peer, prompt);
  await peer.say("bye\n");
  await prompt.until("bye\n");
  prompt.type("still here");
  assertEquals(await peer.line(), "still here");
  peer.theirs.close();
  await over;
});

Deno.test("chat() half-closes when the input ends, and still listens", async () => {
  using peer = await pair();
  const prompt = new FakePrompt();
  const over = chatting(peer, prompt);
  prompt.type("last", undefined);
  assertEquals([await peer.line(), await peer.line()], ["last", undefined]);
  await peer.say("answer\n");
  await prompt.until("answer\n");
  peer.theirs.close();
  await over;
});

Deno.test("chat() leaves a program's lines to the next chat when the peer has gone", async () => {
  const prompt = new FakePrompt();
  for (const greeting of ["hello", "again"]) {
    using peer = await pair();
    const over = chatting(peer, prompt);
    prompt.type(greeting);
    assertEquals(await peer.line(), greeting);
    peer.theirs.close();
    await over;
    // Nobody listens now, but the next line is waited for already.
    prompt.type(`after ${greeting}`);
    using next = await pair();
    const nextOver = chatting(next, prompt);
    assertEquals(await next.line(), `after ${greeting}`);
    next.theirs.close();
    await nextOver;
  }
  assertEquals(prompt.chats, 4);
});

Deno.test("chat() sends nothing more when its signal is aborted", async () => {
  using peer = await pair();
  const prompt = new FakePrompt();
  const stop = new AbortController();
  const over = chatting(peer, prompt, "lines", { signal: stop.signal });
  prompt.type("before");
  assertEquals(await peer.line(), "before");
  stop.abort();
  prompt.type("after");
  await over;
  assertEquals(await peer.line(), undefined);
});

Deno.test("chat() refuses a line that the framing cannot carry, and goes on", async () => {
  using peer = await pair();
  const prompt = new FakePrompt();
  const over = chatting(peer, prompt, "u8");
  prompt.type("x".repeat(256), "ok");
  const buffer = new Uint8Array(16);
  const length = await within(peer.theirs.read(buffer));
  assertEquals(text(buffer.subarray(0, length!)), "\x02ok");
  assertEquals(prompt.told, [
    "Not sent: this line has 256 bytes, a message in u8 at most 255",
  ]);
  peer.theirs.close();
  await over;
});

/** The framing, and `hi` on the wire. */
const TYPED: [string, string][] = [
  ["raw", "hi\n"],
  ["lines", "hi\n"],
  ["fixed:4", "hi\0\0"],
  ["u16", "\0\x02hi"],
  ["varint", "\x02hi"],
  ["netstring", "2:hi,"],
];

for (const [name, wire] of TYPED) {
  Deno.test(`chat() sends hi in ${name}`, async () => {
    using peer = await pair();
    const prompt = new FakePrompt();
    const over = chatting(peer, prompt, name);
    prompt.type("hi", undefined);
    const buffer = new Uint8Array(16);
    const length = await within(peer.theirs.read(buffer));
    assertEquals(text(buffer.subarray(0, length!)), wire);
    peer.theirs.close();
    await over;
  });
}

/** The framing, what comes, and what a program gets of it. */
const SHOWN: [string, string, string][] = [
  ["raw", "no end", "no end"],
  ["raw", "an end\n", "an end\n"],
  ["u8", "\x02hi\x01!", "hi\n!\n"],
  ["fixed:4", "hi\0\0", "hi\n"],
];

for (const [name, sent, shown] of SHOWN) {
  Deno.test(`chat() shows ${JSON.stringify(sent)} in ${name}`, async () => {
    using peer = await pair();
    const prompt = new FakePrompt();
    await peer.say(sent);
    peer.theirs.close();
    await chatting(peer, prompt, name);
    assertEquals(prompt.text, shown);
  });
}

Deno.test("chat() shows what came before a stream that is cut short", async () => {
  using peer = await pair();
  const prompt = new FakePrompt();
  await peer.say("\x02hi\x05hel");
  peer.theirs.close();
  await assertRejects(
    () => chatting(peer, prompt, "u8"),
    Deno.errors.UnexpectedEof,
    "after 3 of 5 bytes",
  );
  await prompt.until("hi\n");
});

Deno.test("chat() shows nothing more when bye has ended it", async () => {
  using peer = await pair();
  const prompt = new FakePrompt();
  const over = chat(peer.ours, parseFraming("lines"), prompt);
  prompt.type("bye");
  await within(over);
  await peer.say("too late\n");
  await pause(50); // nothing comes that could be awaited
  assertEquals(prompt.text, "");
});

Deno.test("chat() ends when its screen takes no more", async () => {
  using peer = await pair();
  const prompt = new FakePrompt();
  prompt.write = () => Promise.reject(new OutputError("gone"));
  const over = chatting(peer, prompt);
  await peer.say("one\n");
  await assertRejects(() => over, OutputError);
});
