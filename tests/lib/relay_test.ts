/** One server's part of a room that spans servers, with a NATS that does what no real one does on demand. */
import { assert, assertEquals } from "@std/assert";
import { parseFraming } from "../../lib/framing.ts";
import type { NatsConnection, NatsMessage } from "../../lib/nats.ts";
import { turn } from "../../lib/pause.ts";
import { Relay } from "../../lib/relay.ts";
import { type RelayedRoom, Room } from "../../lib/room.ts";
import { pair } from "../support/fakes.ts";
import { bytes, text, within } from "../support/helpers.ts";

/** A NATS that says and answers what a test wants, and a clock that it sets. */
class FakeNats implements NatsConnection, AsyncDisposable {
  /** Whether it answers that it has got what was published. */
  answers = true;
  /** Messages, as what they say about the server, and the rest. */
  readonly published: [Record<string, unknown>, string][] = [];
  subject = "";
  #now = 0;
  #beat = () => {};
  #receive = (_: null, __: NatsMessage) => {};
  #answer = Promise.withResolvers<void>();
  #closed = Promise.withResolvers<void>();
  #restore: () => void;

  constructor() {
    const { setInterval, clearInterval, performance } = globalThis;
    const { now } = performance;
    this.#restore = () => {
      Object.assign(globalThis, { setInterval, clearInterval });
      performance.now = now;
    };
    performance.now = () => this.#now;
    globalThis.setInterval = ((beat: () => void) => {
      this.#beat = beat;
    }) as typeof setInterval;
    globalThis.clearInterval = () => {};
  }

  publish(subject: string, payload: Uint8Array): void {
    const [header, ...lines] = text(payload).split("\n");
    this.subject = subject;
    this.published.push([JSON.parse(header), lines.join("\n")]);
  }

  subscribe(
    _: string,
    { callback }: { callback(error: null, message: NatsMessage): void },
  ): void {
    this.#receive = callback;
  }

  /** Says what another server, or somebody else, has published. */
  say(id: string, header: unknown, said = ""): void {
    const data = bytes(`${JSON.stringify(header)}\n${said}`);
    this.#receive(null, { subject: `room.${id}`, data });
  }

  flush(): Promise<void> {
    return this.answers ? Promise.resolve() : this.#answer.promise;
  }

  /** Answers after all. */
  answer(): void {
    this.answers = true;
    this.#answer.resolve();
  }

  /** Lets time pass; a second is a beat. */
  async pass(milliseconds: number): Promise<void> {
    for (let i = 0; i < milliseconds; i += 1000) {
      this.#now += 1000;
      this.#beat();
      await turn();
    }
  }

  status(): ReadableStream<never> {
    const { promise } = this.#closed;
    return new ReadableStream({
      start: (controller) => void promise.then(() => controller.close()),
    });
  }

  close(): Promise<void> {
    this.#closed.resolve();
    return Promise.resolve();
  }

  [Symbol.asyncDispose](): Promise<void> {
    this.#restore();
    return this.close();
  }
}

/** What another server says about itself. */
const at = (lines: number, more = {}) => ({
  ...{ lines, bytes: 0, members: 1 },
  ...more,
});

Deno.test("Relay lets nobody elsewhere speak for somebody else, or with escapes", async () => {
  await using nats = new FakeNats();
  const framing = parseFraming("lines", { maxFrameLength: 100 });
  await using relay = new Relay(nats);
  const room = new Room(framing, undefined, relay);
  using member = await pair();
  const stay = room.join(member.ours);
  assertEquals(await member.line(), `* you are user1${relay.suffix}, 1 here`);

  const never = "<user1@bbbbbb> never\n";
  for (const header of [null, 7, "x", {}, at(-1), at(0.5), { lines: 1 }]) {
    nats.say("bbbbbb", header, never);
  }
  const own = relay.suffix.slice(1);
  for (const id of ["b", "BBBBBB", "bbbbbbb", "bb.bbb", own]) {
    nats.say(id, at(0), `<user1@${id}> never\n`);
  }
  const said = [
    "<user1@bbbbbb> first",
    `<user1${relay.suffix}> never`,
    "<user1> never",
    "<user1@cccccc> never",
    "* you are never",
    "* user1@bbbbbb left, never",
    "<user1@bbbbbb> \x1b[2J\rescape \u202e",
    `<user1@bbbbbb> too long for this room${"!".repeat(100)}`,
    "* user1@bbbbbb left",
  ];
  nats.say("bbbbbb", at(0), said.map((line) => `${line}\n`).join(""));
  nats.say("bbbbbb", at(109), "<user1@bbbbbb> last\n");
  for (
    const line of [
      "<user1@bbbbbb> first",
      "<user1@bbbbbb> \\x1b[2J\\x0descape \\u202e",
      "* user1@bbbbbb left",
      "* missed 6 lines from @bbbbbb",
      "* missed 100 lines from @bbbbbb",
      "<user1@bbbbbb> last",
    ]
  ) assertEquals(await member.line(), line);
  await member.theirs.closeWrite();
  await stay;
});

Deno.test("Relay tells the lines of a server in their order, and what is missing among them", async () => {
  await using nats = new FakeNats();
  const events: string[] = [];
  await using relay = new Relay(nats, (event) => events.push(event));
  const { room, heard } = listeners();
  relay.open(room);
  const words = ["one", "two"].map((word) => `<user1${relay.suffix}> ${word}`);
  for (const word of words) relay.say(bytes(word));
  await turn();
  await turn();
  assertEquals(nats.subject, `room.${relay.suffix.slice(1)}`);
  assertEquals(nats.published, [
    [{ lines: 0, bytes: 0, members: 3, heard: {} }, ""],
    [{ lines: 0, bytes: 0, members: 3 }, words.join("\n") + "\n"],
  ]);

  // Who is new has missed nothing of what was before.
  nats.say("bbbbbb", at(5, { members: 4 }), "<user1@bbbbbb> a\n");
  nats.say("bbbbbb", at(6));
  nats.say("bbbbbb", at(7), "<user1@bbbbbb> b\n");
  nats.say("cccccc", at(0, { members: 7 }));
  await turn();
  assertEquals(relay.members, 8);
  assertEquals(heard, [
    "<user1@bbbbbb> a",
    "* missed 1 line from @bbbbbb",
    "<user1@bbbbbb> b",
  ]);
  nats.say("bbbbbb", at(8, { bye: true }));
  await turn();
  assertEquals(relay.members, 7);
  await nats.pass(5000);
  assertEquals(heard.slice(3), ["* lost 7 members at @cccccc"]);
  nats.say("cccccc", at(10, { members: 7 }));
  await turn();
  assertEquals(heard.slice(4), [
    "* 7 members back at @cccccc",
    "* missed 10 lines from @cccccc",
  ]);
  const told = ["relaying", "met", "met", "missed", "parted", "absent"];
  assertEquals(events, [...told, "missed"]);
});

/** A room of three, and what they hear. */
function listeners(): { room: RelayedRoom; heard: string[] } {
  const heard: string[] = [];
  const room = {
    size: 3,
    hear(lines: Iterable<string>) {
      heard.push(...lines);
      return Promise.resolve(0);
    },
  };
  return { room, heard };
}

const BLOCK = bytes(`<user1> ${"x".repeat(65_536)}`);

/** Says up to ten megabytes, and counts how many went out before it had to wait. */
function saying(relay: Relay): { done: Promise<void>; blocks: number } {
  const progress = { blocks: 0, done: Promise.resolve() };
  progress.done = (async () => {
    for (; progress.blocks < 160; progress.blocks++) {
      relay.say(BLOCK);
      await relay.caughtUp();
    }
  })();
  return progress;
}

Deno.test("Relay waits for NATS, and goes on without it, when it answers no more", async () => {
  await using nats = new FakeNats();
  await using relay = new Relay(nats);
  const { room, heard } = listeners();
  relay.open(room);
  await turn();
  nats.answers = false;
  const progress = saying(relay);
  await nats.pass(2000);
  assertEquals(progress.blocks, 15); // a megabyte is on its way, with the next
  await nats.pass(3000);
  await within(progress.done);
  assertEquals(heard, [
    "* other servers are out of reach; what is said stays here",
  ]);
  const sent = nats.published.filter(([, lines]) => lines !== "").length;
  assert(sent <= 17, `${sent} blocks`);
  nats.answer();
  await nats.pass(1000);
  assertEquals(heard.slice(1), [
    `* other servers are back, ${160 - sent} lines stayed here meanwhile`,
  ]);
  // Others see how much that was.
  assertEquals(nats.published.at(-1)![0].lines, 160);
});

Deno.test("Relay waits for a server that is behind, but not for one that hears nothing", async () => {
  await using nats = new FakeNats();
  await using relay = new Relay(nats);
  relay.open(listeners().room);
  const id = relay.suffix.slice(1);
  nats.say("bbbbbb", at(0));
  const progress = saying(relay);
  await nats.pass(2000);
  assertEquals(progress.blocks, 15);
  const { bytes } = nats.published.at(-1)![0];
  nats.say("bbbbbb", at(0, { heard: { [id]: bytes } }));
  await nats.pass(2000);
  assertEquals(progress.blocks, 31);
  await nats.pass(4000);
  await within(progress.done);
});

Deno.test("Relay holds sixteen megabytes of what others say, and counts the rest, when members here are slow", async () => {
  await using nats = new FakeNats();
  await using relay = new Relay(nats);
  const { room, heard } = listeners();
  const ready = Promise.withResolvers<void>();
  const { hear } = room;
  relay.open({
    size: 1,
    async hear(lines) {
      await ready.promise;
      return hear(lines);
    },
  });
  const block = "<user1@bbbbbb> word\n".repeat(3000);
  const COUNT = 1000;
  for (let i = 0; i < COUNT; i++) nats.say("bbbbbb", at(3000 * i), block);
  ready.resolve();
  await turn();
  nats.say("bbbbbb", at(3000 * COUNT));
  await turn();
  const [, missed] = /^\* missed (\d+) lines/.exec(heard.pop()!)!;
  assertEquals(heard.length + Number(missed), 3000 * COUNT);
  const held = heard.length / 3000 * block.length;
  assert(Math.abs(held - 16 * 2 ** 20) < 2 ** 18, `${held} bytes`);
});
