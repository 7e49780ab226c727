/** The k-th read, write or close fails, for every k and wherever it is called. */
import { assert, assertEquals } from "@std/assert";
import { decodeFrames, parseFraming } from "../../lib/framing.ts";
import { chat } from "../../lib/modes/chat.ts";
import { Room } from "../../lib/modes/room.ts";
import {
  answer,
  generateCharacters,
  greet,
  unchanged,
} from "../../lib/modes/services.ts";
import { type Handler, serve } from "../../lib/tcp/serve.ts";
import {
  chunks,
  copy,
  discard,
  duplex,
  writeAll,
} from "../../lib/tcp/stream.ts";
import { FakePrompt, reading } from "../support/fakes.ts";
import { bytes, within } from "../support/helpers.ts";

/** More calls than any of these conversations makes. */
const CALLS = 40;

/** Makes a connection whose k-th call fails; tells whether it came to that. */
function failing(conn: Deno.Conn, k: number): () => boolean {
  let calls = 0;
  const { read, write, closeWrite, close } = conn;
  const fault = <T>(call: () => Promise<T>): Promise<T> =>
    ++calls === k
      ? Promise.reject(new Deno.errors.ConnectionReset("k-th call"))
      : call();
  conn.read = (buffer) => fault(() => read.call(conn, buffer));
  conn.write = (data) => fault(() => write.call(conn, data));
  conn.closeWrite = () => fault(() => closeWrite.call(conn));
  conn.close = () => {
    close.call(conn);
    if (++calls === k) throw new Deno.errors.BadResource("k-th call");
  };
  return () => calls >= k;
}

/** Talks to a server as a client that leaves, whatever the server does. */
async function talk(port: number, said: Uint8Array): Promise<void> {
  const conn = await Deno.connect({ port });
  const hearing = copy(conn, sink).catch(() => {});
  try {
    for (let part = 0; part < 3; part++) await writeAll(conn, said);
    await conn.closeWrite();
  } catch {
    // The server's side has failed, as it was to.
  }
  // Some say nothing, and some never end: it is enough after a while.
  const timer = setTimeout(() => conn[Symbol.dispose](), 20);
  await hearing;
  clearTimeout(timer);
  conn[Symbol.dispose]();
}

const sink = { write: (data: Uint8Array) => Promise.resolve(data.length) };

/** A conversation as in `tcp_server.ts -m chat`, with a keyboard of its own. */
const chatting: Handler = async (conn) => {
  const prompt = new FakePrompt();
  prompt.type("one", "two", undefined);
  await chat(conn, parseFraming("lines"), prompt);
};

const u32 = parseFraming("u32");
const LINE = bytes("hello\n");

function echoing(framing: string): Handler {
  return (conn) => answer(conn, parseFraming(framing), unchanged);
}

const room = new Room(parseFraming("lines"));

for (
  const [name, handler, said] of [
    ["echo", echoing("raw"), LINE],
    ["echo of lines", echoing("lines"), LINE],
    ["echo of u32", echoing("u32"), u32.encode(LINE)],
    ["greet", (conn: Deno.Conn) => greet(conn, LINE), LINE],
    ["discard", discard, LINE],
    ["chargen", generateCharacters, LINE],
    ["room", (conn: Deno.Conn) => room.join(conn), LINE],
    ["chat", chatting, LINE],
  ] as const
) {
  Deno.test(`serve() leaves nothing behind when the k-th call of ${name} fails`, async () => {
    for (let k = 1; k <= CALLS; k++) {
      const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
      const stop = new AbortController();
      const errors: unknown[] = [];
      let reached = false;
      const served = serve(listener, async (conn) => {
        const has = failing(conn, k);
        try {
          await handler(conn);
        } finally {
          reached ||= has();
        }
      }, {
        signal: stop.signal,
        grace: 200,
        onError: (error) => errors.push(error),
      });
      const { port } = listener.addr;
      await within(Promise.all([talk(port, said), talk(port, said)]));
      stop.abort();
      await within(served);
      const unexpected = errors.filter((error) =>
        !(error instanceof Deno.errors.ConnectionReset ||
          error instanceof Deno.errors.TimedOut)
      );
      assertEquals(unexpected, []);
      if (reached) continue;
      assert(k > 2, `There were ${k - 1} calls only`);
      break;
    }
  });
}

/** What a conversation came to, given two ends, the near one failing. */
async function tried(
  k: number,
  act: (near: Deno.Conn) => Promise<unknown>,
): Promise<boolean> {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const [near, far] = await Promise.all([
    Deno.connect({ port: listener.addr.port }),
    listener.accept(),
  ]);
  using _near = near;
  const reached = failing(near, k);
  const answering = (async () => {
    using conn = far;
    await writeAll(conn, bytes("one\ntwo\n"));
    await copy(conn, conn);
  })().catch(() => {});
  const outcome = await within(
    act(near).then(() => undefined, (error) => error),
  );
  near[Symbol.dispose]();
  await within(answering);
  if (outcome !== undefined) {
    assert(outcome instanceof Deno.errors.ConnectionReset, `${outcome}`);
  }
  return reached();
}

/** The end of a program that says three lines. */
const program = () => ({
  ...reading(["a\n", "b\n", "c\n"].map((text) => bytes(text))),
  write: (data: Uint8Array) => Promise.resolve(data.length),
  closeWrite: () => Promise.resolve(),
});

for (
  const [name, act] of [
    ["copy", async (conn) => {
      await writeAll(conn, bytes("a\n"));
      await conn.closeWrite();
      await copy(conn, sink);
    }],
    ["duplex", (conn) => duplex(conn, program())],
    ["decodeFrames", async (conn) => {
      await conn.closeWrite();
      const lines = decodeFrames(chunks(conn), parseFraming("lines"));
      for await (const _line of lines);
    }],
  ] as [string, (conn: Deno.Conn) => Promise<unknown>][]
) {
  Deno.test(`${name}() leaves nothing behind when the k-th call fails`, async () => {
    let k = 1;
    while (await tried(k, act)) k++;
    assert(k > 3, `There were ${k - 1} calls only`);
  });
}
