/** tcp_server.ts as a whole process, with the permission of its first line. */
import {
  assert,
  assertEquals,
  assertMatch,
  assertStringIncludes,
} from "@std/assert";
import { frame } from "../support/bytes.ts";
import {
  hasOpenssl,
  makeCertificates,
  startWithTls,
} from "../support/certificates.ts";
import {
  assertSameBytes,
  bytes,
  closedPort,
  COPIES,
  readAll,
  run,
  type Running,
  start,
  text,
  within,
} from "../support/helpers.ts";
import {
  addresses4,
  addressesUnix,
  header,
  LOCAL,
  TCP4,
  UNIX,
} from "../support/proxy_headers.ts";
import { Client } from "../support/sharing.ts";
import {
  ask as askBytes,
  askText as ask,
  connectWhenReady,
  readUntil,
  writeAll,
} from "../support/sockets.ts";
import { has, needs } from "../support/system.ts";

const ANY_PORT = "127.0.0.1:0";

/** Asks a server to stop and gives its exit code. */
async function stopped(server: Running, signal: Deno.Signal = "SIGTERM") {
  server.process.kill(signal);
  return (await server.ended()).code;
}

Deno.test(
  "tcp_server.ts sends back what comes when it echoes",
  needs("signals"),
  async () => {
    await using server = start("tcp_server.ts", [ANY_PORT]);
    const port = await server.port();
    assertEquals(await ask(port, "hello\0\xff"), "hello\0\xff");
    assertEquals(await ask(port), "");
    const large = bytes("0123456789".repeat(100_000));
    await assertSameBytes(await askBytes(port, large), large);
    await server.stderr(/127\.0\.0\.1:\d+ closed/);
    assertEquals(await stopped(server), 0);
  },
);

Deno.test("tcp_server.ts listens on 127.0.0.1:1234 when no address is given", async () => {
  // Taken or not: either way the address is named.
  await using server = start("tcp_server.ts");
  await server.stderr(/127\.0\.0\.1:1234/);
});

Deno.test("tcp_server.ts echoes frame by frame when there is a framing", async () => {
  await using server = start("tcp_server.ts", [ANY_PORT, "-f", "lines"]);
  const port = await server.port();
  assertEquals(await ask(port, "one\r\ntwo\nthree"), "one\ntwo\nthree\n");
});

Deno.test("tcp_server.ts ends one connection and no other when a frame is bad", async () => {
  const args = [ANY_PORT, "-f", "u16", "--max-frame", "10"];
  await using server = start("tcp_server.ts", args);
  const port = await server.port();
  const good = frame("u16", "good");
  using other = await Deno.connect({ port });
  await writeAll(other, good);
  using conn = await Deno.connect({ port });
  await writeAll(conn, good);
  await writeAll(conn, new Uint8Array([0xff, 0xff]));
  // The frame before the bad one is answered.
  assertEquals(text(await within(readAll(conn))), text(good));
  await server.stderr("65535 bytes, the limit is 10");
  await writeAll(other, good);
  await other.closeWrite();
  assertEquals(text(await within(readAll(other))), text(good) + text(good));
});

Deno.test("tcp_server.ts says so when the client ends inside a frame", async () => {
  await using server = start("tcp_server.ts", [ANY_PORT, "-f", "fixed:512"]);
  assertEquals(await ask(await server.port(), "x".repeat(511)), "");
  await server.stderr("ended inside a frame: after 511 of 512 bytes");
});

Deno.test("tcp_server.ts greets and closes when its mode is greet", async () => {
  const args = [ANY_PORT, "--mode", "greet"];
  await using server = start("tcp_server.ts", args);
  const port = await server.port();
  assertEquals(await ask(port), "Thank you for connecting");
  // A client that has sent something gets it too.
  assertEquals(await ask(port, "hello"), "Thank you for connecting");
});

Deno.test("tcp_server.ts greets with another text when it is given one", async () => {
  const args = [ANY_PORT, "-m", "greet", "--greeting", "Moin", "-f", "lines"];
  await using server = start("tcp_server.ts", args);
  assertEquals(await ask(await server.port()), "Moin\n");
});

Deno.test("tcp_server.ts reads and says nothing when its mode is discard", async () => {
  await using server = start("tcp_server.ts", [ANY_PORT, "-m", "discard"]);
  assertEquals(await ask(await server.port(), "x".repeat(1_000_000)), "");
});

Deno.test("tcp_server.ts sends characters until the client goes when its mode is chargen", async () => {
  await using server = start("tcp_server.ts", [ANY_PORT, "-m", "chargen"]);
  const port = await server.port();
  using conn = await Deno.connect({ port });
  const start72 =
    ` !"#$%&'()*+,-./0123456789:;<=>?@ABCDEFGHIJKLMNOPQRSTUVWXYZ[\\]^_\`abcdefg`;
  assertStringIncludes(await readUntil(conn, "\r\n"), `${start72}\r\n!"#`);
  conn.close();
  await server.stderr("closed");
});

/** Copies have no chat. */
const onRequest = COPIES ? Deno.test.ignore : Deno.test;

onRequest(
  "tcp_server.ts shows messages and sends typed lines when its mode is chat",
  async () => {
    await using server = start("tcp_server.ts", [ANY_PORT, "-m", "chat"], {
      input: "open",
    });
    const port = await server.port();
    using first = await Deno.connect({ port });
    using second = await Deno.connect({ port });
    await writeAll(second, bytes("me too"));
    await writeAll(first, bytes("hello"));
    assertEquals(await server.stdout("hello"), "hello");
    // At any moment: two lines with no message between them.
    await server.type("who is there?\nstill there?\n");
    await readUntil(first, "who is there?\nstill there?\n");
    await writeAll(first, bytes("\nit is me\n"));
    assertEquals(await server.stdout("me\n"), "hello\nit is me\n");
    await server.type("bye\n");
    assertEquals(text(await within(readAll(first))), "");
    // The next one waited for its turn.
    await server.stdout("me too");
    await server.type("welcome\n");
    assertEquals(await readUntil(second, "\n"), "welcome\n");
  },
);

onRequest(
  "tcp_server.ts keeps a typed line for the next client when one leaves",
  async () => {
    await using server = start("tcp_server.ts", [ANY_PORT, "-m", "chat"], {
      input: "open",
    });
    const port = await server.port();
    {
      using conn = await Deno.connect({ port });
      await writeAll(conn, bytes("bye"));
    }
    await server.stderr("closed");
    await server.type("not lost\n");
    using conn = await Deno.connect({ port });
    assertEquals(await readUntil(conn, "\n"), "not lost\n");
  },
);

onRequest(
  "tcp_server.ts half-closes and still shows messages when its keyboard ends",
  async () => {
    const args = [ANY_PORT, "-m", "chat", "--once"];
    await using server = start("tcp_server.ts", args, { input: "only line\n" });
    using conn = await Deno.connect({ port: await server.port() });
    assertEquals(text(await within(readAll(conn))), "only line\n");
    await writeAll(conn, bytes("I can still talk"));
    await server.stdout("I can still talk");
    conn.close();
    assertEquals((await server.ended()).code, 0);
  },
);

Deno.test("tcp_server.ts passes each line to everyone else when its mode is room", async () => {
  await using server = start("tcp_server.ts", [ANY_PORT, "--mode", "room"]);
  const port = await server.port();
  using one = await Deno.connect({ port });
  await readUntil(one, "you are user1");
  using two = await Deno.connect({ port });
  await readUntil(two, "you are user2");
  await readUntil(one, "user2 joined");
  await writeAll(two, bytes("hello\n\x1b[2J<user1> forged\n"));
  const heard = await readUntil(one, "forged\n");
  assertEquals(heard, "<user2> hello\n<user2> \\x1b[2J<user1> forged\n");
  two.close();
  await readUntil(one, "user2 left");
});

Deno.test("tcp_server.ts serves one client when it serves once", async () => {
  await using server = start("tcp_server.ts", [ANY_PORT, "--once"]);
  assertEquals(await ask(await server.port(), "only"), "only");
  assertEquals((await server.ended()).code, 0);
});

Deno.test("tcp_server.ts lets a client wait when it has as many as it may", async () => {
  const args = [ANY_PORT, "--max-connections", "1"];
  await using server = start("tcp_server.ts", args);
  const port = await server.port();
  const first = await Deno.connect({ port });
  await writeAll(first, bytes("x"));
  await within(first.read(new Uint8Array(1)));
  let answered = false;
  const waiting = ask(port, "second").then((answer) => {
    answered = true;
    return answer;
  });
  await writeAll(first, bytes("y"));
  await within(first.read(new Uint8Array(1)));
  assertEquals(answered, false);
  first.close();
  assertEquals(await within(waiting), "second");
});

Deno.test("tcp_server.ts closes a silent client when it is idle too long", {
  ignore: COPIES,
}, async () => {
  const args = [ANY_PORT, "--idle-timeout", "200ms"];
  await using server = start("tcp_server.ts", args);
  using conn = await Deno.connect({ port: await server.port() });
  assertEquals(text(await within(readAll(conn))), "");
  await server.stderr("it was silent too long");
});

for (const signal of ["SIGINT", "SIGTERM"] as const) {
  Deno.test(`tcp_server.ts finishes what is open when it gets ${signal}`, {
    ...needs("signals"),
  }, async () => {
    await using server = start("tcp_server.ts", [ANY_PORT]);
    const port = await server.port();
    using conn = await Deno.connect({ port });
    await writeAll(conn, bytes("before"));
    await readUntil(conn, "before");
    server.process.kill(signal);
    await server.stderr("Stopping");
    await writeAll(conn, bytes("after"));
    await conn.closeWrite();
    assertEquals(text(await within(readAll(conn))), "after");
    assertEquals((await server.ended()).code, 0);
  });
}

Deno.test("tcp_server.ts cuts what is open when the grace is over", {
  ...needs("signals"),
}, async () => {
  await using server = start("tcp_server.ts", [ANY_PORT, "--grace", "100ms"]);
  using conn = await Deno.connect({ port: await server.port() });
  await writeAll(conn, bytes("x"));
  await readUntil(conn, "x");
  assertEquals(await stopped(server), 0);
});

Deno.test("tcp_server.ts ends at once when it gets a second signal", {
  ...needs("signals"),
}, async () => {
  await using server = start("tcp_server.ts", [ANY_PORT, "--grace", "1h"]);
  using conn = await Deno.connect({ port: await server.port() });
  await writeAll(conn, bytes("x"));
  await readUntil(conn, "x");
  server.process.kill("SIGINT");
  await server.stderr("Stopping");
  assertEquals(await stopped(server, "SIGINT"), 130);
});

onRequest("tcp_server.ts stops a chat at once when nobody is connected", {
  ...needs("signals"),
}, async () => {
  await using server = start("tcp_server.ts", [ANY_PORT, "-m", "chat"], {
    input: "open",
  });
  await server.port();
  assertEquals(await stopped(server), 0);
});

Deno.test("tcp_server.ts says so when the key is that of another certificate", {
  ignore: !hasOpenssl,
}, async () => {
  await using made = await makeCertificates();
  const [{ certFile }, { keyFile }] = [made.good, made.expired];
  const { code, stderr } = await run("tcp_server.ts", [
    ...["tls://127.0.0.1:0", "--cert", certFile, "--key", keyFile],
  ], { permissions: ["--allow-net", `--allow-read=${certFile},${keyFile}`] });
  assertEquals([code, stderr], [
    1,
    "tcp_server: Cannot listen on tls://127.0.0.1:0: --key is not the key that belongs to --cert\n",
  ]);
});

Deno.test("tcp_server.ts serves TLS when it has a certificate", {
  ignore: !hasOpenssl,
}, async () => {
  await using made = await makeCertificates();
  await using server = startWithTls(made.good);
  const port = await server.port();
  using conn = await Deno.connectTls({
    hostname: "localhost",
    port,
    caCerts: [made.ca.cert],
  });
  await writeAll(conn, bytes("secret"));
  await conn.closeWrite();
  assertEquals(text(await within(readAll(conn))), "secret");
});

Deno.test("tcp_server.ts serves a unix socket when its address is one", {
  ...needs("unixSockets"),
}, async () => {
  const directory = await Deno.makeTempDir();
  const path = `${directory}/socket`;
  try {
    await using server = start("tcp_server.ts", [`unix:${path}`], {
      permissions: [
        `--allow-net=unix:${path}`,
        `--allow-read=${path}`,
        `--allow-write=${path}`,
      ],
    });
    await server.stderr(`Listening on unix:${path}`);
    using conn = await Deno.connect({ transport: "unix", path });
    await writeAll(conn, bytes("hello"));
    await conn.closeWrite();
    assertEquals(text(await within(readAll(conn))), "hello");
    await server.stderr("a local client closed");
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
});

Deno.test(
  "tcp_server.ts serves IPv6 and shows IPv4 peers as such when it listens on ::",
  {
    ...needs("bothVersions"),
  },
  async () => {
    await using server = start("tcp_server.ts", ["[::]:0"]);
    const port = await server.port();
    assertEquals(await ask(port, "four"), "four");
    using conn = await Deno.connect({ hostname: "::1", port });
    await writeAll(conn, bytes("six"));
    await conn.closeWrite();
    assertEquals(text(await within(readAll(conn))), "six");
    const log = await server.stderr(/\[::1\]:\d+ closed/);
    assertMatch(log, /^127\.0\.0\.1:\d+ connected$/m);
  },
);

Deno.test(
  "tcp_server.ts shares its port with another when both are told to, and stops alone",
  {
    ...needs("linux"),
  },
  async () => {
    const permissions = ["--allow-net", "--unstable-net"];
    const args = ["--reuse-port", "--grace", "50ms"];
    await using one = start("tcp_server.ts", [ANY_PORT, ...args], {
      permissions,
    });
    const port = await one.port();
    const address = `127.0.0.1:${port}`;
    await using two = start(
      "tcp_server.ts",
      [address, ...args, "-f", "lines"],
      {
        permissions,
      },
    );
    assertEquals(await two.port(), port);

    using clients = new DisposableStack();
    const connect = async () => clients.use(await Client.connect(port));
    // Linux deals them out by a hash: that one gets all 32 is 1 in 2^31.
    const before = [];
    for (let i = 0; i < 32; i++) before.push(await connect());
    const ofOne = before.filter(({ framing }) => framing === "raw");
    const ofTwo = before.filter(({ framing }) => framing === "lines");
    assert(ofOne.length > 0 && ofTwo.length > 0, "one server had no client");
    assertEquals(ofOne.length + ofTwo.length, before.length);

    assertEquals(await stopped(one), 0);
    for (const client of ofOne) assertEquals(await client.ask(), undefined);
    for (const client of ofTwo) assertEquals(await client.ask(), "lines");
    for (let i = 0; i < 8; i++) {
      assertEquals((await connect()).framing, "lines");
    }
  },
);

Deno.test(
  "tcp_server.ts shows the client and not its proxy when a PROXY header names it",
  {
    ignore: COPIES,
  },
  async () => {
    const args = [ANY_PORT, "--proxy-protocol", "--explain", "-m", "room"];
    await using server = start("tcp_server.ts", args);
    using conn = await Deno.connect({ port: await server.port() });
    // In one piece with what the client says.
    await writeAll(
      conn,
      bytes("PROXY TCP6 2001:db8::1 ::1 5000 80\r\nhello\n"),
    );
    await readUntil(conn, "you are user1");
    conn.close();
    const log = await server.stderr("closed");
    const proxy = `127.0.0.1:${conn.localAddr.port}`;
    const client = "[2001:db8::1]:5000";
    assertStringIncludes(log, `accept     ${proxy} has connected`);
    assertStringIncludes(log, `15 bytes from ${proxy}: "PROXY TCP6 2001"`);
    assertStringIncludes(log, `\n${client} connected\n`);
    assertStringIncludes(log, `\n${client} joined as user1\n`);
    assertStringIncludes(log, `6 bytes from ${client}: "hello\\n"`);
    assertStringIncludes(log, `\n${client} left as user1\n`);
    assertStringIncludes(log, `close      the connection to ${client}`);
    assertStringIncludes(log, `\n${client} closed\n`);
  },
);

Deno.test("tcp_server.ts shows the proxy when it speaks for itself", {
  ignore: COPIES,
}, async () => {
  const args = [ANY_PORT, "--proxy-protocol"];
  await using server = start("tcp_server.ts", args);
  using conn = await Deno.connect({ port: await server.port() });
  await writeAll(conn, header(0, new Uint8Array(), { command: LOCAL }));
  await writeAll(conn, bytes("fit?"));
  await readUntil(conn, "fit?");
  await server.stderr(`127.0.0.1:${conn.localAddr.port} connected`);
});

Deno.test(
  "tcp_server.ts refuses and counts who sends no PROXY header when it is to",
  { ignore: COPIES },
  async () => {
    const args = [ANY_PORT, "--proxy-protocol"];
    await using server = start("tcp_server.ts", args);
    const port = await server.port();
    using silent = await Deno.connect({ port });
    using direct = await Deno.connect({ port });
    await writeAll(direct, bytes("GET / HTTP/1.1\r\n"));
    await server.stderr(
      `127.0.0.1:${direct.localAddr.port} refused: it began with "GET / HTTP/1", not with a PROXY header (1 refused so far)\n`,
    );
    await server.stderr(
      `127.0.0.1:${silent.localAddr.port} refused: no PROXY header came in 3s (2 refused so far)\n`,
    );
    assertEquals(text(await within(readAll(silent))), "");
    assert(!(await server.stderr("")).includes("connected"));
  },
);

Deno.test("tcp_server.ts reads PROXY headers on a unix socket when it is to", {
  ...needs("unixSockets"),
  ignore: COPIES || !has("unixSockets"),
}, async () => {
  const directory = await Deno.makeTempDir();
  const path = `${directory}/socket`;
  try {
    await using server = start(
      "tcp_server.ts",
      [`unix:${path}`, "--proxy-protocol", "--json"],
      { permissions: ["--allow-net", "--allow-read", "--allow-write"] },
    );
    await server.stderr("Listening");
    for (
      const [addresses, family, peer] of [
        [addresses4("192.0.2.1", "192.0.2.9", 5, 80), TCP4, "192.0.2.1:5"],
        [addressesUnix("/run/\x1b]0;x", ""), UNIX, "unix:/run/\\u001b]0;x"],
        [addressesUnix("", "/run/server"), UNIX, "a local client"],
      ] as const
    ) {
      using conn = await Deno.connect({ transport: "unix", path });
      await writeAll(conn, header(family, addresses));
      await server.stderr(`"peer":"${peer}"`);
    }
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
});

Deno.test("tcp_server.ts writes its log as JSON lines when it is told to", async () => {
  await using server = start("tcp_server.ts", [ANY_PORT, "--json", "--once"]);
  const said = await server.stderr("\n");
  const { event, address } = JSON.parse(said.split("\n")[0]);
  assertEquals(event, "listening");
  const port = Number(address.split(":")[1]);
  await ask(port, "x");
  const { stderr } = await server.ended();
  const events = stderr.trim().split("\n").map((line) =>
    JSON.parse(line).event
  );
  assertEquals(events, ["listening", "connected", "closed"]);
});

Deno.test("tcp_server.ts says nothing when it is quiet", async () => {
  const port = closedPort();
  await using server = start("tcp_server.ts", [
    `127.0.0.1:${port}`,
    "--quiet",
    "--once",
  ]);
  // Nothing is said, so nothing can be waited for but the port itself; the one
  // client is the first that comes.
  (await connectWhenReady(port)).close();
  const { code, stderr } = await server.ended();
  assertEquals({ code, stderr }, { code: 0, stderr: "" });
});

/** Arguments, exit code, what the one line says, permissions. */
const BAD: [string[], number, string | RegExp, string[]?][] = [
  [["--mod", "chat"], 2, COPIES ? "no option --" : "did you mean --mode?"],
  [["--mode", "chta"], 2, `must be echo, greet, ${COPIES ? "room" : "chat"}`],
  [["--mode"], 2, "--mode needs a value"],
  [["-f", "u64"], 2, 'Cannot parse framing "u64"'],
  [["-f", "fixed:100", "--max-frame", "10"], 2, "the limit is 10"],
  [["--max-frame", "big"], 2, "--max-frame must be a size"],
  [["--max-connections", "0"], 2, "must be a whole number from 1"],
  [["--idle-timeout", "soon"], 2, COPIES ? "no option" : "must be a duration"],
  [["127.0.0.1:70000"], 2, "the port must be 0 to 65535, not 70000"],
  [["localhost"], 2, "the port is missing"],
  [["::1:80"], 2, "an IPv6 address needs brackets"],
  [["udp://:1"], 2, "udp_receiver.ts"],
  [["127.0.0.1", "1234"], 2, "one argument too many"],
  [["tls://:0"], 2, "--cert FILE and --key FILE"],
  [["--cert", "x.pem"], 2, "--cert and --key belong together"],
  [
    ["--cert", "x", "--key", "y", "--proxy-protocol"],
    2,
    "leave TLS to the load balancer",
  ],
  [["--greeting", "hi"], 2, "--greeting needs --mode greet"],
  [["--max-frame", "1k"], 2, "--max-frame needs a --framing"],
  [["-m", "discard", "-f", "u8"], 2, "--mode discard takes no --framing"],
  [["-m", "chat", "--max-connections", "2"], 2, "one client at a time"],
  [["unix:/tmp/x", "--reuse-port"], 2, "--reuse-port needs a port"],
  [["unix:/tmp/x", "--cert", "c", "--key", "k"], 2, "a unix socket has no TLS"],
  [["-m", "greet", "-f", "u8", "--greeting", "x".repeat(256)], 2, "256 bytes"],
  [["--cert", "x", "--key", "y"], 1, "it needs --allow-read=x"],
  [["--cert", "none", "--key", "none"], 1, "there is no such file", [
    "--allow-net",
    "--allow-read",
  ]],
  [["192.0.2.1:80"], 1, "this machine has no such address"],
  // What the help shows as usual is taken everywhere.
  [["192.0.2.1:80", "-m", "chat", "--max-connections", "1000"], 1, "no such"],
  [["192.0.2.1:80", "-m", "discard", "-f", "raw"], 1, "no such address"],
  [["192.0.2.1:80", "-m", "chargen", "--max-frame=64k"], 1, "no such address"],
  [["192.0.2.1:80", "--greeting", "Thank you for connecting"], 1, "no such"],
  [["name.invalid:80"], 1, "the name does not resolve"],
  [["127.0.0.1:9"], 1, "it needs --allow-net=127.0.0.1:9", []],
  [["127.0.0.1:9"], 1, "it needs --allow-net=127.0.0.1:9", [
    "--allow-net=127.0.0.1:10",
  ]],
  [
    ["unix:/nowhere/socket"],
    1,
    "--allow-net=unix:/nowhere/socket --allow-read",
  ],
];

for (const [args, code, problem, permissions] of BAD) {
  Deno.test(
    `tcp_server.ts says what is wrong when run with ${
      args.join(" ").slice(0, 50)
    } ${permissions ?? ""}`,
    {
      ...needs(...args[0].startsWith("unix:") ? ["unixSockets" as const] : []),
      ignore: args[0].startsWith("unix:") && !has("unixSockets") ||
        COPIES && /--proxy|-m chat/.test(args.join(" ")),
    },
    async () => {
      const ended = await run("tcp_server.ts", args, { permissions });
      assertStringIncludes(ended.stderr, String(problem));
      assertMatch(ended.stderr, /^tcp_server: .*\n$/);
      assertEquals(ended.stdout, "");
      assertEquals(ended.code, code);
    },
  );
}

Deno.test("tcp_server.ts says what to do when another program uses its port", async () => {
  using taken = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const address = `127.0.0.1:${taken.addr.port}`;
  const { code, stderr } = await run("tcp_server.ts", [address]);
  assertEquals(
    stderr,
    `tcp_server: Cannot listen on ${address}: another program uses it; stop that one, or take another address\n`,
  );
  assertEquals(code, 1);
});

Deno.test("tcp_server.ts prints its help when asked", async () => {
  const { code, stdout, stderr } = await run("tcp_server.ts", ["--help"]);
  assertEquals({ code, stderr }, { code: 0, stderr: "" });
  for (const flag of ["--mode", "--framing", "--once", "--grace"]) {
    assert(stdout.includes(flag), flag);
  }
});

Deno.test({
  name: "tcp_server.ts says what is wrong with a key that it cannot use",
  ignore: !hasOpenssl,
  async fn() {
    await using made = await makeCertificates();
    const { certFile, keyFile } = made.good;
    const encrypted = `${made.directory}/encrypted.pem`;
    const args = ["pkey", "-in", keyFile, "-aes256", "-passout", "pass:secret"];
    const { success } = await new Deno.Command("openssl", {
      args: [...args, "-out", encrypted],
    }).output();
    assert(success);
    const problems = [
      [encrypted, "the key is encrypted; `openssl pkey` writes it plain"],
      [certFile, "it holds no private key in PEM form"],
    ];
    for (const [file, problem] of problems) {
      const permissions = ["--allow-net", `--allow-read=${made.directory}`];
      const { code, stderr } = await run("tcp_server.ts", [
        ...["tls://127.0.0.1:0", "--cert", certFile, "--key", file],
      ], { permissions });
      assertEquals(stderr, `tcp_server: Cannot use ${file}: ${problem}\n`);
      assertEquals(code, 1);
    }
  },
});
