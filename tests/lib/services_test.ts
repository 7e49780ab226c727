/** Echo, discard, character generator, greeting: what each sends, and how each ends. */
import { assertEquals, assertInstanceOf, assertRejects } from "@std/assert";
import {
  FrameTooLongError,
  type Framing,
  parseFraming,
} from "../../lib/framing.ts";
import {
  answer,
  generateCharacters,
  greet,
  type Reply,
  unchanged,
} from "../../lib/modes/services.ts";
import { discard } from "../../lib/tcp/stream.ts";
import { type Handler, serve } from "../../lib/tcp/serve.ts";
import { chunks, concatenate, writeAll } from "../../lib/tcp/stream.ts";
import { pair } from "../support/fakes.ts";
import { bytes, text, within } from "../support/helpers.ts";

/** A server for one test; collects what went wrong with conversations. */
class Served implements AsyncDisposable {
  readonly errors: unknown[] = [];
  #listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  #stop = new AbortController();
  #served: Promise<void>;

  constructor(handler: Handler) {
    this.#served = serve(this.#listener, handler, {
      signal: this.#stop.signal,
      onError: (error) => this.errors.push(error),
    });
  }

  async connect(): Promise<Deno.TcpConn> {
    const { port } = this.#listener.addr;
    return await Deno.connect({ hostname: "127.0.0.1", port });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort();
    await within(this.#served);
  }
}

async function readToEnd(conn: Deno.Conn): Promise<Uint8Array> {
  return concatenate(await within(Array.fromAsync(chunks(conn))));
}

async function readExactly(conn: Deno.Conn, length: number) {
  const buffer = new Uint8Array(length);
  for (let have = 0; have < length;) {
    const more = await within(conn.read(buffer.subarray(have)));
    if (more === null) return buffer.subarray(0, have);
    have += more;
  }
  return buffer;
}

/** Sends all, says that this was all, and gives what comes back until the end. */
async function ask(conn: Deno.Conn, question: Uint8Array): Promise<Uint8Array> {
  const sending = writeAll(conn, question).then(() => conn.closeWrite());
  const answer = await readToEnd(conn);
  await sending;
  return answer;
}

const echo = (framing: Framing): Handler => (conn) =>
  answer(conn, framing, unchanged);

const MEGABYTE = Uint8Array.from({ length: 1_000_003 }, (_, i) => i * i >> 3);

Deno.test("answer() sends bytes back as they are, framing raw", async () => {
  await using served = new Served(echo(parseFraming("raw")));
  using conn = await served.connect();
  assertEquals(await ask(conn, MEGABYTE), MEGABYTE);
  assertEquals(served.errors, []);
});

const FRAMINGS = [
  "lines",
  "fixed:8",
  "u8",
  "u16",
  "u32",
  "u16le",
  "u32le",
  "varint",
  "netstring",
];
const MESSAGES = ["hello", "", "x".repeat(8), "ü"];

for (const name of FRAMINGS) {
  Deno.test(`answer() sends frames back, framing ${name}`, async () => {
    const framing = parseFraming(name);
    const wire = concatenate(MESSAGES.map((it) => framing.encode(bytes(it))));
    await using served = new Served(echo(framing));
    using conn = await served.connect();
    for (const byte of wire) await conn.write(new Uint8Array([byte]));
    // Before the end of the input, so nothing waits for it.
    assertEquals(await readExactly(conn, wire.length), wire);
    await conn.closeWrite();
    assertEquals(await readToEnd(conn), new Uint8Array(0));
    assertEquals(served.errors, []);
  });
}

/** Capital letters, byte by byte. */
const louder: Reply = (message) =>
  message.map((byte) => byte >= 97 && byte <= 122 ? byte - 32 : byte);

for (const name of ["raw", ...FRAMINGS]) {
  Deno.test(`answer() gives another reply when it is told to, framing ${name}`, async () => {
    const framing = parseFraming(name);
    const wire = (...messages: string[]) =>
      concatenate(messages.map((message) => framing.encode(bytes(message))));
    await using served = new Served((conn) => answer(conn, framing, louder));
    using conn = await served.connect();
    const answers = await ask(conn, wire("hello", "", "Eight..8"));
    assertEquals(text(answers), text(wire("HELLO", "", "EIGHT..8")));
    assertEquals(served.errors, []);
  });
}

Deno.test("answer() gives back lines as decoder and encoder would, however they are cut", async () => {
  const framing = parseFraming("lines", { maxFrameLength: 40 });
  const said = "one\ntwo\r\n\n\r\n" + "x".repeat(40) + "\nsix\r\r\n";
  const wire = bytes(said.repeat(20));
  const decoder = framing.createDecoder();
  const expected = concatenate(
    [...decoder.push(wire)].map((line) => framing.encode(line)),
  );
  for (const size of [1, 2, 3, 7, 50, 64, 1000]) {
    await using served = new Served(echo(framing));
    using conn = await served.connect();
    conn.setNoDelay();
    const sending = (async () => {
      for (let at = 0; at < wire.length; at += size) {
        await writeAll(conn, wire.subarray(at, at + size));
      }
      await conn.closeWrite();
    })();
    assertEquals(text(await readToEnd(conn)), text(expected));
    await sending;
    assertEquals(served.errors, []);
  }
});

Deno.test("answer() answers a last line that has no end", async () => {
  await using served = new Served(echo(parseFraming("lines")));
  using conn = await served.connect();
  assertEquals(text(await ask(conn, bytes("one\r\ntwo"))), "one\ntwo\n");
});

/** What `answer` sends, a write each, when a client says all this at once. */
async function sends(
  framing: Framing,
  said: Uint8Array,
  reply: Reply,
): Promise<{ sent: Uint8Array[]; error: unknown }> {
  using peer = await pair();
  await writeAll(peer.theirs, said);
  await peer.theirs.closeWrite();
  const sent: Uint8Array[] = [];
  const send = (replies: Uint8Array) => {
    if (replies.length > 0) sent.push(replies);
    return Promise.resolve();
  };
  let error: unknown;
  await answer(peer.ours, framing, reply, send).catch((it) => error = it);
  return { sent, error };
}

/** Says where they differ, and no more: explaining a megabyte takes minutes. */
function assertSameBytes(actual: Uint8Array, expected: Uint8Array): void {
  assertEquals(actual.length, expected.length);
  assertEquals(actual.findIndex((byte, i) => byte !== expected[i]), -1);
}

for (const name of FRAMINGS) {
  Deno.test(`answer() sends replies as encode() gives them, whatever their length, framing ${name}`, async () => {
    const framing = parseFraming(name, { maxFrameLength: 400_000 });
    const lengths = [200, 3, 0, framing.maxFrameLength, 1, 70_000, 2, 0];
    const replies = lengths.map((length) =>
      new Uint8Array(Math.min(length, framing.maxFrameLength)).fill(0x78)
    );
    const said = concatenate(replies.map(() => framing.encode(bytes("hello"))));
    let next = 0;
    const reply = () => replies[next++];
    const { sent, error } = await sends(framing, said, reply);
    assertEquals(error, undefined);
    const encoded = concatenate(replies.map(framing.encode));
    assertSameBytes(concatenate(sent), encoded);
  });
}

Deno.test("answer() sends the replies before one that the framing refuses", async () => {
  const framing = parseFraming("lines", { maxFrameLength: 3 });
  for (const refused of ["abcd", "a\nb"]) {
    const reply: Reply = (message) =>
      text(message) === "no" ? bytes(refused) : message;
    const said = bytes("abc\nno\nd\n");
    const { sent, error } = await sends(framing, said, reply);
    assertEquals(sent.map(text), ["abc\n"]);
    assertInstanceOf(error, Error);
  }
});

Deno.test("answer() lets others have their turn after so many replies, or bytes of them", async () => {
  const framing = parseFraming("u32");
  const said = new Uint8Array(4 * 3000);
  const short = await sends(framing, said, unchanged);
  assertSameBytes(concatenate(short.sent), said);
  assertEquals(Math.max(...short.sent.map(({ length }) => length)), 4 * 1024);
  const long = await sends(framing, said, () => new Uint8Array(1020));
  const lengths = long.sent.map(({ length }) => length);
  assertEquals(Math.max(...lengths), 65_536);
  assertEquals(lengths.reduce((sum, length) => sum + length), 3000 * 1024);
});

Deno.test("answer() mixes nobody's replies with another's that wait to be sent", async () => {
  const framing = parseFraming("u16");
  await using served = new Served((conn) =>
    answer(conn, framing, unchanged, async (replies) => {
      const before = replies.slice();
      await new Promise((resolve) => setTimeout(resolve, 5));
      assertSameBytes(replies, before);
      await writeAll(conn, replies);
    })
  );
  await Promise.all(Array.from({ length: 5 }, async (_, client) => {
    using conn = await served.connect();
    const frame = framing.encode(new Uint8Array(50).fill(client));
    const said = concatenate(Array.from({ length: 2000 }, () => frame));
    assertSameBytes(await ask(conn, said), said);
  }));
  assertEquals(served.errors, []);
});

/** The framing, good frames and a bad one, what comes back, what went wrong. */
const BAD: [string, string, string, abstract new () => Error][] = [
  ["lines", `a\nb\n${"x".repeat(11)}\n`, "a\nb\n", FrameTooLongError],
  ["u8", "\x01a\x00\x0b", "\x01a\x00", FrameTooLongError],
  ["u16", "\0\x01a\0\x0bx", "\0\x01a", FrameTooLongError],
  ["netstring", "1:a,1:b;1:c,", "1:a,", Deno.errors.InvalidData],
  ["varint", "\x01a\x0b", "\x01a", FrameTooLongError],
] as unknown as [string, string, string, abstract new () => Error][];

for (const [name, wire, answered, type] of BAD) {
  Deno.test(`answer() answers the frames before a bad one and ends, framing ${name}`, async () => {
    const framing = parseFraming(name, { maxFrameLength: 10 });
    await using served = new Served(echo(framing));
    using other = await served.connect();
    using conn = await served.connect();
    await conn.write(bytes(wire));
    assertEquals(text(await readToEnd(conn)), answered);
    assertInstanceOf(served.errors[0], type);
    assertEquals(served.errors.length, 1);
    const frame = framing.encode(bytes("alive"));
    assertEquals(await ask(other, frame), frame);
  });
}

Deno.test("answer() answers the frames before one that is cut short", async () => {
  await using served = new Served(echo(parseFraming("u16")));
  using conn = await served.connect();
  assertEquals(text(await ask(conn, bytes("\0\x01a\0\x05hel"))), "\0\x01a");
  assertInstanceOf(served.errors[0], Deno.errors.UnexpectedEof);
});

Deno.test("greet() greets whoever comes, and closes", async () => {
  await using served = new Served((conn) => greet(conn, bytes("Thank you")));
  for (let client = 0; client < 6; client++) {
    using conn = await served.connect();
    assertEquals(text(await readToEnd(conn)), "Thank you");
  }
  assertEquals(served.errors, []);
});

Deno.test("greet() delivers although the client says a lot first", async () => {
  await using served = new Served((conn) => greet(conn, bytes("Thank you")));
  using conn = await served.connect();
  await writeAll(conn, MEGABYTE);
  assertEquals(text(await readToEnd(conn)), "Thank you");
  assertEquals(served.errors, []);
});

Deno.test("greet() waits for the client to leave, but not for ever", async () => {
  using peer = await pair();
  let over = false;
  const greeted = greet(peer.ours, bytes("Hello")).then(() => over = true);
  assertEquals(text(await readToEnd(peer.theirs)), "Hello");
  assertEquals(over, false); // it is half-closed, and what we say is read
  await within(greeted);
});

Deno.test("discard() reads everything and says nothing", async () => {
  await using served = new Served(discard);
  using conn = await served.connect();
  assertEquals(await ask(conn, MEGABYTE), new Uint8Array(0));
  assertEquals(served.errors, []);
});

Deno.test("generateCharacters() sends the lines of RFC 864 until the client goes", async () => {
  const count = 2000; // the pattern repeats after 95, and is written 9 times over
  await using served = new Served(generateCharacters);
  using conn = await served.connect();
  await conn.write(bytes("ignored"));
  await conn.closeWrite();
  const lines = text(await readExactly(conn, 74 * count)).split("\r\n");
  assertEquals(lines.pop(), "");
  assertEquals(
    lines[0],
    " !\"#$%&'()*+,-./0123456789:;<=>?@ABCDEFGHIJKLMNOPQRSTUVWXYZ[\\]^_`abcdefg",
  );
  for (const [n, line] of lines.entries()) {
    const expected = Array.from(
      { length: 72 },
      (_, i) => String.fromCharCode(0x20 + (n + i) % 95),
    );
    assertEquals(line, expected.join(""));
  }
  assertEquals(lines.length, count);
  conn.close();
  await served[Symbol.asyncDispose]();
  assertEquals(served.errors, []);
});

Deno.test("generateCharacters() reports what is not a client that goes", async () => {
  using peer = await pair();
  peer.ours.write = () => Promise.reject(new Error("cable cut"));
  await assertRejects(
    () => generateCharacters(peer.ours),
    Error,
    "cable cut",
  );
});
