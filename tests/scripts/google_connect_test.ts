import { assert, assertEquals, assertMatch } from "@std/assert";
import {
  type Certificate,
  type Certificates,
  hasOpenssl,
  makeCertificates,
} from "../support/certificates.ts";
import {
  bytes,
  closedPort,
  COPIES,
  type Ended,
  run,
  start,
  text,
  within,
} from "../support/helpers.ts";
import {
  inNetworks,
  runInNetwork,
  type SmallNetwork,
} from "../support/small_network.ts";
import { needs } from "../support/system.ts";

const SCRIPT = "google_connect.ts";

/** A server for one connection after another, each in the hands of a test. */
class TestServer implements AsyncDisposable {
  readonly port: number;
  #listener: Deno.Listener<Deno.Conn>;
  #serving: Promise<void>;

  constructor(
    handle: (conn: Deno.Conn) => Promise<unknown>,
    { hostname = "127.0.0.1", certificate }: {
      hostname?: string;
      certificate?: Certificate;
    } = {},
  ) {
    const listener = certificate === undefined
      ? Deno.listen({ hostname, port: 0 })
      : Deno.listenTls({ hostname, port: 0, ...certificate });
    this.#listener = listener;
    this.port = listener.addr.port;
    this.#serving = this.#serve(handle);
  }

  async #serve(handle: (conn: Deno.Conn) => Promise<unknown>): Promise<void> {
    const open = new Set<Promise<unknown>>();
    for (;;) {
      const conn = await this.#listener.accept().catch(() => undefined);
      if (conn === undefined) break;
      const handled = handle(conn)
        .catch(() => {}) // The script may leave at any moment.
        .finally(() => conn[Symbol.dispose]());
      open.add(handled);
    }
    await Promise.all(open);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#listener.close();
    await this.#serving;
  }
}

/** Reads to the end of the script's question. */
async function readRequest(conn: Deno.Conn): Promise<string> {
  const buffer = new Uint8Array(4096);
  let request = "";
  while (!request.endsWith("\r\n\r\n")) {
    const length = await within(conn.read(buffer));
    if (length === null) break;
    request += text(buffer.subarray(0, length));
  }
  return request;
}

/** Reads and says nothing until the script leaves. */
async function stayWhileOpen(conn: Deno.Conn): Promise<void> {
  const buffer = new Uint8Array(4096);
  while (await within(conn.read(buffer)) !== null);
}

/** A handler that answers the question with a text. */
function answer(reply: string): (conn: Deno.Conn) => Promise<void> {
  return async (conn) => {
    await readRequest(conn);
    await conn.write(bytes(reply));
    await conn.closeWrite();
    await stayWhileOpen(conn);
  };
}

const OK = "HTTP/1.1 204 No Content\r\nServer: test\r\n\r\n";

/** A step's bar: how many eighths of a character it is long. */
function barLength(report: string, step: string): number {
  const line = report.split("\n").find((line) => line.startsWith(step))!;
  const [bar = ""] = /[▏▎▍▌▋▊▉█]+/.exec(line) ?? [];
  return [...bar].reduce((sum, c) => sum + " ▏▎▍▌▋▊▉█".indexOf(c), 0);
}

Deno.test("google_connect.ts prints addresses, winner, bars and status when a server answers", async () => {
  await using server = new TestServer(answer(OK));
  const host = `127.0.0.1:${server.port}`;
  const { code, stdout, stderr } = await run(SCRIPT, [host]);
  assertEquals(stderr, "");
  assertMatch(
    stdout,
    new RegExp(`^${host} is an address, not a name:
  ${host}  connected after \\d+\\.\\d ms: it won

connect +[▏▎▍▌▋▊▉█]+ +\\d+\\.\\d ms
first byte +[▏▎▍▌▋▊▉█]+ +\\d+\\.\\d ms
total +\\d+\\.\\d ms

HTTP/1\\.1 204 No Content
$`),
  );
  assertEquals(code, 0);
});

Deno.test("google_connect.ts draws the longest bar when a server takes its time", async () => {
  await using server = new TestServer(async (conn) => {
    await readRequest(conn);
    await new Promise((resolve) => setTimeout(resolve, 500));
    await conn.write(bytes(OK));
  });
  const { stdout } = await run(SCRIPT, [`127.0.0.1:${server.port}`]);
  const [, slow, total] = stdout.matchAll(/(\d+\.\d) ms$/gm)
    .map(([, ms]) => Number(ms)).toArray().slice(-3);
  assert(slow >= 490, stdout);
  // The whole width is 40 characters of 8 eighths.
  const expected = slow / total * 320;
  assert(Math.abs(barLength(stdout, "first byte") - expected) <= 1, stdout);
});

Deno.test("google_connect.ts asks for the head of --path when it is connected", async () => {
  const asked = Promise.withResolvers<string>();
  await using server = new TestServer(async (conn) => {
    asked.resolve(await readRequest(conn));
    await conn.write(bytes(OK));
  });
  const host = `localhost:${server.port}`;
  const { code } = await run(SCRIPT, [host, "--path", "/a?b=%20"]);
  assertEquals(code, 0);
  assertEquals(
    await within(asked.promise),
    `HEAD /a?b=%20 HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\n\r\n`,
  );
});

for (const [scheme, reply] of [["http", OK], ["https", "plain\n"]]) {
  Deno.test(`google_connect.ts takes host, page and TLS from the URL when it is given ${scheme}`, async () => {
    const asked = Promise.withResolvers<string>();
    await using server = new TestServer(async (conn) => {
      const buffer = new Uint8Array(4096);
      asked.resolve(text(buffer.subarray(0, await conn.read(buffer) ?? 0)));
      await conn.write(bytes(reply));
      await conn.closeWrite();
      await stayWhileOpen(conn);
    });
    const host = `localhost:${server.port}`;
    const { code } = await run(SCRIPT, [`${scheme}://${host}/a%20b?c=d#e`]);
    if (scheme === "http") {
      assertEquals(code, 0);
      assertMatch(await asked.promise, /^HEAD \/a%20b\?c=d HTTP\/1\.1\r\n/);
    } else {
      assertEquals(code, 1);
      assert((await asked.promise).startsWith("\x16\x03")); // a handshake
    }
  });
}

Deno.test("google_connect.ts puts brackets into the Host header when the host is an IPv6 address", async () => {
  const asked = Promise.withResolvers<string>();
  await using server = new TestServer(async (conn) => {
    asked.resolve(await readRequest(conn));
    await conn.write(bytes(OK));
  }, { hostname: "::1" });
  const { code } = await run(SCRIPT, [`[::1]:${server.port}`]);
  assertEquals(code, 0);
  assertMatch(await within(asked.promise), /^Host: \[::1\]:\d+\r$/m);
});

Deno.test("google_connect.ts prints one JSON object when asked for --json", async () => {
  await using server = new TestServer(answer(OK));
  const host = `127.0.0.1:${server.port}`;
  const { code, stdout, stderr } = await run(SCRIPT, [host, "--json"]);
  assertEquals([code, stderr], [0, ""]);
  assertEquals(stdout.split("\n").length, 2);
  const report = JSON.parse(stdout);
  assertEquals(report.winner, host);
  assertEquals(report.status, "HTTP/1.1 204 No Content");
  assertEquals(
    report.steps.map(({ name }: { name: string }) => name),
    ["connect", "first byte"],
  );
  const [connect, firstByte] = report.steps;
  assert(firstByte.start >= connect.milliseconds);
  assertEquals(report.total, firstByte.start + firstByte.milliseconds);
});

Deno.test("google_connect.ts prints a JSON object with the step when it fails with --json", async () => {
  const host = `127.0.0.1:${closedPort()}`;
  const { code, stdout, stderr } = await run(SCRIPT, [host, "--json"]);
  assertEquals(code, 1);
  const { error, addresses } = JSON.parse(stdout);
  assertEquals(error.step, "connect");
  assertEquals(addresses[0].outcome, "failed");
  assertEquals(JSON.parse(stderr).message, `google_connect: ${error.message}`);
});

Deno.test("google_connect.ts connects by name when it may only reach that name", async () => {
  await using server = new TestServer(answer(OK));
  const host = `localhost:${server.port}`;
  const permissions = [`--allow-net=${host}`];
  const { code, stdout, stderr } = await run(SCRIPT, [host], { permissions });
  assertEquals([code, stderr], [0, ""]);
  const [headline, row] = stdout.split("\n");
  assertEquals(
    headline,
    `${host} is connected to by name: Deno may not ask the name servers`,
  );
  assertMatch(row, /^ {2}127\.0\.0\.1:\d+ {2}connected after .* it won$/);
  assertMatch(stdout, /^resolve\+connect .*\nfirst byte /m);
});

Deno.test("google_connect.ts names the permission when it has none", async () => {
  const { code, stdout, stderr } = await run(SCRIPT, ["localhost:80"], {
    permissions: ["--allow-net=127.0.0.1:80"],
  });
  assertEquals([code, stdout], [1, ""]);
  assertEquals(
    stderr,
    "google_connect: Cannot resolve and connect to localhost:80: Deno was not allowed to; it needs --allow-net=localhost:80\n",
  );
});

Deno.test("google_connect.ts tells how each address did when asked for --all", async () => {
  await using server = new TestServer(answer(OK));
  const { port } = server;
  const args = [`localhost:${port}`, "--all"];
  const { code, stdout, stderr } = await run(SCRIPT, args);
  assertEquals([code, stderr], [0, ""]);
  const [headline, ipv6, ipv4] = stdout.split("\n");
  assertEquals(headline, `localhost:${port} has 2 addresses:`);
  assertMatch(ipv6, /^ {2}\[::1\]:\d+ +nobody listens there .*refused\)$/);
  assertMatch(
    ipv4,
    /^ {2}127\.0\.0\.1:\d+ +HTTP\/1\.1 204 No Content {2}\(it won\)$/,
  );
  assertMatch(stdout, new RegExp(`\n\n127.0.0.1:${port}\nconnect `));
  const json = await run(SCRIPT, [...args, "--json"]);
  assertEquals(JSON.parse(json.stdout).winner, `127.0.0.1:${port}`);
});

Deno.test("google_connect.ts has one address for --all when it connects by name", async () => {
  await using server = new TestServer(answer(OK));
  const host = `localhost:${server.port}`;
  const permissions = [`--allow-net=${host}`];
  const { code, stdout } = await run(SCRIPT, [host, "--all"], { permissions });
  assertEquals(code, 0);
  assertMatch(stdout, /by name: .*\n {2}127\.0\.0\.1:\d+ {2}HTTP\/1\.1 204/);
});

Deno.test("google_connect.ts writes JSON that can be read when the answer has controls", async () => {
  await using server = new TestServer(answer("\x7f \u009b31m \u202e\n"));
  const args = [`127.0.0.1:${server.port}`, "--json"];
  const { code, stdout, stderr } = await run(SCRIPT, args);
  assertEquals(code, 1);
  assertMatch(stdout + stderr, /^[\n\x20-\x7e]+$/);
  assertMatch(
    JSON.parse(stdout).error.message,
    /says "\\x7f \\x9b31m \\u202e"$/,
  );
  assertMatch(JSON.parse(stderr).message, /says "\\x7f \\x9b31m \\u202e"$/);
});

Deno.test("google_connect.ts shows control characters when --all reports them", async () => {
  await using server = new TestServer(answer("\x1b[2J\u009b31m\n"));
  const args = [`127.0.0.1:${server.port}`, "--all"];
  const { code, stdout, stderr } = await run(SCRIPT, args);
  assertEquals(code, 1);
  const shown = String.raw`it says "\x1b[2J\x9b31m"`;
  assert(stdout.includes(shown) && stderr.includes(shown), stdout + stderr);
});

Deno.test("google_connect.ts exits 1 when with --all no address answers", async () => {
  const host = `localhost:${closedPort()}`;
  const { code, stdout, stderr } = await run(SCRIPT, ["--all", host]);
  assertEquals(code, 1);
  assertMatch(stdout, /^ {2}\[::1\].*refused\)\n {2}127\.0\.0\.1.*refused\)$/m);
  assertMatch(stderr, /^google_connect: Cannot connect to .*refused\)\n$/);
});

Deno.test("google_connect.ts says each step when asked for --verbose", async () => {
  await using server = new TestServer(answer(OK));
  const host = `127.0.0.1:${server.port}`;
  const { stderr } = await run(SCRIPT, [host, "-v"]);
  assertEquals(
    stderr,
    `connecting to ${host}\nconnect ...\nfirst byte ...\n`,
  );
});

Deno.test("google_connect.ts ends at once when it gets SIGINT", {
  ...needs("signals"),
}, async () => {
  const connected = Promise.withResolvers<void>();
  await using server = new TestServer(async (conn) => {
    await readRequest(conn);
    connected.resolve();
    await stayWhileOpen(conn);
  });
  await using running = start(SCRIPT, [`127.0.0.1:${server.port}`]);
  await within(connected.promise);
  running.process.kill("SIGINT");
  const { code, stdout } = await running.ended();
  assertEquals([code, stdout], [130, ""]);
});

/** Asserts a failure: one line, exit code 1, nothing on standard output. */
function assertFailure(
  { code, stdout, stderr }: { code: number; stdout: string; stderr: string },
  pattern: RegExp,
): void {
  assertMatch(stderr, /^google_connect: Cannot [^\n]+\n$/);
  assertMatch(stderr, pattern);
  assertEquals([code, stdout], [1, ""]);
}

Deno.test("google_connect.ts says so when the connection is refused", async () => {
  const host = `127.0.0.1:${closedPort()}`;
  assertFailure(
    await run(SCRIPT, [host]),
    new RegExp(`connect to ${host}: nobody listens there .*refused`),
  );
});

const SILENT = /first byte .*nothing came back within 1s: .*stays silent/;

const FAULTS: [
  name: string,
  handle: (conn: Deno.Conn) => Promise<unknown>,
  expected: RegExp,
][] = [
  ["stays silent", stayWhileOpen, SILENT],
  [
    "answers rubbish",
    answer("220 \x1b[2Jmail.example ESMTP\r\n"),
    /does not speak HTTP on this port; it says "220 \\x1b\[2Jmail/,
  ],
  [
    "answers a name that no resolver knows",
    answer("No such host: cannot resolve\n"),
    /it says "No such host: cannot resolve"/,
  ],
  [
    "answers in binary",
    answer("\x00\x01\x02\n"),
    /it says "\\x00\\x01\\x02"/,
  ],
  [
    "answers HTTP without a number",
    answer("HTTP/1.1 fine\r\n\r\n"),
    /does not speak HTTP/,
  ],
  [
    "closes without a byte",
    async (conn) => await readRequest(conn),
    /first byte .*closed the connection without a byte/,
  ],
  [
    "closes in its first line",
    answer("HTTP/1.1 20"),
    /closed the connection in the middle of its first line/,
  ],
  [
    "sends an endless first line",
    async (conn) => {
      await readRequest(conn);
      await conn.write(bytes("HTTP/1.1 200 "));
      for (;;) await conn.write(new Uint8Array(65_536).fill(0x41));
    },
    /does not end within 8192 bytes/,
  ],
  [
    "sends its first line forever slowly",
    async (conn) => {
      await conn.write(bytes("HTTP/1.1 200 "));
      await stayWhileOpen(conn);
    },
    SILENT,
  ],
];

for (const [name, handle, expected] of FAULTS) {
  Deno.test(`google_connect.ts exits 1 when the server ${name}`, async () => {
    await using server = new TestServer(handle);
    const host = `127.0.0.1:${server.port}`;
    const timeout = expected === SILENT ? "1s" : "20s";
    const ended = await run(SCRIPT, [host, "--timeout", timeout]);
    assertFailure(ended, expected);
  });
}

Deno.test("google_connect.ts shows control characters when the status has them", async () => {
  await using server = new TestServer(
    answer("HTTP/1.1 200 \x1b]0;title\x07\u202e\r\n\r\n"),
  );
  const args = [`127.0.0.1:${server.port}`];
  const { stdout } = await run(SCRIPT, args);
  const shown = String.raw`HTTP/1.1 200 \x1b]0;title\x07\u202e`;
  assert(stdout.endsWith(`\n${shown}\n`), stdout);
  const json = await run(SCRIPT, [...args, "--json"]);
  assertEquals(JSON.parse(json.stdout).status, shown);
});

for (
  const [name, args, expected] of [
    [
      "the option is unknown",
      ["--pth"],
      COPIES ? /no option --pth/ : /did you mean --path\?/,
    ],
    ["the path has a space", ["--path", "/a b"], /--path must start with \//],
    ["the path has a line end", ["--path", "/\r\nX: y"], /--path must start/],
    ["the port is 0", ["localhost:0"], /port 0 is only for listening/],
    ["the host is another URL", ["ftp://localhost"], /the scheme must be/],
    ["the host is half a URL", ["http://"], /"http:\/\/" is no page's address/],
    ["the host is a unix socket", ["unix:/tmp/s"], /over TCP, not unix:/],
    ["the host is for datagrams", ["udp://localhost"], /over TCP, not udp:/],
    ["there are two hosts", ["a", "b"], /one argument too many/],
    ["the time is zero", ["--timeout", "0"], /--timeout must be a duration/],
  ] as [string, string[], RegExp][]
) {
  Deno.test(`google_connect.ts exits 2 when ${name}`, async () => {
    const { code, stdout, stderr } = await run(SCRIPT, args);
    assertEquals([code, stdout], [2, ""]);
    assertMatch(stderr, /^google_connect: [^\n]+\n$/);
    assertMatch(stderr, expected);
  });
}

Deno.test("google_connect.ts prints help when asked for --help", async () => {
  const { code, stdout, stderr } = await run(SCRIPT, ["--help"]);
  assertEquals([code, stderr], [0, ""]);
  for (const flag of ["--tls", "--path PATH", "--timeout DURATION", "--all"]) {
    assert(stdout.includes(flag), stdout);
  }
});

/** Runs the script with TLS; `trusted` is what it trusts besides the usual. */
async function runTls(
  server: TestServer,
  trusted: Certificate | undefined,
  host = "localhost",
  timeout = "20s",
) {
  const cert = trusted === undefined ? [] : ["--cert", trusted.certFile];
  return await run(
    SCRIPT,
    ["--tls", `${host}:${server.port}`, "--timeout", timeout],
    { permissions: ["--allow-net", ...cert] },
  );
}

Deno.test(
  "google_connect.ts draws the handshake when the certificate is good",
  {
    ignore: !hasOpenssl,
  },
  async () => {
    await using made = await makeCertificates();
    await using server = new TestServer(answer(OK), { certificate: made.good });
    for (const host of ["localhost", "127.0.0.1", "tls://localhost"]) {
      const { code, stdout, stderr } = await runTls(server, made.ca, host);
      assertEquals([code, stderr], [0, ""]);
      assertMatch(stdout, /^connect .*\ntls .*\nfirst byte .*\ntotal/m);
    }
  },
);

for (
  const [name, certificate, expected] of [
    ["has expired", "expired", /its certificate has expired/],
    ["is self-signed", "selfSigned", /is self-signed, or signed by an auth/],
    ["is for another name", "wrongName", /for another name: other\.example$/m],
    ["is an authority's", "ca", /is a CA's, which no server may use/],
  ] as [string, Exclude<keyof Certificates, symbol | "directory">, RegExp][]
) {
  Deno.test(`google_connect.ts exits 1 when the certificate ${name}`, {
    ignore: !hasOpenssl,
  }, async () => {
    await using made = await makeCertificates();
    await using server = new TestServer(answer(OK), {
      certificate: made[certificate],
    });
    const ended = await runTls(server, made.ca);
    assertFailure(ended, /shake hands over TLS with localhost:\d+ \(127/);
    assertFailure(ended, expected);
  });
}

Deno.test(
  "google_connect.ts exits 1 when nobody trusted signed the certificate",
  {
    ignore: !hasOpenssl,
  },
  async () => {
    await using made = await makeCertificates();
    await using server = new TestServer(answer(OK), { certificate: made.good });
    assertFailure(await runTls(server, undefined), /deno run --cert FILE/);
  },
);

Deno.test("google_connect.ts advises --tls when the server speaks TLS only", {
  ignore: !hasOpenssl,
}, async () => {
  await using made = await makeCertificates();
  await using server = new TestServer(
    async (conn) => {
      await (conn as Deno.TlsConn).handshake();
    },
    { certificate: made.good },
  );
  assertFailure(
    await run(SCRIPT, [`127.0.0.1:${server.port}`]),
    /does not speak HTTP on this port; it speaks TLS: add --tls/,
  );
});

for (
  const [name, handle, expected] of [
    [
      "answers in plain text",
      async (conn: Deno.Conn) => {
        await conn.write(bytes("HTTP/1.1 400 Bad Request\r\n\r\n"));
        await stayWhileOpen(conn);
      },
      /does not speak TLS: no TLS\? Leave --tls out/,
    ],
    [
      "closes",
      (conn: Deno.Conn) => conn.read(new Uint8Array(8)),
      /no TLS\? Leave --tls out/,
    ],
    [
      "stays silent",
      stayWhileOpen,
      /within 1s: no TLS\? Leave --tls out/,
    ],
  ] as [string, (conn: Deno.Conn) => Promise<unknown>, RegExp][]
) {
  Deno.test(`google_connect.ts exits 1 when a server without TLS ${name}`, async () => {
    await using server = new TestServer(handle);
    const timeout = name === "stays silent" ? "1s" : "20s";
    const ended = await runTls(server, undefined, "127.0.0.1", timeout);
    assertFailure(ended, expected);
  });
}

const ROUTED = ["ip addr add 10.77.0.1/24 dev lo"];
/** 10.77.0.9 swallows everything. */
const BLACK_HOLE = [
  ...ROUTED,
  "nft add table inet t",
  "nft 'add chain inet t in { type filter hook input priority 0; }'",
  "nft add rule inet t in ip daddr 10.77.0.9 drop",
  "ip addr add 10.77.0.9/24 dev lo",
];

function testInNetwork(
  name: string,
  network: SmallNetwork,
  args: string[],
  check: (ended: Ended & { elapsed: number }) => void,
): void {
  Deno.test(`google_connect.ts ${name}`, {
    ...inNetworks,
  }, async () => {
    const start = performance.now();
    const ended = await runInNetwork(network, SCRIPT, args);
    check({ ...ended, elapsed: performance.now() - start });
  });
}

/** How long two processes may take to start and end, in milliseconds. */
const OVERHEAD = 3000;

const BOTH = { A: ["127.0.0.1"], AAAA: ["::1"] };
const WWW = "www.example.test";

testInNetwork(
  "shows resolving and the winner when DNS has several addresses",
  { zone: { [WWW]: BOTH }, web: ["::1", "127.0.0.1"] },
  [WWW],
  ({ code, stdout, stderr }) => {
    assertEquals([code, stderr], [0, ""]);
    assertMatch(
      stdout,
      /^www\.example\.test:80 has 2 addresses:\n {2}\[::1\]:80 +connected after .* won\n {2}127\.0\.0\.1:80 +not needed\n\nresolve .*\nconnect .*\nfirst byte .*\ntotal .*\n\nHTTP\/1\.1 200 OK\n$/,
    );
  },
);

testInNetwork(
  "connects to what the hosts file says when DNS knows other addresses",
  {
    zone: { [WWW]: BOTH },
    web: ["::1", "10.77.0.1"],
    setup: [
      ...ROUTED,
      `printf '10.77.0.1 ${WWW}\\n' > /tmp/hosts_$$`,
      "mount --bind /tmp/hosts_$$ /etc/hosts",
      "rm /tmp/hosts_$$",
    ],
  },
  [WWW, "--json"],
  ({ code, stdout, stderr }) => {
    assertEquals([code, stderr], [0, ""]);
    assertEquals(JSON.parse(stdout).winner, "10.77.0.1:80");
    assertEquals(JSON.parse(stdout).addresses.length, 1);
  },
);

testInNetwork(
  "lets the next address win when the first is a black hole",
  {
    zone: { [WWW]: { A: ["10.77.0.9", "127.0.0.1"] } },
    web: ["127.0.0.1"],
    setup: BLACK_HOLE,
  },
  [WWW, "--json"],
  ({ code, stdout }) => {
    const { addresses, winner } = JSON.parse(stdout);
    assertEquals([code, winner], [0, "127.0.0.1:80"]);
    assertEquals(addresses[0].outcome, "late");
    const { milliseconds } = addresses[0];
    assert(milliseconds >= 245 && milliseconds < 2000, stdout);
  },
);

testInNetwork(
  "gives each address its share of the time when the first is a black hole",
  {
    zone: { [WWW]: { A: ["10.77.0.9", "127.0.0.1"] } },
    web: ["127.0.0.1"],
    setup: BLACK_HOLE,
  },
  [WWW, "--all", "--timeout", "2s"],
  ({ code, stdout }) => {
    assertEquals(code, 0);
    assertMatch(stdout, /^ {2}10\.77\.0\.9:80 .*within (1|0\.9\d*)s: a black/m);
    assertMatch(stdout, /^ {2}127\.0\.0\.1:80 +HTTP\/1\.1 200 OK/m);
  },
);

testInNetwork(
  "holds --timeout when the only address is a black hole",
  { zone: { [WWW]: { A: ["10.77.0.9"] } }, setup: BLACK_HOLE },
  [WWW, "--json", "--timeout", "2s"],
  ({ code, stdout, stderr, elapsed }) => {
    assertEquals(code, 1);
    assert(elapsed < 2400 + OVERHEAD, `${elapsed} ms`);
    assertMatch(
      stderr,
      /connect to .*nothing came back within (2|1\.\d)s: a black/,
    );
    const { total, error } = JSON.parse(stdout);
    assertEquals(error.step, "connect");
    assert(total > 1900 && total < 2400, `${total} ms`);
  },
);

testInNetwork(
  "says so when DNS answers but no route leads there",
  { zone: { [WWW]: { A: ["10.88.0.1"], AAAA: ["2001:db8::1"] } } },
  [WWW],
  (ended) =>
    assertFailure(
      ended,
      /connect to www\.example\.test:80 \(\[2001:db8::1\]:80, 10\.88\.0\.1:80\): no route leads there/,
    ),
);

testInNetwork(
  "gives every reason when the addresses fail in different ways",
  { zone: { [WWW]: { A: ["127.0.0.1"], AAAA: ["2001:db8::1"] } } },
  [WWW],
  (ended) =>
    assertFailure(
      ended,
      /test:80 \(\[2001:db8::1\]:80\): no route .*; \(127\.0\.0\.1:80\): nobody/,
    ),
);

testInNetwork(
  "leaves the port out of the Host header when it is the usual one",
  { zone: { [WWW]: BOTH }, web: ["127.0.0.1"] },
  [`${WWW}:80`],
  // The web server answers 400 otherwise.
  ({ stdout }) => assertMatch(stdout, /\nHTTP\/1\.1 200 OK\n$/),
);

testInNetwork(
  "takes port 443 when asked for --tls and no port",
  { zone: { [WWW]: { A: ["127.0.0.1"] } } },
  [WWW, "--tls"],
  (ended) =>
    assertFailure(ended, /connect to www\.example\.test:443 .*refused/),
);

testInNetwork(
  "says so when the name does not exist",
  { zone: {} },
  ["wwww.example.test"],
  (ended) =>
    assertFailure(ended, /resolve wwww\.example\.test: there is no such name/),
);

testInNetwork(
  "says so when the name server answers with an error",
  { zone: { [WWW]: { errorCode: 2 } } },
  [WWW],
  (ended) => assertFailure(ended, /resolve www.*\(SERVFAIL or REFUSED\)/),
);

for (
  const [name, network] of [
    ["no network", { nameServer: "10.77.0.2" }],
    ["nobody where the name server should be", {}],
  ] as [string, SmallNetwork][]
) {
  testInNetwork(
    `says so when there is ${name}`,
    network,
    [WWW],
    (ended) => assertFailure(ended, /resolve www.*no name server answers/),
  );
}

for (const all of [[], ["--all"]]) {
  testInNetwork(
    `holds --timeout when the name server is silent${
      all.map((f) => ` (${f})`)
    }`,
    { zone: { [WWW]: { silentFor: ["A", "AAAA"] } } },
    [WWW, "--json", "--timeout", "2s", ...all],
    ({ code, stdout, stderr, elapsed }) => {
      assertEquals(code, 1);
      // The system itself would ask on for 10 s.
      assert(elapsed < 2400 + OVERHEAD, `${elapsed} ms`);
      assertMatch(
        stderr,
        /Cannot resolve www\.example\.test: .*no name server answers/,
      );
      const { total, error, addresses, steps: [resolve] } = JSON.parse(stdout);
      assertEquals(error.step, "resolve");
      // The other half is left for the system's own way.
      assert(resolve.milliseconds < 1500, stdout);
      const steps = addresses[0].steps?.at(-1);
      const told = total + (steps?.milliseconds ?? 0);
      assert(told > 1900 && told < 2400, `${told} ms`);
    },
  );
}

testInNetwork(
  "goes on with IPv4 when the question for IPv6 is swallowed",
  {
    zone: { [WWW]: { ...BOTH, silentFor: ["AAAA"] } },
    web: ["127.0.0.1"],
  },
  [WWW, "--json", "--timeout", "4s"],
  ({ code, stdout }) => {
    const { winner, steps } = JSON.parse(stdout);
    assertEquals([code, winner], [0, "127.0.0.1:80"]);
    assert(steps[0].milliseconds > 1900, stdout);
  },
);

testInNetwork(
  "asks DNS but connects by name when it may reach none of the addresses",
  {
    zone: { [WWW]: { A: ["127.0.0.1"] } },
    web: ["127.0.0.1"],
    permissions: [`--allow-net=${WWW}:80,127.0.0.1:53`],
  },
  [WWW],
  ({ code, stdout, stderr }) => {
    assertEquals([code, stderr], [0, ""]);
    assertMatch(stdout, /by name: Deno may connect to no address of it\n/);
    assertMatch(stdout, /^resolve .*\nresolve\+connect .*\nfirst byte /m);
  },
);

testInNetwork(
  "leaves an address out when it may not reach that one",
  {
    zone: { [WWW]: BOTH },
    web: ["::1", "127.0.0.1"],
    permissions: [`--allow-net=127.0.0.1:53,127.0.0.1:80`],
  },
  [WWW],
  ({ code, stdout, stderr }) => {
    assertEquals([code, stderr], [0, ""]);
    assertMatch(stdout, /^ {2}127\.0\.0\.1:80 +connected .* it won$/m);
    assertMatch(stdout, /^ {2}\[::1\]:80 .*it needs --allow-net=\[::1\]:80$/m);
  },
);
