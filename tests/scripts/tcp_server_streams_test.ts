/** tcp_server.ts joins its clients with another stream: standard input and output, or a connection. */
import { assert, assertEquals, assertMatch } from "@std/assert";
import { hasOpenssl, makeCertificates } from "../support/certificates.ts";
import { Folder } from "../support/folder.ts";
import {
  assertSameBytes,
  closedPort,
  COPIES,
  installed,
  run,
  type Running,
  type RunOptions,
  serverWith,
  start,
  text,
  within,
} from "../support/helpers.ts";
import { noise } from "../support/peers.ts";
import { has, needs } from "../support/system.ts";
import {
  ask,
  askText,
  echo,
  type Handler,
  readExactly,
  readToEnd,
  readUntil,
  serving,
  writeAll,
} from "../support/sockets.ts";

/** What is loaded on request only is not in a copy. */
const test = COPIES ? Deno.test.ignore : Deno.test;

function pipeWith(input: RunOptions["input"], ...args: string[]) {
  return serverWith(["-m", "pipe", ...args], { input });
}

/** Connects from another process, reads a byte and cuts the connection. */
async function cut(port: number): Promise<void> {
  const code = `
import socket, struct
s = socket.create_connection(("127.0.0.1", ${port}))
s.recv(1)
s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
s.close()`;
  const { success } = await new Deno.Command("python3", {
    args: ["-c", code],
  }).output();
  assert(success);
}
const hasPython = installed("python3", "--version");

// Pipe.

test("tcp_server.ts -m pipe carries any bytes both ways at once to our client", async () => {
  const [down, up] = [noise(3_000_000), noise(3_000_000)];
  const [server, port] = await pipeWith(down);
  await using _ = server;
  const client = await run("tcp_client.ts", [`127.0.0.1:${port}`], {
    input: up,
  });
  assertEquals(client.code, 0, client.stderr);
  await assertSameBytes(client.bytes, down);
  const { code, bytes: received, stderr } = await server.ended();
  assertEquals(code, 0, stderr);
  await assertSameBytes(received, up);
  assertMatch(
    stderr,
    /^Listening on \S+ \(pipe\)\n(\S+) connected\n\1 closed\n$/,
  );
});

test("tcp_server.ts -m pipe half-closes at the end of its input and reads on", async () => {
  const [server, port] = await pipeWith("a question\n");
  await using _ = server;
  using conn = await Deno.connect({ port });
  assertEquals(text(await within(readToEnd(conn))), "a question\n");
  await writeAll(conn, "a late answer");
  await conn.closeWrite();
  const { code, stdout } = await server.ended();
  assertEquals([code, stdout], [0, "a late answer"]);
});

test("tcp_server.ts -m pipe sends its input to the end to a client that has half-closed", async () => {
  const [server, port] = await pipeWith("open");
  await using _ = server;
  using conn = await Deno.connect({ port });
  await conn.closeWrite();
  const sent = noise(5_000_000);
  const heard = within(readToEnd(conn));
  await server.stdin!.write(sent);
  await server.stdin!.close();
  await assertSameBytes(await heard, sent);
  assertEquals((await server.ended()).code, 0);
});

test("tcp_server.ts -m pipe ends when its client has gone and its input is silent", async () => {
  const [server, port] = await pipeWith("open");
  await using _ = server;
  {
    using conn = await Deno.connect({ port });
    await writeAll(conn, "gone");
  }
  const { code, stdout } = await server.ended();
  assertEquals([code, stdout], [0, "gone"]);
});

test("tcp_server.ts -m pipe serves one client and closes its port", async () => {
  const [server, port] = await pipeWith("open");
  await using _ = server;
  using conn = await Deno.connect({ port });
  await server.stderr("connected");
  // One that came meanwhile may have got in, but is not served.
  for (let isRefused = false; !isRefused;) {
    await ask(port, "not served").catch((error) => {
      isRefused = error instanceof Deno.errors.ConnectionRefused;
    });
  }
  await writeAll(conn, "served");
  conn.close();
  const { code, stdout } = await server.ended();
  assertEquals([code, stdout], [0, "served"]);
});

test("tcp_server.ts -m pipe --no-stdin writes what several clients say, and goes on", async () => {
  const [server, port] = await pipeWith("not for them", "--no-stdin");
  await using _ = server;
  using one = await Deno.connect({ port });
  using two = await Deno.connect({ port });
  for (
    const [conn, words] of [[one, "one\n"], [two, "two\n"], [
      one,
      "and\n",
    ]] as const
  ) {
    await writeAll(conn, words);
    await server.stdout(words);
  }
  one.close();
  await server.stderr("closed");
  assertEquals(await askText(port, "three\n"), "");
  assertEquals(await server.stdout("three\n"), "one\ntwo\nand\nthree\n");
  server.process.kill("SIGINT");
  two.close();
  assertEquals((await server.ended()).code, 0);
});

test("tcp_server.ts -m pipe --no-stdin --once writes what one client says", async () => {
  const [server, port] = await pipeWith(undefined, "--no-stdin", "--once");
  await using _ = server;
  const sent = noise(1_000_000);
  assertEquals((await ask(port, sent)).length, 0);
  const { code, bytes: received } = await server.ended();
  assertEquals(code, 0);
  await assertSameBytes(received, sent);
});

test("tcp_server.ts -m pipe sends lines as messages and prints messages as lines with a framing", async () => {
  const [server, port] = await pipeWith("one\ntwo\n", "-f", "u8");
  await using _ = server;
  assertEquals(await askText(port, "\x02hi\0\x03you"), "\x03one\x03two");
  const { code, stdout } = await server.ended();
  assertEquals([code, stdout], [0, "hi\n\nyou\n"]);
});

test("tcp_server.ts -m pipe ends lines with CRLF and shows both directions when it is told to", async () => {
  const [server, port] = await pipeWith("hi\n", "--crlf", "--hex");
  await using _ = server;
  assertEquals(await askText(port, "ho\n"), "hi\r\n");
  const { code, stdout } = await server.ended();
  assertEquals(code, 0);
  assertEquals(stdout.split("\n").map((row) => row.slice(0, 24)).sort(), [
    "",
    "< 00000000  68 6f 0a    ",
    "> 00000000  68 69 0d 0a ",
  ]);
});

test("tcp_server.ts -m pipe exits with 1 when its client cuts the connection", {
  ignore: !hasPython,
}, async () => {
  const [server, port] = await pipeWith("open");
  await using _ = server;
  await server.type("x");
  await cut(port);
  const { code, stderr } = await server.ended();
  assertMatch(
    stderr,
    /connected\ntcp_server: Cannot serve \S+: the peer cut the connection \(reset\)\n$/,
  );
  assertEquals(code, 1);
});

test("tcp_server.ts -m pipe exits with 1 when a signal cuts its input off", {
  ...needs("signals"),
}, async () => {
  const [server, port] = await pipeWith("x".repeat(50_000_000));
  await using _ = server;
  using conn = await Deno.connect({ port });
  await readExactly(conn, 1000);
  server.process.kill("SIGINT");
  await server.stderr("Stopping: open connections have 5s to end");
  await within(readToEnd(conn));
  conn.close();
  const { code, stderr } = await server.ended();
  assertMatch(stderr, /: it was stopped after \d+ bytes of its input\n$/);
  assertEquals(code, 1);
});

// Forward.

/** A server that forwards to this handler. */
async function forwarding(
  handler: Handler,
  ...args: string[]
): Promise<[Running, number, AsyncDisposable]> {
  const target = serving(handler);
  const more = ["-m", "forward", "--to", target.address, ...args];
  return [...await serverWith(more), target];
}

test("tcp_server.ts -m forward carries any bytes both ways, for many clients", async () => {
  const [server, port, target] = await forwarding(echo);
  await using _target = target;
  await using _ = server;
  const sent = Array.from({ length: 8 }, () => noise(1_000_000));
  const answers = await Promise.all(sent.map((bytes) => ask(port, bytes)));
  for (const [i, answer] of answers.entries()) {
    await assertSameBytes(answer, sent[i]);
  }
});

test("tcp_server.ts -m forward passes a half-close through, either way", async () => {
  const [server, port, target] = await forwarding(async (conn) => {
    await writeAll(conn, `<${text(await readToEnd(conn))}>`);
  });
  await using _target = target;
  await using _ = server;
  assertEquals(await askText(port, "question"), "<question>");

  const heard = Promise.withResolvers<string>();
  const [other, there, first] = await forwarding(async (conn) => {
    await writeAll(conn, "that is all");
    await conn.closeWrite();
    heard.resolve(text(await readToEnd(conn)));
  });
  await using _first = first;
  await using _other = other;
  using conn = await Deno.connect({ port: there });
  assertEquals(text(await within(readToEnd(conn))), "that is all");
  await writeAll(conn, "but I go on");
  await conn.closeWrite();
  assertEquals(await within(heard.promise), "but I go on");
});

test("tcp_server.ts -m forward says that its target cannot be reached, and serves the next", async () => {
  const to = `127.0.0.1:${closedPort()}`;
  const [server, port] = await serverWith(["-m", "forward", "--to", to]);
  await using _ = server;
  for (let client = 1; client <= 2; client++) {
    using conn = await Deno.connect({ port });
    assertEquals(await within(readToEnd(conn)), new Uint8Array(0));
    await server.stderr(
      `127.0.0.1:${conn.localAddr.port} dropped: Cannot connect to ${to}: nobody listens there (connection refused)\n`,
    );
  }
});

test("tcp_server.ts -m forward closes a connection that is idle too long", async () => {
  const args = ["--idle-timeout", "200ms"];
  const gone = Promise.withResolvers<void>();
  const [server, port, target] = await forwarding(async (conn) => {
    await readToEnd(conn).catch(() => {});
    gone.resolve();
  }, ...args);
  await using _target = target;
  await using _ = server;
  using conn = await Deno.connect({ port });
  assertEquals(await within(readToEnd(conn)), new Uint8Array(0));
  await server.stderr("dropped: it was silent too long");
  await within(gone.promise);
});

test("tcp_server.ts -m forward lets a client wait when it has as many as it may", async () => {
  const [server, port, target] = await forwarding(
    echo,
    ...["--max-connections", "1"],
  );
  await using _target = target;
  await using _ = server;
  const first = await Deno.connect({ port });
  await writeAll(first, "x");
  await readUntil(first, "x");
  const second = askText(port, "second");
  await writeAll(first, "y");
  await readUntil(first, "y");
  assertEquals((await server.stderr("")).match(/ connected/g)!.length, 1);
  first.close();
  assertEquals(await within(second), "second");
});

test("tcp_server.ts -m forward tells each socket call of both sides", async () => {
  const [server, port, target] = await forwarding(echo, "--explain");
  await using _target = target;
  await using _ = server;
  assertEquals(await askText(port, "hello"), "hello");
  const log = await server.stderr(/ closed\n/);
  assertMatch(log, /accept +127\.0\.0\.1:\d+ has connected/);
  assertMatch(log, /connect +/);
  assertEquals(log.match(/5 bytes from/g)?.length, 2);
});

test(
  "tcp_server.ts -m forward takes off TLS, puts it on, and goes to a unix socket",
  {
    ...needs("unixSockets"),
    ignore: !hasOpenssl || !has("unixSockets"),
  },
  async () => {
    await using made = await makeCertificates();
    using folder = new Folder();
    const path = `${folder.path}/socket`;
    const { certFile, keyFile } = made.good;
    const tls = ["--cert", certFile, "--key", keyFile];
    const all = [
      "--allow-net",
      "--allow-read",
      "--allow-write",
      `--cert=${made.ca.certFile}`,
    ];
    const options = { permissions: all };
    // From the last to the first: an echo, and what leads to it.
    await using inner = start("tcp_server.ts", [`unix:${path}`], options);
    await inner.stderr("Listening");
    const hops: Running[] = [];
    await using stack = new AsyncDisposableStack();
    let to = `unix:${path}`;
    for (const more of [tls, []]) {
      const args = ["localhost:0", "-m", "forward", "--to", to, ...more];
      const hop = stack.use(start("tcp_server.ts", args, options));
      const scheme = more.length > 0 ? "tls://" : "";
      to = `${scheme}localhost:${await hop.port()}`;
      hops.push(hop);
    }
    const sent = noise(1_000_000);
    const { code, bytes: heard, stderr } = await run("tcp_client.ts", [to], {
      input: sent,
    });
    assertEquals([code, stderr], [0, ""]);
    await assertSameBytes(heard, sent);
  },
);

test("tcp_server.ts -m forward says how a target's certificate is trusted", {
  ignore: !hasOpenssl,
}, async () => {
  await using made = await makeCertificates();
  const { certFile, keyFile } = made.good;
  const permissions = ["--allow-net", "--allow-read"];
  const tls = ["127.0.0.1:0", "--cert", certFile, "--key", keyFile];
  await using target = start("tcp_server.ts", tls, { permissions });
  const to = `tls://127.0.0.1:${await target.port()}`;
  const [server, port] = await serverWith(["-m", "forward", "--to", to]);
  await using _ = server;
  assertEquals(await askText(port, ""), "");
  await server.stderr(
    `dropped: Cannot connect to ${to}: its certificate is signed by nobody that is trusted here; name the signer's certificate with deno run --cert=FILE`,
  );
});

test("tcp_server.ts -m forward needs permission for its target", async () => {
  const to = `127.0.0.1:${closedPort()}`;
  const args = ["127.0.0.1:0", "-m", "forward", "--to", to];
  const permissions = ["--allow-net=127.0.0.1:0"];
  await using server = start("tcp_server.ts", args, { permissions });
  assertEquals(await askText(await server.port(), ""), "");
  await server.stderr(
    `dropped: Cannot connect to ${to}: Deno was not allowed to; it needs --allow-net=${to}\n`,
  );
});

/** Arguments, and what the one line says. */
const MISTAKES: [string[], string][] = [
  [["-m", "forward"], "--mode forward needs --to ADDRESS"],
  [["--to", "127.0.0.1:1"], "--to needs --mode forward"],
  [["-m", "forward", "--to", "udp://127.0.0.1:1"], "--to must be a host"],
  [["-m", "forward", "--to", "127.0.0.1:0"], "--to must be a host"],
  [["-m", "forward", "--to", "localhost"], "the port is missing"],
  [
    ["-m", "forward", "--to", ":1", "-f", "u8"],
    "--mode forward takes no --framing",
  ],
  [["--no-stdin"], "--no-stdin, --crlf and --hex need --mode pipe"],
  [["--hex"], "--no-stdin, --crlf and --hex need --mode pipe"],
  [["-m", "room", "--crlf"], "--no-stdin, --crlf and --hex need --mode pipe"],
  [["-m", "pipe", "--crlf", "-f", "u8"], "--crlf goes with raw and lines only"],
  [["-m", "pipe", "--max-frame", "9"], "--max-frame needs a --framing"],
];
for (const [args, problem] of MISTAKES) {
  test(`tcp_server.ts says what is wrong when run with ${args.join(" ")}`, async () => {
    const { code, stdout, stderr } = await run("tcp_server.ts", args);
    assertMatch(stderr, /^tcp_server: .*\n$/);
    assert(stderr.includes(problem), stderr);
    assertEquals([code, stdout], [2, ""]);
  });
}
