/** What tcp_server.ts does in each of its modes, as a whole process. */
import { assert, assertEquals, assertMatch } from "@std/assert";
import { concatenate, frame } from "../support/bytes.ts";
import { FORGED } from "../support/forged.ts";
import {
  assertSameBytes,
  bytes,
  COPIES,
  type Running,
  serverWith,
  start,
  text,
  within,
} from "../support/helpers.ts";
import { noise } from "../support/peers.ts";
import {
  ask,
  askText,
  lines,
  readExactly,
  readToEnd,
  readUntil,
  writeAll,
} from "../support/sockets.ts";

/** Someone who talks to the server line by line. */
class Peer implements Disposable {
  readonly conn: Deno.TcpConn;
  readonly #lines: AsyncGenerator<Uint8Array, void>;

  private constructor(conn: Deno.TcpConn) {
    this.conn = conn;
    this.#lines = lines(conn);
  }

  static async connect(port: number): Promise<Peer> {
    return new Peer(await Deno.connect({ port }));
  }

  /** The next line; `undefined` at the end. */
  async line(): Promise<string | undefined> {
    const { value } = await within(this.#lines.next());
    return value ? text(value) : undefined;
  }

  async say(words: string | Uint8Array): Promise<void> {
    await within(writeAll(this.conn, words));
  }

  /** The name as it is in the server's log. */
  get address(): string {
    return `127.0.0.1:${this.conn.localAddr.port}`;
  }

  [Symbol.dispose](): void {
    this.conn[Symbol.dispose]();
  }
}

const FRAMINGS = ["lines", "fixed:8", "u8", "u16", "u32"]
  .concat("u16le", "u32le", "varint", "netstring");

// Echo.

for (const name of FRAMINGS) {
  Deno.test(`tcp_server.ts echoes each message as it comes with ${name}`, async () => {
    const [server, port] = await serverWith(["-f", name]);
    await using _ = server;
    using conn = await Deno.connect({ port });
    const words = ["hello", "", "x".repeat(8), "ü"];
    const wire = concatenate(words.map((word) => frame(name, word)));
    for (const byte of wire) await conn.write(new Uint8Array([byte]));
    // Before the end of what is sent, so nothing waits for it.
    assertEquals(await readExactly(conn, wire.length), wire);
    await conn.closeWrite();
    assertEquals(await within(readToEnd(conn)), new Uint8Array(0));
    await server.stderr("closed");
  });
}

/** What comes in, and what goes out: much of it, in messages of all lengths. */
function manyMessages(name: string): [Uint8Array, Uint8Array<ArrayBuffer>] {
  const letters = bytes(noise(6_000_000).toBase64());
  const [said, heard]: Uint8Array[][] = [[], []];
  for (let at = 0, i = 0; at < letters.length; i++) {
    const message = letters.slice(at, at += i * i % 4999);
    const out = frame(name, message);
    // A line may end with CRLF, but the answer does not.
    const crlf = name === "lines" && i % 7 === 0;
    said.push(crlf ? concatenate([message, bytes("\r\n")]) : out);
    heard.push(out);
  }
  return [concatenate(said), concatenate(heard)];
}

const MUCH: [string, () => [Uint8Array, Uint8Array<ArrayBuffer>]][] = [
  ["raw", () => {
    const much = noise(50_000_000);
    return [much, much];
  }],
  ["lines", () => manyMessages("lines")],
  ["u32", () => manyMessages("u32")],
  ["netstring", () => manyMessages("netstring")],
];

for (const [name, make] of MUCH) {
  Deno.test(`tcp_server.ts loses no byte when its answers are read late with ${name}`, async () => {
    const [server, port] = await serverWith(["-f", name]);
    await using _ = server;
    using conn = await Deno.connect({ port });
    const [said, expected] = make();
    // Nothing is read until both directions are full.
    let sent = 0;
    const saying = writeAll({
      async write(data) {
        const length = await conn.write(data.subarray(0, 262_144));
        sent += length;
        return length;
      },
    }, said).then(() => conn.closeWrite());
    saying.catch(() => {});
    for (let before = -1; before < sent;) {
      before = sent;
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
    const heard = await within(readToEnd(conn));
    await saying;
    await assertSameBytes(heard, expected);
  });
}

/** The framing, good messages and a bad one, what comes back, the log. */
const BAD: [string, string, string, string][] = [
  ["lines", `a\nb\n${"x".repeat(11)}\n`, "a\nb\n", "the limit is 10"],
  ["u8", "\x01a\x00\x0b", "\x01a\x00", "11 bytes, the limit is 10"],
  ["u16", "\0\x01a\0\x0bx", "\0\x01a", "11 bytes, the limit is 10"],
  ["netstring", "1:a,1:b;1:c,", "1:a,", "there is no comma"],
  ["varint", "\x01a\x0b", "\x01a", "11 bytes, the limit is 10"],
];

for (const [name, wire, answered, why] of BAD) {
  Deno.test(`tcp_server.ts answers what came before a bad message, and serves others, with ${name}`, async () => {
    const [server, port] = await serverWith(["-f", name, "--max-frame", "10"]);
    await using _ = server;
    using other = await Deno.connect({ port });
    using conn = await Deno.connect({ port });
    await writeAll(conn, wire);
    assertEquals(text(await within(readToEnd(conn))), answered);
    const dropped = new RegExp(`:${conn.localAddr.port} dropped: (.*)\n`);
    const [, reason] = dropped.exec(await server.stderr(dropped))!;
    assert(reason.includes(why), reason);
    const alive = frame(name, "alive");
    await writeAll(other, alive);
    assertEquals(await readExactly(other, alive.length), alive);
  });
}

Deno.test("tcp_server.ts answers what came before a message that is cut short", async () => {
  const [server, port] = await serverWith(["-f", "u16"]);
  await using _ = server;
  assertEquals(await askText(port, "\0\x01a\0\x05hel"), "\0\x01a");
  await server.stderr("ended inside a frame: after 3 of 5 bytes");
});

// Greeting, discard, chargen.

Deno.test("tcp_server.ts greets each client when many come", async () => {
  const [server, port] = await serverWith(["-m", "greet"]);
  await using _ = server;
  for (let client = 0; client < 6; client++) {
    using conn = await Deno.connect({ port });
    // It says nothing and does not even half-close.
    assertEquals(
      text(await within(readToEnd(conn))),
      "Thank you for connecting",
    );
  }
});

Deno.test("tcp_server.ts delivers its greeting when the client says a lot first", async () => {
  const [server, port] = await serverWith(["-m", "greet"]);
  await using _ = server;
  for (let client = 0; client < 3; client++) {
    using conn = await Deno.connect({ port });
    await within(writeAll(conn, noise(1_000_000)));
    assertEquals(
      text(await within(readToEnd(conn))),
      "Thank you for connecting",
    );
  }
  assert(!(await server.stderr("closed")).includes("dropped"));
});

Deno.test("tcp_server.ts waits for a greeted client to leave, but not for ever", async () => {
  const [server, port] = await serverWith(["-m", "greet", "--once"]);
  await using _ = server;
  using conn = await Deno.connect({ port });
  assertEquals(text(await within(readToEnd(conn))), "Thank you for connecting");
  const start = performance.now();
  await server.stderr("closed");
  const waited = performance.now() - start;
  assert(waited > 500, `It waited for ${waited} ms`);
  assertEquals((await server.ended()).code, 0);
});

Deno.test("tcp_server.ts says nothing when it discards a lot", async () => {
  const [server, port] = await serverWith(["-m", "discard"]);
  await using _ = server;
  assertEquals((await ask(port, noise(20_000_000))).length, 0);
});

Deno.test("tcp_server.ts sends the lines of RFC 864 when its client has half-closed", async () => {
  const count = 20_000; // the pattern repeats after 95
  const [server, port] = await serverWith(["-m", "chargen"]);
  await using _ = server;
  using conn = await Deno.connect({ port });
  await writeAll(conn, "ignored");
  await conn.closeWrite();
  const heard = await readExactly(conn, 74 * count);
  const expected = Array.from({ length: count }, (_, n) =>
    Array.from(
      { length: 72 },
      (_, i) => String.fromCharCode(0x20 + (n + i) % 95),
    ).join("") + "\r\n");
  await assertSameBytes(heard, bytes(expected.join("")));
  conn.close();
  await server.stderr(/:\d+ closed\n/);
});

// A chat with whoever is at the keyboard; copies have none.

const onRequest = COPIES ? Deno.test.ignore : Deno.test;

function chatWith(...args: string[]): Promise<[Running, number]> {
  return serverWith(["-m", "chat", ...args], { input: "open" });
}

onRequest(
  "tcp_server.ts carries lines both ways at any moment when it chats",
  async () => {
    const [server, port] = await chatWith("-f", "lines");
    await using _ = server;
    using peer = await Peer.connect(port);
    await peer.say("first\nsecond\n");
    await server.stdout("second\n");
    await server.type("one\ntwo\n");
    assertEquals([await peer.line(), await peer.line()], ["one", "two"]);
    await peer.say("third\r\n");
    await server.stdout("third\n");
    await server.type("thr");
    await peer.say("fourth\n");
    await server.stdout("fourth\n");
    await server.type("ee\n");
    assertEquals(await peer.line(), "three");
    assertEquals(await server.stdout(""), "first\nsecond\nthird\nfourth\n");
  },
);

for (const farewell of ["bye", "BYE", "  Bye "]) {
  onRequest(
    `tcp_server.ts ends a chat when "${farewell}" is typed`,
    async () => {
      const [server, port] = await chatWith("-f", "lines");
      await using _ = server;
      using peer = await Peer.connect(port);
      await server.type(`hello\n${farewell}\nlater\n`);
      assertEquals(await peer.line(), "hello");
      assertEquals(await peer.line(), undefined);
      // What was typed after it is for the next one.
      using next = await Peer.connect(port);
      assertEquals(await next.line(), "later");
    },
  );
}

onRequest(
  "tcp_server.ts goes on with a chat when the client says bye",
  async () => {
    const [server, port] = await chatWith("-f", "lines", "--once");
    await using _ = server;
    using peer = await Peer.connect(port);
    await peer.say("bye\n");
    await server.stdout("bye\n");
    await server.type("not yet\nbye\n");
    assertEquals([await peer.line(), await peer.line()], [
      "not yet",
      undefined,
    ]);
    const { code, stdout } = await server.ended();
    assertEquals({ code, stdout }, { code: 0, stdout: "bye\n" });
  },
);

onRequest(
  "tcp_server.ts goes on with a chat when bye is only a part of a line",
  async () => {
    const [server, port] = await chatWith("-f", "lines");
    await using _ = server;
    using peer = await Peer.connect(port);
    await server.type("goodbye\nbye bye\n");
    assertEquals([await peer.line(), await peer.line()], [
      "goodbye",
      "bye bye",
    ]);
    await peer.say("bye for now\n");
    await server.stdout("bye for now\n");
    await server.type("still here\n");
    assertEquals(await peer.line(), "still here");
  },
);

onRequest(
  "tcp_server.ts leaves what is typed to the next client when one has left",
  async () => {
    const [server, port] = await chatWith("-f", "lines");
    await using _ = server;
    for (const greeting of ["hello", "again", "at last"]) {
      {
        using peer = await Peer.connect(port);
        await server.type(`${greeting}\n`);
        assertEquals(await peer.line(), greeting);
        peer.conn.close();
        await server.stderr(`${peer.address} closed`);
      }
      // Nobody listens now, but the keyboard is being read already.
      await server.type(`after ${greeting}\n`);
      // Long enough to be read, of which nothing tells.
      await new Promise((resolve) => setTimeout(resolve, 100));
      using next = await Peer.connect(port);
      assertEquals(await next.line(), `after ${greeting}`);
      next.conn.close();
      await server.stderr(`${next.address} closed`);
    }
  },
);

onRequest(
  "tcp_server.ts sends its last line and listens on when the keyboard ends",
  async () => {
    const [server, port] = await chatWith("-f", "lines", "--once");
    await using _ = server;
    using peer = await Peer.connect(port);
    await server.type("last");
    await server.stdin!.close();
    assertEquals(await peer.line(), "last");
    assertEquals(await peer.line(), undefined);
    await peer.say("answer\n");
    await server.stdout("answer\n");
    await peer.say("and another\n");
    peer.conn.close();
    const { code, stdout } = await server.ended();
    assertEquals(code, 0);
    assertEquals(stdout, "answer\nand another\n");
  },
);

for (const name of FRAMINGS) {
  onRequest(`tcp_server.ts chats in messages with ${name}`, async () => {
    const [server, port] = await chatWith("-f", name);
    await using _ = server;
    using peer = await Peer.connect(port);
    const typed = concatenate([frame(name, "hello"), frame(name, "there")]);
    await server.type("hello\nthere\n");
    assertEquals(await readExactly(peer.conn, typed.length), typed);
    await peer.say(concatenate([frame(name, "good"), frame(name, "day")]));
    peer.conn.close();
    await server.stderr("closed");
    assertEquals(await server.stdout("day\n"), "good\nday\n");
  });
}

onRequest(
  "tcp_server.ts shows what came before a chat is cut short, and serves the next",
  async () => {
    const [server, port] = await chatWith("-f", "u8");
    await using _ = server;
    {
      using peer = await Peer.connect(port);
      await peer.say("\x02hi\x05hel");
    }
    await server.stderr("after 3 of 5 bytes");
    assertEquals(await server.stdout("hi\n"), "hi\n");
    using next = await Peer.connect(port);
    await next.say("\x05hello");
    assertEquals(await server.stdout("hello\n"), "hi\nhello\n");
  },
);

// A room.

/** A room in which everybody has heard of who came later. */
class Room implements AsyncDisposable {
  readonly members: Peer[] = [];
  readonly server: Running;
  readonly #port: number;
  #gone = 0;

  private constructor(server: Running, port: number) {
    this.server = server;
    this.#port = port;
  }

  static async open(...args: string[]): Promise<Room> {
    return new Room(...await serverWith(["-m", "room", ...args]));
  }

  /** Lets one in; those who are there hear of it, all but the deaf. */
  async join(...deaf: Peer[]): Promise<Peer> {
    const member = await Peer.connect(this.#port);
    const name = `user${this.members.length + this.#gone + 1}`;
    const here = this.members.length + 1;
    assertEquals(await member.line(), `* you are ${name}, ${here} here`);
    await this.server.stderr(`${member.address} joined as ${name}\n`);
    for (const other of this.members) {
      if (deaf.includes(other)) continue;
      assertEquals(await other.line(), `* ${name} joined`);
    }
    this.members.push(member);
    return member;
  }

  /** Counts one no more. */
  forget(member: Peer): void {
    this.members.splice(this.members.indexOf(member), 1);
    this.#gone++;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const member of this.members) member[Symbol.dispose]();
    await this.server[Symbol.asyncDispose]();
  }
}

Deno.test("tcp_server.ts tells a room who comes and who goes", async () => {
  await using room = await Room.open();
  const ann = await room.join();
  const bob = await room.join();
  const cyd = await room.join();
  bob.conn.close();
  room.forget(bob);
  assertEquals(await ann.line(), "* user2 left");
  assertEquals(await cyd.line(), "* user2 left");
  await room.server.stderr(`${bob.address} left as user2\n`);
  const dan = await room.join(); // user4, of three
  dan.conn.close();
  room.forget(dan);
  assertEquals(await ann.line(), "* user4 left");
  assertEquals(await cyd.line(), "* user4 left");
  await ann.conn.closeWrite(); // who says nothing more has left, too
  assertEquals(await cyd.line(), "* user1 left");
  assertEquals(await ann.line(), undefined);
  const log = await room.server.stderr(`${ann.address} left as user1\n`);
  const events = [...log.matchAll(/\d (joined|left) as (\w+)\n/g)]
    .map(([, event, name]) => `${name} ${event}`);
  assertEquals(events, [
    "user1 joined",
    "user2 joined",
    "user3 joined",
    "user2 left",
    "user4 joined",
    "user4 left",
    "user1 left",
  ]);
});

Deno.test("tcp_server.ts passes a line to everyone in a room but its speaker", async () => {
  await using room = await Room.open();
  const ann = await room.join();
  const bob = await room.join();
  const cyd = await room.join();
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
  await cyd.conn.closeWrite();
  assertEquals(await ann.line(), "<user3> without end");
  assertEquals(await ann.line(), "* user3 left");
});

for (const name of ["lines", "u16", "netstring"]) {
  Deno.test(`tcp_server.ts lets nobody in a room speak in another's name with ${name}`, async () => {
    await using server = start("tcp_server.ts", [
      ...["127.0.0.1:0", "-m", "room", "-f", name],
    ]);
    const port = await server.port();
    using ann = await Peer.connect(port);
    await server.stderr("joined as user1");
    using bob = await Peer.connect(port);
    await server.stderr("joined as user2");
    for (const [said] of FORGED) await ann.say(frame(name, said));
    await ann.say(frame(name, new Uint8Array([0xff, 0x41])));
    // All of it at once is the same as one by one.
    await ann.say(concatenate(FORGED.map(([said]) => frame(name, said))));
    const heard = FORGED.map(([, heard]) => heard);
    const expected = ["* you are user2, 2 here", ...heard, "<user1> \ufffdA"]
      .concat(heard);
    const wire = concatenate(expected.map((line) => frame(name, line)));
    assertEquals(text(await readExactly(bob.conn, wire.length)), text(wire));
  });
}

Deno.test("tcp_server.ts shows a room a line feed inside a message, and adds none", async () => {
  const [server, port] = await serverWith(["-m", "room", "-f", "u8"]);
  await using _ = server;
  using ann = await Peer.connect(port);
  await server.stderr("joined as user1");
  using bob = await Peer.connect(port);
  await server.stderr("joined as user2");
  await ann.say(frame("u8", "hi\n<user2> yes"));
  await ann.conn.closeWrite();
  await server.stderr("left as user1");
  await bob.conn.closeWrite();
  const heard = [
    "* you are user2, 2 here",
    "<user1> hi\\x0a<user2> yes",
    "* user1 left",
  ];
  const wire = concatenate(heard.map((line) => frame("u8", line)));
  assertEquals(text(await within(readToEnd(bob.conn))), text(wire));
});

Deno.test("tcp_server.ts ends the stay of a member that says too much, and of nobody else", async () => {
  await using room = await Room.open("--max-frame", "100");
  const ann = await room.join();
  const bob = await room.join();
  const cyd = await room.join();
  await ann.say(`last words\n${"x".repeat(101)}\nmore\n`);
  for (const member of [bob, cyd]) {
    assertEquals(await member.line(), "<user1> last words");
    assertEquals(await member.line(), "* user1 left");
  }
  await room.server.stderr("the limit is 100");
  await bob.say("still here\n");
  assertEquals(await cyd.line(), "<user2> still here");
});

/** Says numbered lines of 200 bytes in blocks. */
class Counter {
  count = 0;
  readonly #to: Peer;

  constructor(to: Peer) {
    this.#to = to;
  }

  async go(lines: number): Promise<void> {
    let block = "";
    for (let i = 0; i < lines; i++) {
      block += `${this.count++} `.padEnd(199, "x") + "\n";
    }
    await this.#to.say(block);
  }
}

/** Hears user1 count from 0 to its last word; gives how far it came. */
async function hearOut(member: Peer): Promise<number> {
  let count = 0;
  for (;;) {
    const line = await member.line();
    if (line === undefined) throw new Error(`Cut off after ${count} lines`);
    if (line.startsWith("* ")) continue;
    if (line === "<user1> the end") return count;
    if (!line.startsWith(`<user1> ${count} `)) {
      throw new Error(`It heard, instead of ${count}: ${line}`);
    }
    count++;
  }
}

Deno.test("tcp_server.ts drops a member that never reads; all others lose nothing", async () => {
  await using room = await Room.open();
  const ann = await room.join();
  const deaf = await room.join();
  const readers: Peer[] = [];
  while (readers.length < 3) readers.push(await room.join(deaf));
  const heard = Promise.all(readers.map(hearOut));
  heard.catch(() => {});
  const counter = new Counter(ann);
  let dropped = false;
  const dropping = room.server.stderr(`${deaf.address} dropped as user2\n`)
    .then(() => dropped = true);
  dropping.catch(() => {});
  // How much the system takes for the deaf one differs from one to the next.
  while (!dropped || counter.count < 20_000) await counter.go(500);
  await dropping;
  await ann.say("the end\n");
  assertEquals(await within(heard), readers.map(() => counter.count));
  assert(!/left as/.test(await room.server.stderr("")));
});

Deno.test("tcp_server.ts keeps a member that reads slowly", async () => {
  await using room = await Room.open();
  const ann = await room.join();
  const slow = await room.join();
  const counter = new Counter(ann);
  const said = (async () => {
    while (counter.count < 60_000) await counter.go(500);
    await ann.say("the end\n");
  })();
  said.catch(() => {});
  // Reads a little only when nobody else can go on: then all that may wait
  // does wait.
  const { read } = slow.conn;
  slow.conn.read = async (buffer) => {
    await new Promise((resolve) => setTimeout(resolve, 1));
    return await read.call(slow.conn, buffer);
  };
  assertEquals(await within(hearOut(slow)), 60_000);
  await within(said);
  assertMatch(
    await room.server.stderr(""),
    /^Listening.*\n(.* (connected|joined as user[12])\n){4}$/,
  );
});

Deno.test("tcp_server.ts carries a room of raw bytes line by line", async () => {
  const [server, port] = await serverWith(["-m", "room"]);
  await using _ = server;
  using ann = await Deno.connect({ port });
  await readUntil(ann, "* you are user1, 1 here\n");
  using bob = await Deno.connect({ port });
  await readUntil(bob, "* you are user2, 2 here\n");
  await writeAll(ann, "one\ntw");
  assertEquals(await readUntil(bob, "\n"), "<user1> one\n");
  await writeAll(ann, "o\n");
  assertEquals(await readUntil(bob, "\n"), "<user1> two\n");
});
