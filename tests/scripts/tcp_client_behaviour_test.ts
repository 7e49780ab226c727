/** tcp_client.ts as a whole process: when it sends, shows, tries again and leaves. */
import {
  assert,
  assertEquals,
  assertMatch,
  assertStringIncludes,
} from "@std/assert";
import { text } from "../support/bytes.ts";
import {
  closedPort,
  COPIES,
  run,
  Running,
  start,
  within,
} from "../support/helpers.ts";
import { atTerminal, redirected } from "../support/processes.ts";
import {
  listenHere,
  readExactly,
  readToEnd,
  readUntil,
  writeAll,
} from "../support/sockets.ts";
import { assertQuick, median, pause } from "../support/timing.ts";
import { has, needs } from "../support/system.ts";

const notWindows = needs("signals");
const atTerminals = needs("terminals");
/** Copies have no chat. */
const chatting = { ...atTerminals, ignore: COPIES || atTerminals.ignore };

/** A server that is played by the test itself. */
class Server implements Disposable {
  #listener = listenHere();
  #conns: Deno.TcpConn[] = [];

  get address(): string {
    return `127.0.0.1:${this.#listener.addr.port}`;
  }

  /** Waits for the next client. */
  async accept(): Promise<Deno.TcpConn> {
    const conn = await within(this.#listener.accept());
    conn.setNoDelay();
    this.#conns.push(conn);
    return conn;
  }

  [Symbol.dispose](): void {
    this.#listener.close();
    for (const conn of this.#conns) conn[Symbol.dispose]();
  }
}

/** Starts the client with an input that stays open. */
function client(server: Server, ...args: string[]): Running {
  return start("tcp_client.ts", [server.address, ...args], { input: "open" });
}

/** How long it takes until a process has ended, in milliseconds. */
async function timeToEnd(running: Running) {
  const before = performance.now();
  const ended = await running.ended();
  return { ...ended, elapsed: performance.now() - before };
}

Deno.test("tcp_client.ts sends two small messages in a row without 40 ms between them", async () => {
  using server = new Server();
  await using running = client(server);
  const conn = await server.accept();
  const times: number[] = [];
  for (let i = 0; i < 50; i++) {
    await running.type("one\n");
    await readExactly(conn, 4);
    // This machine has not acknowledged the first one yet.
    const before = performance.now();
    await running.type("two\n");
    await readExactly(conn, 4);
    times.push(performance.now() - before);
    await writeAll(conn, `both came ${i}\n`);
    await running.stdout(`both came ${i}\n`);
  }
  assert(median(times) < 20, `half of them take ${median(times)} ms`);
});

Deno.test(
  "tcp_client.ts --idle-timeout spares a connection that is only written to",
  {
    ignore: COPIES,
  },
  async () => {
    using server = new Server();
    await using running = client(server, "--idle-timeout", "1s");
    const conn = await server.accept();
    const before = performance.now();
    for (let said = 0; performance.now() - before < 2500; said++) {
      await running.type(`line ${said}\n`);
      await readUntil(conn, `line ${said}\n`);
      await pause(200);
    }
    // With nothing more to send, it leaves after all.
    const { code, stderr } = await running.ended();
    assertEquals(code, 1);
    assertStringIncludes(stderr, "it was silent too long");
  },
);

Deno.test(
  "tcp_client.ts gives a server that does not end 5 s after SIGINT, and exits with 0",
  notWindows,
  async () => {
    using server = new Server();
    await using running = client(server);
    const conn = await server.accept();
    await running.type("hello\n");
    await readUntil(conn, "hello\n");
    await writeAll(conn, "answer\n");
    await running.stdout("answer\n");
    running.process.kill("SIGINT");
    const ending = timeToEnd(running);
    // It half-closes at once, and hears what is still said.
    assertEquals((await within(readToEnd(conn))).length, 0);
    await writeAll(conn, "one more\n");
    const { code, stdout, elapsed } = await ending;
    assertEquals([code, stdout], [0, "answer\none more\n"]);
    assert(elapsed >= 4990 && elapsed < 15_000, `${elapsed} ms`);
  },
);

Deno.test(
  "tcp_client.ts --retry 3 tries again after 0.25, 0.5 and 1 s",
  needs("quickRefusals"),
  async () => {
    const wanted = [250, 500, 1000];
    const tries: number[][] = [];
    /** A busy machine is late at times, but not with the same one each time. */
    const inTime = () =>
      wanted.every((pause, i) => tries.some((gaps) => gaps[i] < 1.9 * pause));
    while (!inTime() && tries.length < 6) {
      const args = [`127.0.0.1:${closedPort()}`, "--retry", "3", "--json"];
      const { code, stderr } = await run("tcp_client.ts", args);
      assertEquals(code, 1);
      // When each of the four attempts failed, by the client's own clock.
      const times = stderr.trim().split("\n")
        .map((line) => Date.parse(JSON.parse(line).time));
      assertEquals(times.length, 4, stderr);
      const gaps = times.slice(1).map((time, i) => time - times[i]);
      tries.push(gaps);
      wanted.forEach((pause, i) => assert(gaps[i] >= pause - 5, `${gaps} ms`));
    }
    assert(inTime(), `${tries.join(" or ")} ms`);
  },
);

Deno.test("tcp_client.ts --no-stdin closes in less than 0.2 s when the server does", async () => {
  await assertQuick(200, async () => {
    using server = new Server();
    await using running = client(server, "--no-stdin");
    const conn = await server.accept();
    await writeAll(conn, "news\n");
    await running.stdout("news\n");
    const before = performance.now();
    await conn.closeWrite();
    await within(readToEnd(conn));
    const elapsed = performance.now() - before;
    const { code, stdout } = await running.ended();
    assertEquals([code, stdout], [0, "news\n"]);
    return elapsed;
  });
});

Deno.test(
  "tcp_client.ts prints the last words of a server that reads no more",
  {
    ...needs("linux", "terminals"),
  },
  async () => {
    const directory = await Deno.makeTempDir();
    const path = `${directory}/socket`;
    try {
      const words = ["I ", "have ", "heard ", "enough, ", "but ", "go on\n"];
      await using peer = new Running("python3", [
        new URL("../support/python/deaf_peer.py", import.meta.url).pathname,
        ...[path, ...words],
      ]);
      await peer.stdout("listening\n");
      const { code, stdout, stderr } = await run(
        "tcp_client.ts",
        [`unix:${path}`],
        {
          input: "x".repeat(5_000_000),
          permissions: [
            `--allow-net=unix:${path}`,
            `--allow-read=${path}`,
            `--allow-write=${path}`,
          ],
        },
      );
      assertEquals(stdout, words.join(""));
      assertEquals(code, 1);
      assertStringIncludes(stderr, "the peer");
    } finally {
      await Deno.remove(directory, { recursive: true });
    }
  },
);

Deno.test("tcp_client.ts prints an answer while its input is still open", async () => {
  using server = new Server();
  for (const args of [[], ["-f", "lines"]]) {
    await using running = client(server, ...args);
    const conn = await server.accept();
    for (const word of ["one\n", "two\n"]) {
      await running.type(word);
      assertEquals(await readUntil(conn, "\n"), word);
      await writeAll(conn, `<${word}`);
      await running.stdout(`<${word}`);
    }
  }
});

Deno.test("tcp_client.ts goes on when nobody reads its log any more", {
  ...needs("bash"),
  ignore: !has("bash") || COPIES,
}, async () => {
  using server = new Server();
  const args = [server.address, "--verbose"];
  await using running = redirected("2> >(head -1 >&2)", "tcp_client.ts", args, {
    input: "open",
  });
  const conn = await server.accept();
  await running.stderr("\n");
  await writeAll(conn, "hello\n");
  await running.stdout("hello\n");
  // It says that it stops, to nobody, and does what it always does.
  running.process.kill("SIGTERM");
  assertEquals((await within(readToEnd(conn))).length, 0);
  await writeAll(conn, "last words\n");
  conn.close();
  const { code, stdout } = await running.ended();
  assertEquals([code, stdout], [0, "hello\nlast words\n"]);
});

Deno.test(
  "tcp_client.ts goes on counting the offset when --hex shows the next bytes",
  {
    ignore: COPIES,
  },
  async () => {
    using server = new Server();
    await using running = client(server, "--hex");
    const conn = await server.accept();
    await writeAll(conn, "a".repeat(16));
    await running.stdout("|aaaaaaaaaaaaaaaa|\n");
    await writeAll(conn, "b".repeat(20));
    await running.stdout("|bbbb|\n");
    conn.close();
    const { stdout } = await running.ended();
    assertEquals(stdout.split("\n").map((line) => line.slice(0, 14)), [
      "< 00000000  61",
      "< 00000010  62",
      "< 00000020  62",
      "",
    ]);
  },
);

for (const args of [["--crlf"], ["--crlf", "-f", "lines"]]) {
  Deno.test(
    `tcp_client.ts ${
      args.join(" ")
    } ends what is typed at a terminal with CRLF`,
    chatting,
    async () => {
      using server = new Server();
      const running = atTerminal("tcp_client.ts", server.address, ...args);
      await using _running = running;
      const conn = await server.accept();
      await running.stdout("Connected to");
      await running.type("hello\n");
      assertEquals(await readUntil(conn, "\n"), "hello\r\n");
      await running.type("\n");
      assertEquals(await readUntil(conn, "\n"), "\r\n");
    },
  );
}

Deno.test(
  "tcp_client.ts -f fixed:8 shows no padding at a terminal",
  atTerminals,
  async () => {
    using server = new Server();
    for (const input of [[], ["--no-stdin"]]) {
      const args = [server.address, "-f", "fixed:8", ...input];
      await using running = atTerminal("tcp_client.ts", ...args);
      const conn = await server.accept();
      await writeAll(conn, "hi\0\0\0\0\0\0");
      await writeAll(conn, "a\0b\0\0\0\0\0");
      // What is no padding is shown.
      const shown = await running.stdout("a\\x00b");
      assertMatch(shown, /hi\r?\n/);
      await writeAll(conn, "the last");
      const all = await running.stdout("the last");
      assertEquals(all.split("\\x00").length - 1, 1, all);
      assert(!all.includes("\0"), JSON.stringify(all));
    }
  },
);

for (const word of ["BYE", "Bye", " bye "]) {
  Deno.test(
    `tcp_client.ts leaves a chat when "${word}" is typed at a terminal`,
    chatting,
    async () => {
      using server = new Server();
      await using running = atTerminal("tcp_client.ts", server.address);
      const conn = await server.accept();
      await running.stdout("Connected to");
      await running.type("hello\n");
      assertEquals(await readUntil(conn, "\n"), "hello\n");
      await running.type(`${word}\n`);
      assertEquals(text(await within(readToEnd(conn))), "");
      assertEquals((await running.ended()).code, 0);
    },
  );
}

Deno.test(
  "a copy of tcp_client.ts sends each line that is typed, and shows answers made safe",
  { ...atTerminals, ignore: !COPIES || atTerminals.ignore },
  async () => {
    using server = new Server();
    await using running = atTerminal("tcp_client.ts", server.address);
    const conn = await server.accept();
    await running.type("hello\n");
    assertEquals(await readUntil(conn, "\n"), "hello\n");
    await writeAll(conn, "an \x1b[31manswer\n");
    await running.stdout("an \\x1b[31manswer");
    await running.type("\x04"); // Ctrl-D
    assertEquals((await within(readToEnd(conn))).length, 0);
    await writeAll(conn, "the last");
    await running.stdout("the last");
    await running.type("\x03"); // Ctrl-C
    const { code, stdout } = await running.ended();
    assertEquals(code, 0);
    assertMatch(stdout, /the last(\^C)?\r?\n$/);
  },
);

Deno.test(
  "tcp_client.ts exits with 0 when a chat is stopped",
  chatting,
  async () => {
    using server = new Server();
    await using running = atTerminal("tcp_client.ts", server.address);
    const conn = await server.accept();
    await running.stdout("Connected to");
    await running.type("hello\n");
    assertEquals(await readUntil(conn, "\n"), "hello\n");
    await running.type("\x03"); // Ctrl-C
    assertEquals((await running.ended()).code, 0);
  },
);
