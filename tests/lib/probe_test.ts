import {
  assert,
  assertEquals,
  assertMatch,
  assertRejects,
  assertStringIncludes,
} from "@std/assert";
import { ask, drawSteps, probe, type WebTarget } from "../../lib/probe.ts";
import { bytes, closedPort } from "../support/helpers.ts";
import { needs } from "../support/system.ts";

const LONG = { timeout: 30_000 };

function targetOn(port: number, hostname = "127.0.0.1"): WebTarget {
  return { transport: "tcp", hostname, port, tls: false, path: "/" };
}

Deno.test("probe() times each step when a server answers", async () => {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const serving = (async () => {
    using conn = await listener.accept();
    await conn.read(new Uint8Array(4096));
    await conn.write(bytes("HTTP/1.0 404 \r\n"));
  })();
  const { port } = listener.addr;
  const found = await probe(targetOn(port), LONG);
  await serving;
  assertEquals(found.error, undefined);
  assertEquals(found.winner, `127.0.0.1:${port}`);
  assertEquals(found.status, "HTTP/1.0 404 ");
  const [connect, firstByte] = found.steps;
  assertEquals([connect.name, firstByte.name], ["connect", "first byte"]);
  assertEquals(firstByte.start, connect.milliseconds);
  assertEquals(found.total, connect.milliseconds + firstByte.milliseconds);
});

Deno.test("probe() gives the failed step and its time when nobody listens", async () => {
  const port = closedPort();
  const found = await probe(targetOn(port), LONG);
  assertEquals(found.steps.map(({ name }) => name), ["connect"]);
  assertEquals(found.error, {
    step: "connect",
    message:
      `Cannot connect to 127.0.0.1:${port}: nobody listens there (connection refused)`,
  });
});

Deno.test("probe() closes the connection when the time is over", async () => {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const target = targetOn(listener.addr.port);
  const probing = probe(target, { timeout: 200 });
  using conn = await listener.accept();
  const { error, steps } = await probing;
  assertEquals(error?.step, "first byte");
  assertMatch(
    error!.message,
    /nothing came back within 0\.2s: it stays silent/,
  );
  assert(steps[1].milliseconds > 100);
  const buffer = new Uint8Array(4096);
  assert(await conn.read(buffer) !== null); // the question
  assertEquals(await conn.read(buffer), null);
});

Deno.test("probe() tells the name as the step when the system cannot resolve it", async () => {
  // No label is so long (RFC 1035 2.3.4): no name server is asked.
  const hostname = `${"a".repeat(64)}.test`;
  const { error, addresses } = await probe(targetOn(80, hostname), LONG);
  assertEquals(addresses[0].byName, "DNS gives no address for it");
  assertEquals(error?.step, "resolve");
  assertMatch(error!.message, /^Cannot resolve a{64}\.test: there is no such/);
});

/** Runs with DNS answers of our own, as if no hosts file had the name. */
async function withAddresses(
  answers: { A: string[]; AAAA: string[] },
  run: () => Promise<void>,
): Promise<void> {
  const { resolveDns } = Deno;
  Deno.resolveDns =
    ((_name: string, type: "A" | "AAAA") =>
      Promise.resolve(answers[type])) as typeof Deno.resolveDns;
  try {
    await run();
  } finally {
    Deno.resolveDns = resolveDns;
  }
}

Deno.test(
  "probe() does not wait for the next turn when an address fails",
  needs("quickRefusals"),
  async () => {
    using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
    const serving = (async () => {
      using conn = await listener.accept();
      await conn.write(bytes("HTTP/1.1 200 OK\n"));
      await conn.read(new Uint8Array(4096));
    })();
    const target = targetOn(listener.addr.port, "www.example.test");
    const answers = { AAAA: ["::1"], A: ["127.0.0.1", "127.0.0.2"] };
    await withAddresses(answers, async () => {
      const { addresses, steps } = await probe(target, LONG);
      await serving;
      assertEquals(
        addresses.map(({ outcome }) => outcome),
        ["failed", "won", "untried"],
      );
      assert(steps[1].milliseconds < 240);
    });
  },
);

Deno.test("probe() closes the other connection when two addresses connect at once", async () => {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { connect } = Deno;
  const both = Promise.withResolvers<void>();
  let tried = 0;
  // Neither connects before the other is under way, and no signal stops them.
  Deno.connect = (async ({ port }: Deno.ConnectOptions) => {
    if (++tried === 2) both.resolve();
    await both.promise;
    return await connect({ hostname: "127.0.0.1", port });
  }) as typeof Deno.connect;
  try {
    const target = targetOn(listener.addr.port, "www.example.test");
    const answers = { AAAA: [], A: ["127.0.0.1", "127.0.0.2"] };
    await withAddresses(answers, async () => {
      const probing = probe(target, LONG);
      using first = await listener.accept();
      using second = await listener.accept();
      // The sanitizer of resources finds the loser's end if it is left open.
      await first.write(bytes("rubbish")).catch(() => {});
      await second.write(bytes("rubbish")).catch(() => {});
      const { addresses } = await probing;
      assertEquals(
        addresses.map(({ outcome }) => outcome).toSorted(),
        ["failed", "late"], // the one that won says rubbish
      );
    });
  } finally {
    Deno.connect = connect;
  }
});

for (const address of ["127.0.0.1", "::1", "fe80::1%lo"]) {
  Deno.test(`probe() asks nobody for the address when it is ${address}`, async () => {
    const { addresses, steps } = await probe(
      targetOn(closedPort(), address),
      LONG,
    );
    assertEquals(addresses[0].byName, undefined);
    assertEquals(steps.map(({ name }) => name), ["connect"]);
  });
}

for (
  const [message, expected] of [
    [
      'invalid peer certificate: certificate not valid for name "a.test"; certificate is only valid for DnsName("b.test") or IpAddress(127.0.0.1)',
      "its certificate is for another name: b.test",
    ],
    [
      'invalid peer certificate: certificate not valid for name "a.test"; certificate is not valid for any names',
      "its certificate is for another name",
    ],
    ["unexpected end of file", "the peer closed in the middle of the TLS"],
    ["received corrupt message of type InvalidContentType", "Leave --tls out"],
  ]
) {
  Deno.test(`probe() says "${expected}" when the handshake fails so`, async () => {
    using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
    const { startTls } = Deno;
    Deno.startTls = async (tcp: Deno.TcpConn, options) => {
      const conn = await startTls(tcp, options);
      const error = new Deno.errors.InvalidData(message);
      return Object.assign(conn, { handshake: () => Promise.reject(error) });
    };
    try {
      const target = { ...targetOn(listener.addr.port), tls: true };
      const { error } = await probe(target, LONG);
      assertEquals(error?.step, "tls");
      assertStringIncludes(error!.message, expected);
    } finally {
      Deno.startTls = startTls;
    }
  });
}

/** Reads what comes in pieces of some size. */
async function readLine(reply: string, size = Infinity) {
  let rest = bytes(reply);
  const source = {
    read(buffer: Uint8Array) {
      const piece = rest.subarray(0, Math.min(size, buffer.length));
      buffer.set(piece);
      rest = rest.subarray(piece.length);
      return Promise.resolve(piece.length === 0 ? null : piece.length);
    },
  };
  const write = (request: Uint8Array) => Promise.resolve(request.length);
  const conn = { ...source, write } as unknown as Deno.Conn;
  return await ask(conn, bytes("a question"));
}

for (const size of [1, 2, 3, 5, 7, 100]) {
  Deno.test(`ask() gives the line when it comes in pieces of ${size}`, async () => {
    const reply = "HTTP/1.1 301 Moved\r\nLocation: /\r\n\r\n";
    assertEquals(await readLine(reply, size), "HTTP/1.1 301 Moved");
  });
}

for (const line of ["HTTP/1.0 200", "HTTP/1.1 200 ", "HTTP/2 503 x y"]) {
  Deno.test(`ask() takes the line when it is ${JSON.stringify(line)}`, async () => {
    assertEquals(await readLine(`${line}\n`), line);
  });
}

Deno.test("ask() takes the line when it is 8192 bytes with its end", async () => {
  const line = "HTTP/1.1 200 ".padEnd(8191, "A");
  assertEquals(await readLine(`${line}\n`, 1000), line);
  await assertRejects(
    () => readLine(`${line}A\n`, 1000),
    Error,
    "does not end within 8192 bytes",
  );
});

for (
  const [reply, message] of [
    ["", "closed the connection without a byte"],
    ["HTTP/1.1 2", "in the middle of its first line"],
    ["H\n", 'it says "H"'],
    ["\n", 'it says ""'],
    ["HTTP/1.1 999 x\n", "does not speak HTTP"],
    ["HTTP/1.1 2000\n", "does not speak HTTP"],
    ["HTML", 'it says "HTML"'],
    [`SSH-2.0-${"x".repeat(100)}\n`, `it says "SSH-2.0-${"x".repeat(32)}"`],
    ["\x15\x03\x03\x00\x02", "add --tls"],
    ["\x16\x03\x01", "add --tls"],
    ["\x15\x04", "does not speak HTTP"],
  ]
) {
  Deno.test(`ask() rejects when the answer is ${JSON.stringify(reply)}`, async () => {
    await assertRejects(() => readLine(reply), Error, message);
    await assertRejects(() => readLine(reply, 1), Error);
  });
}

Deno.test("drawSteps() draws in eighths of a character when a step ends within one", () => {
  for (let eighths = 1; eighths <= 320; eighths += 7) {
    const step = { name: "tls" as const, start: 0, milliseconds: eighths };
    const [line] = drawSteps([step], 320);
    const bar = [...line.slice(17, 57)];
    const length = bar.reduce((sum, c) => sum + " ▏▎▍▌▋▊▉█".indexOf(c), 0);
    assertEquals(length, eighths);
  }
});

Deno.test("drawSteps() draws something when a step took next to no time", () => {
  const [long, short, total] = drawSteps([
    { name: "connect", start: 0, milliseconds: 1000 },
    { name: "tls", start: 1000, milliseconds: 0.001 },
  ], 1000.001);
  assertEquals(long, `connect          ${"█".repeat(40)}    1000.0 ms`);
  // Within the width, although the step lies at its very end.
  assertEquals(short, `tls              ${" ".repeat(39)}▏       0.0 ms`);
  assertEquals(total, `total            ${" ".repeat(40)}    1000.0 ms`);
});
