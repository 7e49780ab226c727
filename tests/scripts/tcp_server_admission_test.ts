/** tcp_server.ts: who is let in, whom --once counts, and what it exits with. */
import { assert, assertEquals, assertMatch } from "@std/assert";
import {
  hasOpenssl,
  makeCertificates,
  startWithTls,
} from "../support/certificates.ts";
import {
  closedPort,
  COPIES,
  installed,
  run,
  Running,
  serverWith,
  start,
  text,
  within,
} from "../support/helpers.ts";
import { has, needs } from "../support/system.ts";
import { header, LOCAL } from "../support/proxy_headers.ts";
import {
  ask,
  askText,
  readExactly,
  readToEnd,
  readUntil,
  writeAll,
} from "../support/sockets.ts";

/** What is loaded on request only is not in a copy. */
const onRequest = COPIES ? Deno.test.ignore : Deno.test;
const hasPython = installed("python3", "--version");

/** Lines of Python that connect `s` to a port. */
function connecting(port: number): string[] {
  return [
    "import socket, ssl, struct, sys",
    `s = socket.create_connection(("127.0.0.1", ${port}))`,
  ];
}

const RESET = [
  's.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))',
  "s.close()",
];

// --once.

/** Arguments, what the client sends before it ends, why that is a failure. */
const FAILURES: [string[], string, string][] = [
  [["-f", "u8"], "\x05hel", "ended inside a frame: after 3 of 5 bytes"],
  [["-f", "u16", "--max-frame", "9"], "\0\x0a", "10 bytes, the limit is 9"],
  [["-f", "lines", "--max-frame", "9"], "0123456789\n", "the limit is 9"],
  [["-f", "netstring"], "x", "a netstring starts with its length"],
  [["-m", "room", "--max-frame", "64"], "x".repeat(65), "the limit is 64"],
  [["-m", "chat", "-f", "u8"], "\x05hel", "after 3 of 5 bytes"],
];
for (const [args, words, reason] of FAILURES) {
  const test = args.includes("chat") ? onRequest : Deno.test;
  test(`tcp_server.ts --once exits with 1 with ${args.join(" ")} when its client sends ${JSON.stringify(words)}`, async () => {
    const [server, port] = await serverWith([...args, "--once"], {
      input: "open",
    });
    await using _ = server;
    await ask(port, words);
    const { code, stderr } = await server.ended();
    const line = /\ntcp_server: Cannot serve 127\.0\.0\.1:\d+: (.*)\n$/;
    assertMatch(stderr, line);
    assert(line.exec(stderr)![1].includes(reason), stderr);
    assertEquals(code, 1);
  });
}

for (const mode of ["echo", "room", "discard", "chat"]) {
  const test = mode === "chat" ? onRequest : Deno.test;
  test(
    `tcp_server.ts --once -m ${mode} exits with 1 when its client cuts the connection`,
    {
      ignore: !hasPython,
    },
    async () => {
      const [server, port] = await serverWith(["-m", mode, "--once"], {
        input: "open",
      });
      await using _ = server;
      await using client = new Running("python3", [
        "-c",
        [...connecting(port), "sys.stdin.read()", ...RESET].join("\n"),
      ], { input: "open" });
      await server.stderr(" connected");
      await client.stdin!.close();
      const { code, stderr } = await server.ended();
      assertMatch(
        stderr,
        /: Cannot serve \S+: the peer (cut|has closed) the connection/,
      );
      assertEquals(code, 1);
    },
  );
}

onRequest(
  "tcp_server.ts --once exits with 1 when its client is silent too long",
  async () => {
    const args = ["--once", "--idle-timeout", "200ms"];
    const [server, port] = await serverWith(args);
    await using _ = server;
    using conn = await Deno.connect({ port });
    assertEquals(await within(readToEnd(conn)), new Uint8Array(0));
    const { code, stderr } = await server.ended();
    assertMatch(stderr, /: Cannot serve \S+: it was silent too long\n$/);
    assertEquals(code, 1);
  },
);

onRequest(
  "tcp_server.ts --once -m forward exits with 1 when its target cannot be reached",
  async () => {
    const to = `127.0.0.1:${closedPort()}`;
    const args = ["-m", "forward", "--once", "--to", to];
    const [server, port] = await serverWith(args);
    await using _ = server;
    await ask(port);
    const { code, stderr } = await server.ended();
    assertMatch(stderr, /: Cannot serve \S+: Cannot connect to \S+: nobody/);
    assertEquals(code, 1);
  },
);

for (const mode of ["echo", "greet", "room", "discard"]) {
  Deno.test(`tcp_server.ts --once -m ${mode} exits with 0 when its client leaves`, async () => {
    const [server, port] = await serverWith(["-m", mode, "--once"]);
    await using _ = server;
    await ask(port, "hello\n");
    assertEquals((await server.ended()).code, 0);
  });
}

Deno.test("tcp_server.ts --once serves one of several that come at once", async () => {
  const [server, port] = await serverWith(["--once"]);
  await using _ = server;
  const answers = Array.from(
    { length: 8 },
    () => askText(port, "hi").catch(() => ""),
  );
  const said = await Promise.all(answers);
  assertEquals(said.filter((answer) => answer === "hi").length, 1);
  const { code, stderr } = await server.ended();
  assertEquals(stderr.match(/ connected/g)!.length, 1);
  assertEquals(code, 0);
});

/** Clients that are gone before the server, which is stopped, accepts them. */
async function resetWhileStopped(
  server: Running,
  port: number,
  ...clients: string[]
) {
  server.process.kill("SIGSTOP");
  for (const client of clients) {
    const script = [...connecting(port), client, ...RESET].join("\n");
    await using running = new Running("python3", ["-c", script]);
    assertEquals((await running.ended()).stderr, "");
  }
  server.process.kill("SIGCONT");
}

const STOPPING = {
  ...needs("linux"),
  ignore: !hasPython || !has("linux"),
};

for (const mode of ["echo", "greet", "room", "chat", "discard"]) {
  const test = mode === "chat" ? onRequest : Deno.test;
  test(
    `tcp_server.ts --once -m ${mode} exits with 1 when its client is gone before it is accepted`,
    STOPPING,
    async () => {
      const [server, port] = await serverWith(["-m", mode, "--once"], {
        input: "open",
      });
      await using _ = server;
      await resetWhileStopped(server, port, "");
      const { code, stderr } = await server.ended();
      assertMatch(
        stderr,
        /\ntcp_server: Cannot serve a client: the peer cut the connection \(reset\)\n$/,
      );
      assertEquals(code, 1);
    },
  );
}

onRequest(
  "tcp_server.ts --once passes over who is gone before a gate lets it in",
  STOPPING,
  async () => {
    const args = ["--once", "--proxy-protocol", "--from", "192.0.2.1"];
    const [server, port] = await serverWith(args);
    await using _ = server;
    const line = "PROXY TCP4 192.0.2.1 192.0.2.9 5000 80\r\n";
    await resetWhileStopped(server, port, "", 's.sendall(b"PROXY")');
    assertEquals(await askText(port, `${line}hi`), "hi");
    assertEquals((await server.ended()).code, 0);
  },
);

const TLS = { ignore: !hasOpenssl || !hasPython };

/** A client that trusts this authority, and gets its echo. */
function sayHi(port: number, authority: string) {
  const args = [`tls://localhost:${port}`, "--ca", authority, "--send", "hi"];
  const permissions = ["--allow-net", "--allow-read"];
  return run("tcp_client.ts", args, { permissions });
}

Deno.test(
  "tcp_server.ts --once waits for a client that shakes hands",
  TLS,
  async () => {
    await using made = await makeCertificates();
    await using server = startWithTls(made.good, "--once");
    const port = await server.port();
    for (const words of ["", "GET / HTTP/1.0\r\n\r\n"]) {
      await ask(port, words).catch(() => {});
    }
    await server.stderr(/(dropped: .*\n.*){2}/);
    // One that is still shaking hands does not keep the other from leaving.
    using late = await Deno.connect({ port });
    const client = await sayHi(port, made.ca.certFile);
    assertEquals([client.code, client.stdout], [0, "hi\n"]);
    const { code, stderr } = await server.ended();
    assertEquals(stderr.match(/ connected\n/g)!.length, 1);
    assertEquals(code, 0);
    late.close();
  },
);

Deno.test(
  "tcp_server.ts --once passes over who is gone before TLS begins",
  { ...STOPPING, ignore: TLS.ignore || STOPPING.ignore },
  async () => {
    await using made = await makeCertificates();
    await using server = startWithTls(made.good, "--once");
    const port = await server.port();
    await resetWhileStopped(server, port, "", 's.sendall(b"\\x16\\x03")');
    const client = await sayHi(port, made.ca.certFile);
    assertEquals([client.code, client.stdout], [0, "hi\n"]);
    assertEquals((await server.ended()).code, 0);
  },
);

Deno.test(
  "tcp_server.ts counts those that do not shake hands when they are many",
  { ...needs("signals"), ignore: TLS.ignore || !has("signals") },
  async () => {
    await using made = await makeCertificates();
    await using server = startWithTls(made.good);
    const port = await server.port();
    for (let client = 0; client < 11; client++) await ask(port);
    server.process.kill("SIGTERM");
    const { code, stderr } = await server.ended();
    const [first, ...others] = stderr.trimEnd().split("\n").slice(1);
    assertMatch(
      first,
      /^127\.0\.0\.1:\d+ dropped: the peer closed in the middle [^()]*$/,
    );
    assertEquals(
      others.map((line) => line.replace(/.*\((.*)\)/, "$1")),
      [
        "2 dropped so far",
        "4 dropped so far",
        "8 dropped so far",
        "11 unserved clients were dropped",
      ],
    );
    assertEquals(code, 0);
  },
);

Deno.test(
  "tcp_server.ts --once exits with 1 when its client leaves TLS without a farewell",
  TLS,
  async () => {
    await using made = await makeCertificates();
    const { certFile, keyFile } = made.good;
    const args = [
      "--once",
      "-m",
      "discard",
      "--cert",
      certFile,
      "--key",
      keyFile,
    ];
    const permissions = ["--allow-net", "--allow-read"];
    const [server, port] = await serverWith(args, { permissions });
    await using _ = server;
    await using _client = new Running("python3", [
      "-c",
      [
        ...connecting(port),
        "c = ssl._create_unverified_context()",
        't = c.wrap_socket(s, server_hostname="localhost")',
        't.sendall(b"hi")',
        "t.shutdown(socket.SHUT_WR)",
        "t.recv(1)",
      ].join("\n"),
    ]);
    const { code, stderr } = await server.ended();
    assertMatch(stderr, /: Cannot serve \S+: the peer ended without a TLS/);
    assertEquals(code, 1);
  },
);

onRequest(
  "tcp_server.ts --once does not count who sends no PROXY header or is a health check",
  async () => {
    const [server, port] = await serverWith(["--once", "--proxy-protocol"]);
    await using _ = server;
    await ask(port, "hi").catch(() => {});
    await server.stderr("(1 refused so far)");
    const check = header(0, new Uint8Array(), { command: LOCAL });
    assertEquals(await ask(port, check), new Uint8Array(0));
    const line = "PROXY TCP4 192.0.2.1 192.0.2.9 5000 80\r\n";
    assertEquals(await askText(port, `${line}hi`), "hi");
    const { code, stderr } = await server.ended();
    assertMatch(
      stderr,
      /\n192\.0\.2\.1:5000 connected\n192\.0\.2\.1:5000 closed\n/,
    );
    assertEquals(stderr.match(/ connected\n/g)!.length, 1);
    assertEquals(code, 0);
  },
);

for (const mode of ["room", "chat"]) {
  onRequest(
    `tcp_server.ts -m ${mode} does not let a health check of its load balancer in`,
    async () => {
      const args = ["-m", mode, "-f", "lines", "--proxy-protocol"];
      const [server, port] = await serverWith(args, { input: "open" });
      await using _ = server;
      const check = header(0, new Uint8Array(), { command: LOCAL });
      assertEquals(await ask(port, check), new Uint8Array(0));
      using conn = await Deno.connect({ port });
      await writeAll(conn, "PROXY TCP4 192.0.2.1 192.0.2.9 5000 80\r\n");
      await server.stderr("192.0.2.1:5000 connected");
      if (mode === "room") await readUntil(conn, "* you are user1, 1 here\n");
      assertEquals((await server.stderr("")).match(/ connected\n/g)!.length, 1);
    },
  );
}

for (
  const mode of ["echo", "greet", "discard", "chargen", "room", "pipe"]
) {
  onRequest(
    `tcp_server.ts -m ${mode} counts the health checks of its load balancer`,
    needs("signals"),
    async () => {
      const args = ["-m", mode, "--proxy-protocol", "--no-stdin"];
      if (mode !== "pipe") args.pop();
      const [server, port] = await serverWith(args);
      await using _ = server;
      const check = header(0, new Uint8Array(), { command: LOCAL });
      for (let i = 0; i < 11; i++) {
        // Some say goodbye, some do not.
        using conn = await Deno.connect({ port });
        await writeAll(conn, check);
        if (i % 2 === 0) await conn.closeWrite();
        if (i % 2 === 0 && mode !== "chargen") await within(readToEnd(conn));
      }
      await server.stderr("(8 ");
      await askText(port, "PROXY TCP4 192.0.2.1 192.0.2.9 5000 80\r\n")
        .catch(() => "");
      await server.stderr(/192\.0\.2\.1:5000 (closed|dropped)/);
      server.process.kill("SIGTERM");
      const { code, stderr } = await server.ended();
      const isIgnored = /room|pipe/.test(mode);
      const answer = isIgnored ? "ignored" : "answered";
      const event = isIgnored ? "ignored" : "connected";
      const lines = stderr.split("\n").filter((line) => /check/.test(line));
      assertEquals(
        lines.map((line) => line.replace(/^127\.0\.0\.1:\d+ /, "")),
        [
          ...[1, 2, 4, 8].map((count) =>
            `${event}: it is a health check (${count} ${answer} so far)`
          ),
          `11 health checks were ${answer}`,
        ],
      );
      assert(
        !/127\.0\.0\.1:\d+ (connected\n|closed|dropped)/.test(stderr),
        stderr,
      );
      assertEquals(code, 0);
    },
  );
}

// --from.

/** What is let in, and whether 127.0.0.1 is. */
const FROM: [string[], boolean][] = [
  [["127.0.0.1"], true],
  [["127.0.0.0/8"], true],
  [["10.0.0.0/8", "127.0.0.1"], true],
  [["::1", "127.0.0.1/32"], true],
  [["127.0.0.2"], false],
  [["10.0.0.0/8"], false],
  [["::/0"], false],
  [["127.0.0.1:1"], false],
];
for (const [from, isIn] of FROM) {
  onRequest(
    `tcp_server.ts --from ${from.join(" ")} ${
      isIn ? "serves" : "refuses"
    } 127.0.0.1`,
    async () => {
      const args = from.flatMap((peer) => ["--from", peer]);
      const [server, port] = await serverWith(args);
      await using _ = server;
      using conn = await Deno.connect({ port });
      if (isIn) {
        await writeAll(conn, "hi");
        assertEquals(text(await readExactly(conn, 2)), "hi");
      } else {
        // It is closed though it has said nothing.
        assertEquals(await within(readToEnd(conn)), new Uint8Array(0));
        const { stderr } = { stderr: await server.stderr("refused so far") };
        assertMatch(
          stderr,
          /^.*\n127\.0\.0\.1:\d+ refused: --from does not let it in \(1 refused so far\)\n$/,
        );
      }
    },
  );
}

onRequest(
  "tcp_server.ts --from counts those that it refuses when they are many",
  async () => {
    const [server, port] = await serverWith(["--from", "192.0.2.1"]);
    await using _ = server;
    for (let client = 0; client < 11; client++) {
      using conn = await Deno.connect({ port });
      assertEquals(await within(readToEnd(conn)), new Uint8Array(0));
    }
    server.process.kill("SIGINT");
    const { code, stderr } = await server.ended();
    const lines = stderr.trimEnd().split("\n").slice(1);
    assertEquals(
      lines.map((line) => line.replace(/.*\((\d+) refused.*/, "$1")),
      ["1", "2", "4", "8", "11 clients were refused"],
    );
    assertEquals(code, 0);
  },
);

onRequest(
  "tcp_server.ts --from goes by the client's address when a PROXY header names it",
  async () => {
    const args = ["--from", "192.0.2.0/24", "--proxy-protocol"];
    const [server, port] = await serverWith(args);
    await using _ = server;
    const say = (from: string) =>
      askText(port, `PROXY TCP4 ${from} 192.0.2.9 5000 80\r\nhi`)
        .catch(() => "cut");
    assertEquals(await say("192.0.2.7"), "hi");
    assert(await say("198.51.100.7") !== "hi");
    await server.stderr("198.51.100.7:5000 refused: --from does not let it in");
    assertEquals(await say("192.0.2.255"), "hi");
  },
);

onRequest("tcp_server.ts --from knows an IPv4 client when it listens on ::", {
  ...needs("bothVersions"),
}, async () => {
  await using server = start("tcp_server.ts", ["[::]:0", "--from=127.0.0.1"]);
  const port = await server.port();
  assertEquals(await askText(port, "four"), "four");
  using conn = await Deno.connect({ hostname: "::1", port });
  assertEquals(await within(readToEnd(conn)), new Uint8Array(0));
});

onRequest("tcp_server.ts --from refuses a client of TLS, too", {
  ignore: !hasOpenssl,
}, async () => {
  await using made = await makeCertificates();
  const { certFile, keyFile } = made.good;
  const tls = ["--cert", certFile, "--key", keyFile];
  const permissions = ["--allow-net", "--allow-read"];
  const args = ["--from", "192.0.2.1", ...tls];
  const [server, port] = await serverWith(args, { permissions });
  await using _ = server;
  const { stdout } = await run("tcp_client.ts", [
    ...[`tls://localhost:${port}`, "--ca", made.ca.certFile, "--send", "hi"],
  ], { permissions });
  assertEquals(stdout, "");
  const log = await server.stderr("refused: --from does not let it in");
  assert(!log.includes("connected"), log);
});

/** Arguments, and what the one line says. */
const MISTAKES: [string[], string][] = [
  [["--from", "localhost"], "it must be an IP address"],
  [["--from", "10.0.0.0/33"], "or a network"],
  [["--from", "fe80::1%eth0"], "a zone such as %eth0 must be left out"],
  [["unix:/tmp/x", "--from", "10.0.0.1"], "not a unix socket"],
];
for (const [args, problem] of MISTAKES) {
  onRequest(
    `tcp_server.ts says what is wrong when run with ${args.join(" ")}`,
    async () => {
      const { code, stdout, stderr } = await run("tcp_server.ts", args);
      assertMatch(stderr, /^tcp_server: .*\n$/);
      assert(stderr.includes(problem), stderr);
      assertEquals([code, stdout], [2, ""]);
    },
  );
}
