/** What macOS and Windows say otherwise than Linux, put in the place of what Linux says. */
import { assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { parseFraming } from "../../lib/framing.ts";
import { chat } from "../../lib/modes/chat.ts";
import { generateCharacters, greet } from "../../lib/modes/services.ts";
import { connect } from "../../lib/tcp/connect.ts";
import { duplex } from "../../lib/tcp/stream.ts";
import { serve } from "../../lib/tcp/serve.ts";
import { parseUdpAddress, UdpSocket } from "../../lib/udp.ts";
import { collecting, FakePrompt, pair, reading } from "../support/fakes.ts";
import { bytes, readAll, Running, text, within } from "../support/helpers.ts";

const LOOPBACK = { transport: "tcp" as const, hostname: "127.0.0.1", port: 0 };
const UDP = parseUdpAddress("127.0.0.1:0");
const { errors } = Deno;

/** What Deno throws for a number for which it has no class. */
function coded(code: string, number: number): Error {
  return Object.assign(new Error(`(os error ${number})`), { code });
}

/** EINVAL is "invalid input" in Rust, and so a TypeError. */
function invalid(): Error {
  const error = new TypeError("Invalid argument (os error 22)");
  return Object.assign(error, { code: "EINVAL" });
}

/** Puts a function into the place of another until it is disposed of. */
function replaced<Name extends string>(
  owner: { [name in Name]: unknown },
  name: Name,
  replacement: unknown,
): Disposable {
  const real = owner[name];
  owner[name] = replacement;
  return { [Symbol.dispose]: () => void (owner[name] = real) };
}

for (
  const error of [
    invalid(), // macOS: a client that has reset, or has left a unix socket
    new errors.ConnectionAborted("(os error 10053)"), // Windows
  ]
) {
  Deno.test(`serve() accepts the next at once when a client is gone: ${error.message}`, async () => {
    using real = Deno.listen({ hostname: "127.0.0.1", port: 0 });
    const failures = [error, error, error];
    const listener = {
      accept: () => {
        const failure = failures.shift();
        return failure ? Promise.reject(failure) : real.accept();
      },
      [Symbol.dispose]: () => real[Symbol.dispose](),
    } as unknown as Deno.Listener;
    const told: unknown[] = [];
    const stop = new AbortController();
    const served = serve(listener, (conn) => void conn.close(), {
      signal: stop.signal,
      onError: (error) => told.push(error),
    });
    using conn = await Deno.connect({ port: real.addr.port });
    assertEquals(await within(readAll(conn)), new Uint8Array(0));
    stop.abort();
    await within(served);
    assertEquals(told, []);
  });
}

Deno.test("serve() and connect() go on when setting an option fails: os error 22", async () => {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const near = await Deno.connect({ port: listener.addr.port });
  (await listener.accept()).close();
  near.close();
  using _broken = replaced(
    Object.getPrototypeOf(near),
    "setNoDelay",
    () => {
      throw invalid();
    },
  );
  const { port } = listener.addr;
  const told: unknown[] = [];
  const served = serve(
    listener,
    async (conn) => void await conn.write(bytes("hello")),
    { once: true, onError: (error) => told.push(error) },
  );
  using conn = await connect({ ...LOOPBACK, port });
  assertEquals(text(await within(readAll(conn))), "hello");
  await within(served);
  assertEquals(told, []);
});

/** Two ends, of which ours hears that the peer has gone where it half-closes. */
async function unconnected() {
  const ends = await pair();
  const { closeWrite } = ends.ours;
  Object.assign(ends.ours, {
    async closeWrite() {
      await closeWrite.call(ends.ours);
      throw new errors.NotConnected("(os error 57)");
    },
  });
  return ends;
}

Deno.test("duplex() ends well when a half-close finds the peer gone: os error 57", async () => {
  using ends = await unconnected();
  const to = Object.assign(collecting(), reading([bytes("question")]), {
    closeWrite: () => Promise.resolve(),
  });
  const talking = duplex(ends.ours, to);
  assertEquals(text(await readAll(ends.theirs)), "question");
  await ends.say("answer");
  ends.theirs.close();
  await within(talking);
  assertEquals(text(to.bytes), "answer");
});

Deno.test("duplex() fails when a half-close fails for another reason", async () => {
  using ends = await pair();
  ends.ours.closeWrite = () => Promise.reject(coded("EIO", 5));
  const to = Object.assign(collecting(), reading([]), {
    closeWrite: () => Promise.resolve(),
  });
  const talking = assertRejects(() => duplex(ends.ours, to), Error, "error 5");
  await ends.theirs.closeWrite();
  await within(talking);
});

Deno.test("chat() ends well when a half-close finds the peer gone: os error 57", async () => {
  using ends = await unconnected();
  const prompt = new FakePrompt();
  const chatting = chat(ends.ours, parseFraming("lines"), prompt);
  prompt.type("hello", undefined);
  assertEquals(text(await within(readAll(ends.theirs))), "hello\n");
  ends.theirs.close();
  await within(chatting);
});

Deno.test("greet() ends well when a half-close finds the peer gone: os error 57", async () => {
  using ends = await unconnected();
  const greeting = greet(ends.ours, bytes("hello"));
  assertEquals(text(await within(readAll(ends.theirs))), "hello");
  ends.theirs.close();
  await within(greeting);
});

for (
  const error of [
    new errors.ConnectionAborted("(os error 10053)"), // Windows
    coded("EPROTOTYPE", 41), // macOS
    new Error("Protocol wrong type for socket (os error 41)"),
  ]
) {
  Deno.test(`generateCharacters() ends well when the client goes: ${error.message}`, async () => {
    using ends = await pair();
    ends.ours.write = () => Promise.reject(error);
    await within(generateCharacters(ends.ours));
  });
}

Deno.test("receive() goes on when a datagram is longer than the buffer: os error 10040", async () => {
  const failures = [
    new Error("A message was larger than the buffer (os error 10040)"),
    new Error("Die Lebensdauer ist abgelaufen (os error 10052)"),
    new errors.ConnectionReset("(os error 10054)"),
  ];
  const { listenDatagram } = Deno;
  using _failing = replaced(Deno, "listenDatagram", (address: never) => {
    const conn = listenDatagram(address);
    const receive = conn.receive.bind(conn);
    return Object.assign(conn, {
      receive(buffer: Uint8Array) {
        const failure = failures.shift();
        return failure ? Promise.reject(failure) : receive(buffer);
      },
    });
  });
  using receiver = new UdpSocket(UDP);
  await receiver.send(bytes("hello"), receiver.address as typeof UDP);
  for await (const { payload } of receiver.receive()) {
    assertEquals(text(payload), "hello");
    break;
  }
});

const BIND = "bind it to [::]:0 or 0.0.0.0:0 (--bind)";

/** From where, to where, what is thrown, and what is said. */
const SENDING: [string, string, Error, string][] = [
  ["127.0.0.1:0", "[::1]:9", coded("EAFNOSUPPORT", 97), BIND],
  ["127.0.0.1:0", "[::1]:9", invalid(), BIND], // macOS
  [
    "127.0.0.1:0",
    "192.0.2.1:9",
    Object.assign(new errors.AddrNotAvailable("49"), { code: "EADDRNOTAVAIL" }),
    BIND,
  ],
  ["[::1]:0", "127.0.0.1:9", coded("ENETUNREACH", 101), BIND],
  ["127.0.0.1:0", "192.0.2.1:9", coded("ENETUNREACH", 101), "no route leads"],
  ["127.0.0.1:0", "127.0.0.1:9", coded("EPERM", 1), "firewall"],
  ["127.0.0.1:0", "127.0.0.1:9", coded("EMSGSIZE", 40), "maxdgram"],
  [
    "[::1]:0",
    "name.invalid:9",
    new Error("(os error 11001)"),
    "does not resolve",
  ],
];

for (const [from, to, error, said] of SENDING) {
  Deno.test(`send() says "${said}" when from ${from} to ${to} it is ${error.message}`, async () => {
    using socket = new UdpSocket(parseUdpAddress(from));
    socket.conn.send = () => Promise.reject(error);
    const { message } = await assertRejects(
      () => socket.send(bytes("x"), parseUdpAddress(to)),
      Error,
      `Cannot send to udp://${to}: `,
    );
    assertStringIncludes(message, said);
  });
}

Deno.test("connect() says what 0.0.0.0 is for when Windows refuses it: os error 10049", async () => {
  const refuse = () =>
    Promise.reject(new errors.AddrNotAvailable("(os error 10049)"));
  using _refusing = replaced(Deno, "connect", refuse);
  await assertRejects(
    () => connect({ ...LOOPBACK, hostname: "0.0.0.0", port: 9 }),
    errors.AddrNotAvailable,
    "0.0.0.0 and [::] are only for listening",
  );
});

for (
  const [os, listening, full] of [
    ["windows", "Windows keeps that port; take another", "no sockets left"],
    ["darwin", "ports below 1024 may need more rights", "raise `ulimit -n`"],
    ["linux", "ports below 1024 may need more rights", "raise `ulimit -n`"],
  ]
) {
  Deno.test(`describeError() names what there is when it is on ${os}`, async () => {
    const module = new URL("../../lib/tcp/errors.ts", import.meta.url);
    const as = new URL(`../support/as_system.ts?${os}`, import.meta.url);
    const program = `
      const { describeError } = await import("${module}");
      const denied = new Deno.errors.PermissionDenied("(os error 10013)");
      const full = Object.assign(new Error(), { code: "EMFILE" });
      console.log(describeError(denied, "listen on :1234", "").message);
      console.log(describeError(full, "accept", "").message);`;
    const args = ["run", "--quiet", "--preload", as.href, "-"];
    const options = { input: program };
    await using running = new Running(Deno.execPath(), args, options);
    const { stdout, stderr } = await running.ended();
    assertEquals(stderr, "");
    const [first, second] = stdout.split("\n");
    assertStringIncludes(first, listening);
    assertStringIncludes(second, full);
  });
}
