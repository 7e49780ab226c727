/** Outputs and logs that nobody reads, peers that read slowly, and a server that is stopped for a while. */
import { assert, assertEquals } from "@std/assert";
import { assertSameBytes, bytes, concatenate } from "../support/bytes.ts";
import {
  hasOpenssl,
  makeCertificates,
  startWithTls,
} from "../support/certificates.ts";
import { Running, start, text, within } from "../support/helpers.ts";
import { commandLine } from "../support/processes.ts";
import { readExactly, readUntil, Udp, writeAll } from "../support/sockets.ts";
import { pause } from "../support/timing.ts";
import { ANY_PORT, report, RUDE, serverWith, short } from "./support.ts";

const PIPES = new URL("../support/python/pipes.py", import.meta.url).pathname;

/** Runs a script with a pipe that is not read, or not soon. */
function withPipe(
  how: "unread 1" | "unread 2" | "unread terminal" | "late 1",
  script: string,
  args: string[],
  input?: Uint8Array<ArrayBuffer>,
): Running {
  const command = [...how.split(" "), ...commandLine(script, args)];
  return new Running("python3", [PIPES, ...command], { input });
}

/** Ends a script by SIGTERM; gives how long that took, in milliseconds. */
async function terminate(running: Running, code = 0): Promise<number> {
  const before = performance.now();
  running.process.kill("SIGTERM");
  assertEquals((await running.ended()).code, code);
  return performance.now() - before;
}

/** The grace, and what a slow machine takes beside it. */
const IN_TIME = 15_000;

Deno.test(
  "tcp_client.ts ends on SIGTERM when nobody reads its output",
  RUDE,
  async () => {
    await using server = await serverWith("-m", "chargen");
    const args = [`127.0.0.1:${server.port}`, "--no-stdin"];
    await using client = withPipe("unread 1", "tcp_client.ts", args);
    await server.running.stderr("connected");
    await pause(1000); // until its queue is full
    assert(await terminate(client) < IN_TIME);
  },
);

Deno.test(
  "udp_receiver.ts ends on SIGTERM when nobody reads its output",
  RUDE,
  async () => {
    await using receiver = withPipe("unread 1", "udp_receiver.ts", [ANY_PORT]);
    const port = await receiver.port();
    using socket = new Udp();
    const to = { ...socket.address, port };
    for (let i = 0; i < 100; i++) {
      for (let j = 0; j < 2; j++) await socket.send(new Uint8Array(20_000), to);
      await pause(10);
    }
    assert(await terminate(receiver) < IN_TIME);
  },
);

Deno.test(
  "udp_sender.ts ends on SIGTERM when nobody reads the answers",
  RUDE,
  async () => {
    using socket = new Udp();
    const args = [`127.0.0.1:${socket.address.port}`, "hello", "--wait", "1h"];
    await using sender = withPipe("unread 1", "udp_sender.ts", args);
    const [{ peer }] = await socket.next(1);
    for (let i = 0; i < 100; i++) {
      for (let j = 0; j < 2; j++) {
        await socket.send(
          new Uint8Array(20_000),
          peer,
        );
      }
      await pause(10);
    }
    assert(await terminate(sender) < IN_TIME);
  },
);

for (
  const [how, ...args] of [
    ["unread 2"],
    ["unread 2", "--json"],
    ["unread 2", "--explain"],
    ["unread 2", "-m", "room"],
    ["unread terminal"],
  ] as const
) {
  Deno.test(
    `tcp_server.ts ${args.join(" ")} serves and stops when its log is ${how}`,
    RUDE,
    async () => {
      const command = [ANY_PORT, ...args];
      await using server = withPipe(how, "tcp_server.ts", command);
      const port = await server.port();
      for (let i = 0; i < 3000; i++) {
        using conn = await within(Deno.connect({ port }));
        await writeAll(conn, "x\n");
        const answer = args[0] === "-m" ? "* you are" : "x\n";
        await within(readUntil(conn, answer));
      }
      assert(await terminate(server) < IN_TIME);
    },
  );
}

Deno.test(
  "tcp_client.ts ends on SIGTERM when its terminal takes nothing",
  RUDE,
  async () => {
    await using server = await serverWith("-m", "chargen");
    const args = [`127.0.0.1:${server.port}`];
    await using client = withPipe("unread terminal", "tcp_client.ts", args);
    await server.running.stderr("connected");
    await pause(1000); // until it has more to show than fits
    assert(await terminate(client) < IN_TIME);
  },
);

Deno.test(
  "tcp_server.ts -m chat ends on SIGTERM when its terminal takes nothing",
  RUDE,
  async () => {
    const command = [ANY_PORT, "-m", "chat"];
    await using server = withPipe("unread terminal", "tcp_server.ts", command);
    const port = await server.port();
    using conn = await Deno.connect({ port });
    await writeAll(conn, "a line of what it is to show\n".repeat(10_000));
    await pause(1000); // until it has more to show than fits
    assert(await terminate(server) < IN_TIME);
  },
);

Deno.test(
  "tcp_client.ts fails on SIGTERM when its peer does not take all of its input",
  RUDE,
  async () => {
    using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
    const args = [`127.0.0.1:${listener.addr.port}`];
    const input = new Uint8Array(20_000_000);
    await using client = start("tcp_client.ts", args, { input });
    using _conn = await within(listener.accept());
    await pause(1000); // until the system keeps no more
    assert(await terminate(client, 1) < IN_TIME);
    const said = await client.stderr(/stopped after \d+ bytes of its input\n/);
    assert(said.includes("Stopping"));
  },
);

for (const length of [1, 1023, 5000, 1_000_001]) {
  for (
    const [what, byte] of [
      ["zeros", () => 0],
      ["line feeds", () => 10],
      ["any bytes", () => Math.random() * 256],
      ["lines", (i: number) => i % 80 === 79 ? 10 : 32 + i % 80],
    ] as const
  ) {
    Deno.test(
      `tcp_client.ts writes ${length} ${what} to a non-blocking pipe that is read late`,
      RUDE,
      async () => {
        await using server = await serverWith();
        const input = Uint8Array.from({ length }, (_, i) => byte(i));
        const args = [`127.0.0.1:${server.port}`];
        await using client = withPipe("late 1", "tcp_client.ts", args, input);
        const ended = await client.ended();
        assertEquals([ended.code, ended.stderr], [0, ""]);
        await assertSameBytes(ended.bytes, input);
      },
    );
  }
}

/** Reads at an even pace, in bytes a second, to the end; gives how many came. */
async function readSlowly(conn: Deno.Conn, pace: number): Promise<number> {
  const buffer = new Uint8Array(pace / 50);
  const start = performance.now();
  for (let total = 0;;) {
    const length = await conn.read(buffer);
    if (length === null) return total;
    total += length;
    await pause(Math.max(0, start + 1000 * total / pace - performance.now()));
  }
}

/** Connects to a room, and waits until so many are in it. */
async function joinRoom(port: number, count: number): Promise<Deno.TcpConn> {
  const conn = await Deno.connect({ port });
  await readUntil(conn, `${count} here\n`);
  return conn;
}

const SLOWLY_READ = 7_000_000;

Deno.test("tcp_client.ts --idle-timeout 500ms waits for a peer that reads a megabyte a second", async () => {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const args = [`127.0.0.1:${listener.addr.port}`, "--idle-timeout", "500ms"];
  const input = new Uint8Array(SLOWLY_READ);
  await using client = start("tcp_client.ts", args, { input });
  using conn = await within(listener.accept());
  assertEquals(await within(readSlowly(conn, 1_000_000)), SLOWLY_READ);
  conn.close();
  const { code, stderr } = await client.ended();
  assertEquals([code, stderr], [0, ""]);
});

Deno.test("tcp_server.ts --idle-timeout 500ms waits for a client that reads a megabyte a second", async () => {
  await using server = await serverWith("--idle-timeout", "500ms");
  using conn = await Deno.connect({ port: server.port });
  const sent = writeAll(conn, new Uint8Array(SLOWLY_READ))
    .then(() => conn.closeWrite());
  assertEquals(await within(readSlowly(conn, 1_000_000)), SLOWLY_READ);
  await sent;
  await server.running.stderr("closed");
});

Deno.test(
  "tcp_server.ts -m room waits for a member that reads 400 kB a second",
  RUDE,
  async () => {
    await using server = await serverWith("-m", "room");
    using speaker = await joinRoom(server.port, 1);
    using slow = await joinRoom(server.port, 2);
    await readUntil(speaker, "user2 joined\n");
    const line = `${"x".repeat(991)}\n`; // with its mark it has 1,000 bytes
    const before = performance.now();
    const speaking = (async () => {
      const block = bytes(line.repeat(100));
      for (let i = 0; i < SLOWLY_READ / 100_000; i++) {
        await writeAll(speaker, block);
      }
    })();
    let heard = 0;
    const buffer = new Uint8Array(8000);
    const start = performance.now();
    while (heard < SLOWLY_READ) {
      heard += await within(slow.read(buffer)) ?? NaN;
      await pause(Math.max(0, start + heard / 400 - performance.now()));
    }
    await within(speaking);
    assertEquals(heard, SLOWLY_READ);
    report(
      "a member that reads 400 kB a second",
      `heard all after ${short((performance.now() - before) / 1000)} s`,
    );
  },
);

/** Stops a process for a while, and does something meanwhile. */
async function whileStopped(
  running: Running,
  milliseconds: number,
  act: () => Promise<unknown>,
): Promise<void> {
  running.process.kill("SIGSTOP");
  await act();
  await pause(milliseconds);
  running.process.kill("SIGCONT");
}

Deno.test(
  "tcp_server.ts --idle-timeout takes a stop of its own for no silence",
  RUDE,
  async () => {
    await using server = await serverWith("--idle-timeout", "1s");
    for (let i = 0; i < 5; i++) {
      using conn = await Deno.connect({ port: server.port });
      await writeAll(conn, "x");
      await readExactly(conn, 1);
      // At another point of a sweep each time, and nearly silent too long.
      await pause(800 + 37 * i);
      await whileStopped(server.running, 2000, () => writeAll(conn, "y"));
      assertEquals(text(await readExactly(conn, 1)), "y");
    }
  },
);

Deno.test(
  "tcp_server.ts --proxy-protocol takes a stop of its own for no silence",
  RUDE,
  async () => {
    await using server = await serverWith("--proxy-protocol");
    using conn = await Deno.connect({ port: server.port });
    await pause(300); // until it is waited for
    await whileStopped(server.running, 4000, () =>
      writeAll(
        conn,
        "PROXY TCP4 192.0.2.1 192.0.2.9 56324 1234\r\nhello",
      ));
    assertEquals(text(await readExactly(conn, 5)), "hello");
  },
);

Deno.test(
  "tcp_server.ts takes a stop of its own for no delay of a TLS handshake",
  {
    ignore: RUDE.ignore || !hasOpenssl,
  },
  async () => {
    await using made = await makeCertificates();
    await using server = startWithTls(made.good);
    const port = await server.port();
    const tcp = await Deno.connect({ hostname: "127.0.0.1", port });
    await pause(300); // until it is waited for
    let handshake: Promise<unknown> | undefined;
    let tls: Deno.TlsConn | undefined;
    await whileStopped(server, 11_000, async () => {
      tls = await Deno.startTls(tcp, {
        hostname: "127.0.0.1",
        caCerts: [made.ca.cert],
      });
      handshake = tls.handshake();
    });
    using conn = tls!;
    await within(handshake!);
    await writeAll(conn, "hello");
    assertEquals(text(await readExactly(conn, 5)), "hello");
  },
);

Deno.test(
  "tcp_client.ts takes a stop of its own for no delay in connecting",
  RUDE,
  async () => {
    using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
    // A TLS server that answers in the pause.
    const args = [`tls://127.0.0.1:${listener.addr.port}`, "--timeout", "2s"];
    await using client = start("tcp_client.ts", args);
    using conn = await within(listener.accept());
    await readExactly(conn, 1);
    await whileStopped(
      client,
      3000,
      () => writeAll(conn, "HTTP/1.1 400 Bad Request\r\n\r\n"),
    );
    const { code, stderr } = await client.ended();
    assertEquals(code, 1);
    assert(stderr.includes("the peer does not speak TLS"), stderr);
  },
);

Deno.test(
  "tcp_server.ts -m room takes a stop of its own for no silence of a member",
  RUDE,
  async () => {
    await using server = await serverWith("-m", "room");
    using speaker = await joinRoom(server.port, 1);
    using member = await joinRoom(server.port, 2);
    let written = 0;
    const speaking = (async () => {
      const block = bytes(`${"x".repeat(991)}\n`.repeat(100));
      for (let i = 0; i < 100; i++) {
        await writeAll(speaker, block);
        written += block.length;
      }
    })();
    // Until all that may wait for the member does wait.
    for (let before = -1; before < written;) {
      before = written;
      await pause(300);
    }
    assert(written < 9_920_000, `${written} bytes fit into the queues`);
    await whileStopped(server.running, 21_000, async () => {});
    let heard = 0;
    const pieces: Uint8Array[] = [];
    while (heard < 10_000_000) {
      const piece = await within(readExactly(member, 100_000));
      if (pieces.length < 2) pieces.push(piece);
      heard += piece.length;
    }
    assert(text(concatenate(pieces)).startsWith("<user1> xxx"));
    await within(speaking);
  },
);

Deno.test(
  "udp_receiver.ts --timeout takes a stop of its own for no silence",
  RUDE,
  async () => {
    const args = [ANY_PORT, "--timeout", "1s", "--count", "2"];
    await using receiver = start("udp_receiver.ts", args);
    const port = await receiver.port();
    using socket = new Udp();
    await socket.send("one", port);
    await receiver.stdout("one");
    await pause(900); // nearly silent too long
    await whileStopped(receiver, 2000, () => socket.send("two", port));
    const { code, stdout } = await receiver.ended();
    assertEquals([code, stdout], [0, "onetwo"]);
  },
);
