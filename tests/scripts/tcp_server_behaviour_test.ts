/** tcp_server.ts as a whole process: when it answers, waits, closes and leaves. */
import {
  assert,
  assertEquals,
  assertMatch,
  assertStringIncludes,
} from "@std/assert";
import { bytes, concatenate } from "../support/bytes.ts";
import {
  COPIES,
  run,
  type Running,
  start,
  within,
} from "../support/helpers.ts";
import { redirected } from "../support/processes.ts";
import {
  askText,
  readExactly,
  readToEnd,
  readUntil,
  writeAll,
} from "../support/sockets.ts";
import { median, pause } from "../support/timing.ts";
import { has, needs } from "../support/system.ts";

const ANY_PORT = "127.0.0.1:0";
const notWindows = needs("signals");
const onLinux = needs("linux");

/** Starts the server; gives it and its port. */
async function serverWith(...args: string[]) {
  const server = start("tcp_server.ts", [ANY_PORT, ...args], { input: "open" });
  return { server, port: await server.port() };
}

/** A client that sends each write at once. */
async function client(port: number): Promise<Deno.TcpConn> {
  const conn = await within(Deno.connect({ port }));
  conn.setNoDelay();
  return conn;
}

/** Says something and hears it back from an echo. */
async function echoed(conn: Deno.Conn, word = "x"): Promise<void> {
  await writeAll(conn, word);
  assertEquals(
    new TextDecoder().decode(await readExactly(conn, word.length)),
    word,
  );
}

/** How long it takes until a process has ended, in milliseconds. */
async function timeToEnd(running: Running) {
  const before = performance.now();
  const ended = await running.ended();
  return { ...ended, elapsed: performance.now() - before };
}

Deno.test("tcp_server.ts sends two small messages in a row without 40 ms between them", async () => {
  const { server, port } = await serverWith("-m", "room");
  await using _server = server;
  using speaker = await client(port);
  await readUntil(speaker, "you are user1");
  using listener = await client(port);
  await readUntil(listener, "you are user2");
  await readUntil(speaker, "user2 joined");
  const times: number[] = [];
  for (let i = 0; i < 50; i++) {
    await writeAll(speaker, "one\n");
    await readUntil(listener, "one\n");
    // The listener's machine has not acknowledged the first one yet.
    const before = performance.now();
    await writeAll(speaker, "two\n");
    await readUntil(listener, "two\n");
    times.push(performance.now() - before);
    await writeAll(listener, "both came\n");
    await readUntil(speaker, "both came\n");
  }
  assert(median(times) < 20, `half of them take ${median(times)} ms`);
});

Deno.test(
  "tcp_server.ts --idle-timeout spares a connection that is only written to",
  {
    ignore: COPIES,
  },
  async () => {
    const { server, port } = await serverWith(
      ...["-m", "room", "--idle-timeout", "1s"],
    );
    await using _server = server;
    using listener = await client(port);
    await readUntil(listener, "you are user1");
    using speaker = await client(port);
    await readUntil(listener, "user2 joined");
    const before = performance.now();
    for (let said = 0; performance.now() - before < 2500; said++) {
      await writeAll(speaker, `line ${said}\n`);
      await readUntil(listener, `<user2> line ${said}\n`);
      await pause(200);
    }
    // With nothing more to hear, it is closed after all.
    await within(readToEnd(listener));
    await server.stderr("it was silent too long");
  },
);

Deno.test(
  "tcp_server.ts --idle-timeout 1s closes after 1 s of silence, and hardly later",
  {
    ignore: COPIES,
  },
  async () => {
    const { server, port } = await serverWith("--idle-timeout", "1s");
    await using _server = server;
    // Ten, at different times: no check once a second would find them all soon.
    const closing: Promise<number>[] = [];
    for (let i = 0; i < 10; i++) {
      const conn = await client(port);
      await pause(100);
      const before = performance.now();
      await echoed(conn);
      closing.push((async () => {
        using _conn = conn;
        await within(readToEnd(conn));
        return performance.now() - before;
      })());
    }
    const times = await Promise.all(closing);
    const all = times.map((time) => time.toFixed(0)).join(", ");
    assert(Math.min(...times) >= 1000, `${all} ms`);
    assert(median(times) < 1400, `${all} ms`);
  },
);

Deno.test(
  "tcp_server.ts --grace 100ms cuts what is open 0.1 s after a signal, not 5 s",
  notWindows,
  async () => {
    const { server, port } = await serverWith("--grace", "100ms");
    await using _server = server;
    using conn = await client(port);
    await echoed(conn);
    server.process.kill("SIGTERM");
    const { code, elapsed } = await timeToEnd(server);
    assertEquals(code, 0);
    assert(elapsed >= 99 && elapsed < 4000, `${elapsed} ms`);
  },
);

Deno.test(
  "tcp_server.ts lets no more clients wait than --backlog says",
  onLinux,
  async () => {
    const { server, port } = await serverWith("--backlog", "2");
    await using _server = server;
    server.process.kill("SIGSTOP"); // it accepts nobody any more
    const over = new AbortController();
    const waiting: Deno.Conn[] = [];
    const attempts = Array.from({ length: 10 }, async () => {
      try {
        waiting.push(await Deno.connect({ port, signal: over.signal }));
      } catch {
        // It was one too many.
      }
    });
    const all = Promise.all(attempts);
    // Where there is room for ten, they are in after some milliseconds.
    const timer = pause(700);
    await Promise.race([all, timer]);
    over.abort();
    await within(all);
    await timer;
    for (const conn of waiting) conn.close();
    // Linux takes one more than it is told to.
    assert(waiting.length <= 4, `${waiting.length} could connect`);
  },
);

/** Copies have no chat. */
const onRequest = COPIES ? Deno.test.ignore : Deno.test;

Deno.test(
  "tcp_server.ts -m chat leaves when nobody reads its output any more",
  {
    ...needs("bash"),
    ignore: COPIES || !has("bash"),
  },
  async () => {
    const args = [ANY_PORT, "-m", "chat", "--grace", "1h"];
    await using server = redirected("> >(head -1)", "tcp_server.ts", args, {
      input: "open",
    });
    const port = await server.port();
    // Until the connection ends; more than a pipe holds, it cannot take.
    for (let i = 0; i < 1000; i++) {
      try {
        using conn = await Deno.connect({ port });
        for (;;) {
          await writeAll(conn, "hello\n");
          await pause(20);
        }
      } catch {
        break;
      }
    }
    const { code, stdout } = await server.ended();
    assertEquals([code, stdout], [0, "hello\n"]);
  },
);

Deno.test("tcp_server.ts goes on when nobody reads its log any more", {
  ...needs("bash"),
}, async () => {
  const log = "2> >(head -1 >&2)";
  await using server = redirected(log, "tcp_server.ts", [ANY_PORT, "-v"]);
  const port = await server.port();
  for (let i = 0; i < 10; i++) assertEquals(await askText(port, "hi"), "hi");
  using conn = await client(port);
  await echoed(conn);
  server.process.kill("SIGTERM");
  await writeAll(conn, "last");
  await conn.closeWrite();
  assertEquals(new TextDecoder().decode(await within(readToEnd(conn))), "last");
  assertEquals((await server.ended()).code, 0);
});

Deno.test("tcp_server.ts -m greet greets a client that sends a megabyte and reads it late", async () => {
  const { server, port } = await serverWith("-m", "greet");
  await using _server = server;
  for (let i = 0; i < 5; i++) {
    using conn = await client(port);
    await within(writeAll(conn, new Uint8Array(1_000_003).fill(0x61)));
    const greeting = await within(readToEnd(conn));
    assertEquals(
      new TextDecoder().decode(greeting),
      "Thank you for connecting",
    );
  }
});

Deno.test("tcp_server.ts -m chargen goes on when the client has half-closed", async () => {
  const { server, port } = await serverWith("-m", "chargen");
  await using _server = server;
  {
    using conn = await client(port);
    await writeAll(conn, "no matter what");
    await conn.closeWrite();
    // More than was on its way already.
    await readExactly(conn, 32_000_000);
  }
  assertMatch(await server.stderr(/closed|dropped/), /:\d+ closed\n/);
});

Deno.test("tcp_server.ts --once closes its port while it serves its client", async () => {
  const { server, port } = await serverWith("--once");
  await using _server = server;
  using conn = await client(port);
  await echoed(conn);
  await assertRefusing(port);
  await echoed(conn, "still here");
  conn.close();
  assertEquals((await server.ended()).code, 0);
});

/** Asserts that nobody can connect to a port any more. */
async function assertRefusing(port: number): Promise<void> {
  const end = performance.now() + 20_000;
  while (performance.now() < end) {
    try {
      (await within(Deno.connect({ port }))).close();
      await pause(20);
    } catch (error) {
      if (error instanceof Deno.errors.ConnectionRefused) return;
      throw error;
    }
  }
  throw new Error("It can be connected to for 20 s");
}

for (const framing of ["lines", "u16"]) {
  Deno.test(`tcp_server.ts -m room -f ${framing} shows controls and changes of direction to a member that is no client of ours`, async () => {
    const { server, port } = await serverWith("-m", "room", "-f", framing);
    await using _server = server;
    using listener = await client(port);
    await readUntil(listener, "you are user1");
    using speaker = await client(port);
    await readUntil(listener, "user2 joined");
    const said = bytes("a\x9bb\u202ec\u2066d\x7fe\x85f\u2028g\x1bh");
    await writeAll(
      speaker,
      framing === "lines"
        ? concatenate([said, bytes("\n")])
        : concatenate([new Uint8Array([0, said.length]), said]),
    );
    assertStringIncludes(
      await readUntil(listener, "h"),
      String.raw`<user2> a\x9bb\u202ec\u2066d\x7fe\x85f\u2028g\x1bh`,
    );
  });
}

for (const word of ["BYE", "Bye", " bye "]) {
  onRequest(
    `tcp_server.ts -m chat ends a conversation when "${word}" is typed`,
    async () => {
      const { server, port } = await serverWith("-m", "chat", "--once");
      await using _server = server;
      using conn = await client(port);
      await server.type("hello\n");
      await readUntil(conn, "hello\n");
      await server.type(`${word}\n`);
      assertEquals((await within(readToEnd(conn))).length, 0);
      assertEquals((await server.ended()).code, 0);
    },
  );
}

Deno.test(
  "tcp_server.ts says what to do when the file of its unix socket was left behind",
  notWindows,
  async () => {
    const directory = await Deno.makeTempDir();
    const path = `${directory}/socket`;
    try {
      const permissions = [
        `--allow-net=unix:${path}`,
        `--allow-read=${path}`,
        `--allow-write=${path}`,
      ];
      const args = [`unix:${path}`];
      {
        await using killed = start("tcp_server.ts", args, { permissions });
        await killed.stderr("Listening on");
        killed.process.kill("SIGKILL");
        await killed.ended();
      }
      const { code, stderr } = await run("tcp_server.ts", args, {
        permissions,
      });
      assertEquals([code, stderr], [
        1,
        `tcp_server: Cannot listen on unix:${path}: the file is there: another server's, or left behind by one that was killed; then remove it\n`,
      ]);
    } finally {
      await Deno.remove(directory, { recursive: true });
    }
  },
);

for (const mode of ["echo", "room", "chat", "chargen", "discard"]) {
  const test = mode === "chat" ? onRequest : Deno.test;
  test(
    `tcp_server.ts -m ${mode} exits with 0 when a client stays until it is cut`,
    notWindows,
    async () => {
      const { server, port } = await serverWith("-m", mode, "--grace", "50ms");
      await using _server = server;
      using _conn = await client(port);
      await server.stderr("connected");
      server.process.kill("SIGINT");
      assertEquals((await server.ended()).code, 0);
    },
  );
}
