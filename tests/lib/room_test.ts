/** A room: who hears what, that no name can be forged, and what happens to those who say too much or read too little. */
import { assert, assertEquals, assertRejects } from "@std/assert";
import {
  FrameTooLongError,
  type Framing,
  parseFraming,
} from "../../lib/framing.ts";
import { Room } from "../../lib/modes/room.ts";
import { writeAll } from "../../lib/tcp/stream.ts";
import { safeLine } from "../../lib/text.ts";
import { type Pair, pair } from "../support/fakes.ts";
import { FORGED } from "../support/forged.ts";
import { bytes, within } from "../support/helpers.ts";

/** A room with members who come one after the other. */
class Gathering implements AsyncDisposable {
  readonly room: Room;
  readonly events: string[] = [];
  /** The end of each member's stay, in the order of their coming. */
  readonly stays: Promise<void>[] = [];
  #members: Pair[] = [];
  #changed = Promise.withResolvers<void>();

  constructor(framing: Framing = parseFraming("lines")) {
    this.room = new Room(framing, (event, name) => {
      this.events.push(`${name} ${event}`);
      this.#changed.resolve();
      this.#changed = Promise.withResolvers();
    });
  }

  /** Lets one in; those who were there have read that, all but the deaf. */
  async join(...deaf: Pair[]): Promise<Pair> {
    const member = await pair();
    const others = this.#members.filter((other) => !deaf.includes(other));
    this.#members.push(member);
    const count = this.#members.length;
    const stay = this.room.join(member.ours);
    this.stays.push(stay.finally(() => member.ours[Symbol.dispose]()));
    assertEquals(await member.line(), `* you are user${count}, ${count} here`);
    for (const other of others) {
      assertEquals(await other.line(), `* user${count} joined`);
    }
    return member;
  }

  async until(event: string): Promise<void> {
    while (!this.events.includes(event)) await within(this.#changed.promise);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const member of this.#members) member[Symbol.dispose]();
    await within(Promise.allSettled(this.stays));
  }
}

Deno.test("Room.join() tells who comes and goes", async () => {
  await using gathering = new Gathering();
  const ann = await gathering.join();
  const bob = await gathering.join();
  const cyd = await gathering.join();
  bob.theirs.close();
  assertEquals(await ann.line(), "* user2 left");
  assertEquals(await cyd.line(), "* user2 left");
  await gathering.stays[1];
  using dan = await pair();
  const stay = gathering.room.join(dan.ours);
  assertEquals(await dan.line(), "* you are user4, 3 here");
  dan.theirs.close();
  await stay;
  for (const member of [ann, cyd]) {
    assertEquals(await member.line(), "* user4 joined");
    assertEquals(await member.line(), "* user4 left");
  }
  await ann.theirs.closeWrite(); // who says nothing more has left, too
  assertEquals(await cyd.line(), "* user1 left");
  assertEquals(await ann.line(), undefined);
  assertEquals(gathering.events, [
    "user1 joined",
    "user2 joined",
    "user3 joined",
    "user2 left",
    "user4 joined",
    "user4 left",
    "user1 left",
  ]);
});

Deno.test("Room.join() passes a line to everyone but its speaker", async () => {
  await using gathering = new Gathering();
  const ann = await gathering.join();
  const bob = await gathering.join();
  const cyd = await gathering.join();
  await ann.say("hello");
  await ann.say(", all\nsecond\r\n\n");
  for (const member of [bob, cyd]) {
    assertEquals(await member.line(), "<user1> hello, all");
    assertEquals(await member.line(), "<user1> second");
    assertEquals(await member.line(), "<user1> ");
  }
  await bob.say("hi ann\n");
  assertEquals(await ann.line(), "<user2> hi ann"); // and nothing of her own
  assertEquals(await cyd.line(), "<user2> hi ann");
  await cyd.say("without end");
  await cyd.theirs.closeWrite();
  assertEquals(await ann.line(), "<user3> without end");
  assertEquals(await ann.line(), "* user3 left");
});

Deno.test("Room.join() lets nobody speak in another's name", async (t) => {
  await using gathering = new Gathering();
  const ann = await gathering.join();
  const bob = await gathering.join();
  for (const [said, heard] of FORGED) {
    await t.step(JSON.stringify(said), async () => {
      await ann.say(`${said}\n`);
      assertEquals(await bob.line(), heard);
    });
  }
  await ann.theirs.write(new Uint8Array([0xff, 0x41, 0x0a]));
  assertEquals(await bob.line(), "<user1> \ufffdA");
});

Deno.test("Room.join() gives its relay each line with its name", async () => {
  await using gathering = new Gathering();
  const said: Uint8Array[] = [];
  gathering.room.relay = {
    suffix: "",
    members: 0,
    say: (line) => void said.push(line.slice()),
    caughtUp: () => Promise.resolve(),
  };
  const ann = await gathering.join();
  const bob = await gathering.join();
  await ann.say("one\ntwo\n");
  assertEquals(await bob.line(), "<user1> one");
  assertEquals(await bob.line(), "<user1> two");
  const lines = said.map((line) => new TextDecoder().decode(line));
  assertEquals(lines.slice(2), ["<user1> one", "<user1> two"]);
});

Deno.test("Room.join() shows a line feed inside a frame, and adds none", async () => {
  const framing = parseFraming("u8");
  const room = new Room(framing);
  using ann = await pair();
  using bob = await pair();
  const stays = [room.join(ann.ours), room.join(bob.ours)];
  await ann.theirs.write(framing.encode(bytes("hi\n<user2> yes")));
  await ann.theirs.closeWrite();
  await stays[0];
  const heard = [
    "* you are user2, 2 here",
    "<user1> hi\\x0a<user2> yes",
    "* user1 left",
  ];
  const wire = heard.flatMap((line) => [...framing.encode(bytes(line))]);
  const buffer = new Uint8Array(wire.length + 1);
  let length = 0;
  while (length < wire.length) {
    length += await within(bob.theirs.read(buffer.subarray(length))) ?? NaN;
  }
  assertEquals([...buffer.subarray(0, length)], wire);
  await bob.theirs.closeWrite();
  await stays[1];
});

Deno.test("Room.join() ends the stay of one who says too much, and of nobody else", async () => {
  const limit = 100;
  const framing = parseFraming("lines", { maxFrameLength: limit });
  await using gathering = new Gathering(framing);
  const ann = await gathering.join();
  const bob = await gathering.join();
  const cyd = await gathering.join();
  const refused = assertRejects(() => gathering.stays[0], FrameTooLongError);
  await ann.say(`last words\n${"x".repeat(limit + 1)}\nmore\n`);
  await refused;
  for (const member of [bob, cyd]) {
    assertEquals(await member.line(), "<user1> last words");
    assertEquals(await member.line(), "* user1 left");
  }
  assertEquals(await ann.line(), undefined);
  await bob.say("still here\n");
  assertEquals(await cyd.line(), "<user2> still here");
});

Deno.test("Room.join() passes on every message that its framing takes", async (t) => {
  const longest = {
    "letters": "x".repeat(255),
    "controls": "\x07".repeat(255),
    "characters of three bytes": "€".repeat(85),
    "invisible ones, four bytes each": "\u{e0041}".repeat(63),
    "a forged name": `<user2> ${"> ".repeat(120)}`,
  };
  for (const [what, said] of Object.entries(longest)) {
    await t.step(what, async () => {
      const framing = parseFraming("u8");
      const room = new Room(framing);
      using ann = await pair();
      using bob = await pair();
      const stays = [room.join(ann.ours), room.join(bob.ours)];
      await ann.theirs.write(framing.encode(bytes(said)));
      await ann.theirs.write(framing.encode(bytes("still here")));
      const heard: string[] = [];
      const decoder = framing.createDecoder();
      const buffer = new Uint8Array(4096);
      while (heard.at(-1) !== "<user1> still here") {
        const length = await within(bob.theirs.read(buffer));
        for (const frame of decoder.push(buffer.slice(0, length!))) {
          heard.push(new TextDecoder("utf-8", { fatal: true }).decode(frame));
        }
      }
      const [hello, ...parts] = heard;
      assertEquals(hello, "* you are user2, 2 here");
      const whole = parts.slice(0, -1).map((part) => {
        assertEquals(part.slice(0, 8), "<user1> ");
        return part.slice(8);
      });
      assertEquals(whole.join(""), safeLine(said));
      for (const one of [ann, bob]) one.theirs.close();
      await Promise.allSettled(stays);
    });
  }
});

/** Hears user1 count from 0 to its last word; gives how far it came. */
async function hearOut(member: Pair): Promise<number> {
  let count = 0;
  for (;;) {
    const { value } = await member.lines.next();
    if (!value) throw new Error(`It was cut off after ${count} lines`);
    const line = new TextDecoder().decode(value);
    if (line.startsWith("* ")) continue;
    if (line === "<user1> the end") return count;
    if (!line.startsWith(`<user1> ${count} `)) {
      throw new Error(`It heard, instead of ${count}: ${line}`);
    }
    count++;
  }
}

/** Says numbered lines of 200 bytes in blocks. */
class Counter {
  count = 0;
  readonly #to: Pair;

  constructor(to: Pair) {
    this.#to = to;
  }

  async go(lines: number): Promise<void> {
    const block = Array.from(
      { length: lines },
      () => `${this.count++} `.padEnd(199, "x"),
    );
    await writeAll(this.#to.theirs, bytes(`${block.join("\n")}\n`));
  }
}

Deno.test("Room.join() drops a member who never reads; all others lose nothing", async () => {
  await using gathering = new Gathering();
  const ann = await gathering.join();
  const deaf = await gathering.join();
  const readers: Pair[] = [];
  while (readers.length < 10) readers.push(await gathering.join(deaf));
  const heard = Promise.all(readers.map(hearOut));
  const counter = new Counter(ann);
  // How much the system takes for the deaf one differs from one to the next.
  while (
    !gathering.events.includes("user2 dropped") || counter.count < 20_000
  ) {
    await within(counter.go(500));
  }
  await gathering.stays[1];
  await ann.say("the end\n");
  assertEquals(await within(heard), readers.map(() => counter.count));
  assert(!gathering.events.some((event) => event.endsWith(" left")));
});

Deno.test("Room.join() keeps a member who reads slowly", async () => {
  await using gathering = new Gathering();
  const ann = await gathering.join();
  const slow = await gathering.join();
  const counter = new Counter(ann);
  const said = (async () => {
    while (counter.count < 60_000) await counter.go(500);
    await ann.say("the end\n");
  })();
  // Reads only when nobody else can go on: then all that may wait does wait.
  const { read } = slow.theirs;
  slow.theirs.read = async (buffer) => {
    await new Promise((resolve) => setTimeout(resolve, 1));
    return await read.call(slow.theirs, buffer);
  };
  assertEquals(await within(hearOut(slow)), 60_000);
  await within(said);
  assertEquals(gathering.events, ["user1 joined", "user2 joined"]);
});
