/** listen, connect and serve, with clients that behave and clients that don't. */
import {
  assert,
  assertEquals,
  assertInstanceOf,
  assertRejects,
  assertStringIncludes,
  assertThrows,
} from "@std/assert";
import {
  connect,
  copy,
  type Handler,
  listen,
  serve,
  type ServeOptions,
  writeAll,
} from "../../lib/tcp.ts";
import { pause } from "../../lib/tcp/stream.ts";
import { hasOpenssl, makeCertificates } from "../support/certificates.ts";
import {
  bytes,
  closedPort,
  installed,
  readAll,
  text,
  within,
} from "../support/helpers.ts";
import { needs } from "../support/system.ts";

const LOOPBACK = { transport: "tcp" as const, hostname: "127.0.0.1", port: 0 };
const python = installed("python3", "--version");

const echo: Handler = async (conn) => {
  await copy(conn, conn);
};

/** A server on loopback, which ends when the test does. */
function serving(handler: Handler, options: ServeOptions = {}) {
  const listener = listen(LOOPBACK) as Deno.TcpListener;
  const stop = new AbortController();
  const errors: unknown[] = [];
  const served = serve(listener, handler, {
    signal: stop.signal,
    onError: (error) => errors.push(error),
    ...options,
  });
  return {
    port: listener.addr.port,
    stop,
    served,
    errors,
    async [Symbol.asyncDispose]() {
      stop.abort();
      await within(served);
    },
  };
}

/** Lets the steps of deadlines take a fiftieth of their time. */
function impatiently(): Disposable {
  const { timeout } = AbortSignal;
  AbortSignal.timeout = (milliseconds) => timeout(milliseconds / 50);
  return { [Symbol.dispose]: () => void (AbortSignal.timeout = timeout) };
}

/** Sends a text to an echo server and gives what comes back. */
async function ask(port: number, question: string): Promise<string> {
  using conn = await Deno.connect({ port });
  await writeAll(conn, bytes(question));
  await conn.closeWrite();
  return text(await within(readAll(conn)));
}

/** Connects and resets at once, as often as told, from another process. */
async function reset(port: number, times: number): Promise<void> {
  const program = `
import socket, struct
for _ in range(${times}):
    s = socket.create_connection(("127.0.0.1", ${port}))
    s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    s.close()
`;
  await new Deno.Command("python3", { args: ["-c", program] }).output();
}

Deno.test("listen() tells which port it got when it asked for any", () => {
  using listener = listen(LOOPBACK) as Deno.TcpListener;
  assert(listener.addr.port > 0);
});

Deno.test("listen() says what to do when the address is in use", () => {
  using listener = listen(LOOPBACK) as Deno.TcpListener;
  const { port } = listener.addr;
  const error = assertThrows(
    () => listen({ ...LOOPBACK, port }),
    Deno.errors.AddrInUse,
  );
  assertEquals(
    error.message,
    `Cannot listen on 127.0.0.1:${port}: another program uses it; stop that one, or take another address`,
  );
});

Deno.test("listen() says that low ports need more rights when the system refuses", () => {
  const { listen: real } = Deno;
  const refuse = () => {
    throw new Deno.errors.PermissionDenied("Permission denied (os error 13)");
  };
  Object.assign(Deno, { listen: refuse });
  try {
    assertThrows(
      () => listen({ ...LOOPBACK, port: 80 }),
      Deno.errors.PermissionDenied,
      "Cannot listen on 127.0.0.1:80: the system does not permit it; ports below 1024",
    );
  } finally {
    Object.assign(Deno, { listen: real });
  }
});

Deno.test("listen() refuses what has no connections or no certificate", () => {
  assertThrows(() => listen({ ...LOOPBACK, transport: "udp" }), TypeError);
  assertThrows(
    () => listen({ ...LOOPBACK, transport: "tls" }),
    Error,
    "No certificates found",
  );
});

Deno.test("listen() shares a port when it is told to", {
  ...needs("linux"),
}, () => {
  using first = listen(LOOPBACK, { reusePort: true }) as Deno.TcpListener;
  const { port } = first.addr;
  using second = listen({ ...LOOPBACK, port }, { reusePort: true });
  assertEquals((second as Deno.TcpListener).addr.port, port);
});

Deno.test("connect() says that nobody listens when nobody does", async () => {
  const port = closedPort();
  const error = await assertRejects(
    () => connect({ ...LOOPBACK, port }),
    Deno.errors.ConnectionRefused,
  );
  assertEquals(
    error.message,
    `Cannot connect to 127.0.0.1:${port}: nobody listens there (connection refused)`,
  );
});

Deno.test("connect() says that a name does not resolve when it doesn't", async () => {
  const address = { ...LOOPBACK, hostname: "name.invalid", port: 80 };
  const error = await assertRejects(() => connect(address), Error);
  assertEquals(
    error.message,
    "Cannot connect to name.invalid:80: the name does not resolve to an address",
  );
});

Deno.test("connect() refuses port 0 and datagrams", async () => {
  await assertRejects(() => connect(LOOPBACK), RangeError, "port 0");
  const udp = { ...LOOPBACK, transport: "udp" as const, port: 9 };
  await assertRejects(() => connect(udp), TypeError, "datagrams");
});

Deno.test("connect() gives up when it takes longer than its timeout", {
  ignore: !hasOpenssl,
}, async () => {
  // A peer that accepts and never shakes hands is the black hole that every
  // machine has.
  using listener = listen(LOOPBACK) as Deno.TcpListener;
  const address = { ...LOOPBACK, transport: "tls" as const };
  const { port } = listener.addr;
  const error = await assertRejects(
    () => within(connect({ ...address, port }, { timeout: 100 })),
    Deno.errors.TimedOut,
  );
  assertEquals(
    error.message,
    `Cannot connect to tls://127.0.0.1:${port}: no answer within 0.1s`,
  );
});

Deno.test("connect() rejects with the signal's reason when it is aborted", async () => {
  using listener = listen(LOOPBACK) as Deno.TcpListener;
  const abort = new AbortController();
  const address = { ...LOOPBACK, transport: "tls" as const };
  const connecting = connect({ ...address, port: listener.addr.port }, {
    signal: abort.signal,
  });
  using _conn = await listener.accept();
  abort.abort(new Error("changed my mind"));
  await assertRejects(() => within(connecting), Error, "changed my mind");
});

Deno.test("connect() tries again when it is told to, and says each time why", async () => {
  const address = { ...LOOPBACK, port: closedPort() };
  const told: Error[] = [];
  const start = performance.now();
  const error = await assertRejects(
    () => connect(address, { retries: 2, onRetry: (why) => told.push(why) }),
    Deno.errors.ConnectionRefused,
  );
  assert(performance.now() - start >= 250 + 500);
  assertEquals(told.length, 2);
  assertEquals(told[0].message, error.message);
});

Deno.test("connect() connects when somebody listens in the meantime", async () => {
  const address = { ...LOOPBACK, port: closedPort() };
  using cleanup = new DisposableStack();
  using _conn = await connect(address, {
    retries: 2,
    onRetry: () => void cleanup.use(listen(address)),
  });
});

Deno.test("connect() rejects with the signal's reason when it is aborted between attempts", async () => {
  const stop = new AbortController();
  const connecting = connect({ ...LOOPBACK, port: closedPort() }, {
    retries: 9,
    signal: stop.signal,
    onRetry: () => stop.abort(new Error("changed my mind")),
  });
  await assertRejects(() => within(connecting), Error, "changed my mind");
});

Deno.test(
  "connect() verifies the certificate",
  { ignore: !hasOpenssl },
  async (t) => {
    await using made = await makeCertificates();
    const caCerts = [made.ca.cert];
    const cases = [
      ["trusted", made.good, { caCerts }, undefined],
      ["for another name", made.wrongName, { caCerts }, "for another name"],
      ["for the name asked for", made.wrongName, {
        caCerts,
        serverName: "other.example",
      }, undefined],
      ["expired", made.expired, { caCerts }, "has expired"],
      ["signed by an unknown CA", made.good, {}, "nobody that is trusted here"],
      [
        "self-signed",
        made.selfSigned,
        { caCerts },
        "nobody that is trusted here",
      ],
    ] as const;
    for (const [name, { cert, key }, options, problem] of cases) {
      await t.step(name, async () => {
        const address = { ...LOOPBACK, transport: "tls" as const };
        using listener = listen(address, { cert, key }) as Deno.TcpListener;
        const stop = new AbortController();
        const served = serve(listener, echo, { signal: stop.signal });
        const { port } = listener.addr;
        try {
          const connecting = connect({ ...address, port }, options);
          if (problem === undefined) {
            using conn = await within(connecting);
            await writeAll(conn, bytes("hello"));
            await conn.closeWrite();
            assertEquals(text(await within(readAll(conn))), "hello");
          } else {
            const error = await assertRejects(
              () => within(connecting),
              Deno.errors.InvalidData,
            );
            assertStringIncludes(error.message, problem);
          }
        } finally {
          stop.abort();
          await within(served);
        }
      });
    }
  },
);

Deno.test("connect() says that the peer does not speak TLS when it doesn't", async () => {
  await using server = serving(async (conn) => {
    await conn.read(new Uint8Array(1024));
    await writeAll(conn, bytes("HTTP/1.0 400 Bad Request\r\n\r\n"));
  });
  const address = { ...LOOPBACK, transport: "tls" as const };
  await assertRejects(
    () => within(connect({ ...address, port: server.port })),
    Deno.errors.InvalidData,
    "the peer does not speak TLS",
  );
});

Deno.test("serve() hands each connection to the handler", async () => {
  await using server = serving(echo);
  const answers = ["a", "b", "c"].map((text) => ask(server.port, text));
  assertEquals(await Promise.all(answers), ["a", "b", "c"]);
});

Deno.test("serve() keeps serving when clients connect and reset at once", {
  ignore: !python,
}, async () => {
  await using server = serving(echo);
  await reset(server.port, 300);
  assertEquals(await ask(server.port, "still there?"), "still there?");
});

Deno.test("serve() keeps serving when a handler throws", async () => {
  let count = 0;
  await using server = serving((conn) => {
    if (++count === 1) throw new Error("at once");
    if (count === 2) return Promise.reject(new Error("later"));
    return echo(conn);
  });
  assertEquals(await ask(server.port, ""), "");
  assertEquals(await ask(server.port, ""), "");
  assertEquals(await ask(server.port, "third"), "third");
  const messages = server.errors.map((error) => (error as Error).message);
  assertEquals(messages, ["at once", "later"]);
});

Deno.test("serve() tells onEnd of a connection when its handler returns, not when it throws", async () => {
  let count = 0;
  const ended: Deno.Conn[] = [];
  const served: Deno.Conn[] = [];
  await using server = serving(async (conn) => {
    if (++count === 2) throw new Error("no");
    await echo(conn);
    served.push(conn);
  }, { onEnd: (conn) => ended.push(conn) });
  assertEquals(await ask(server.port, "first"), "first");
  assertEquals(await ask(server.port, ""), "");
  assertEquals(await ask(server.port, "third"), "third");
  server.stop.abort();
  await within(server.served);
  assertEquals(ended.length, 2);
  assert(ended.every((conn, i) => conn === served[i]));
  assertEquals(server.errors.length, 1);
});

Deno.test("serve() stops, cuts what is open, and rejects when onError throws", async () => {
  const listener = listen(LOOPBACK) as Deno.TcpListener;
  const { port } = listener.addr;
  const fault = new Error("enough");
  const served = serve(listener, async (conn) => {
    const first = await conn.read(new Uint8Array(1));
    if (first !== null) throw fault;
  }, {
    grace: 10,
    onError(error) {
      if (error === fault) throw error;
    },
  });
  const rejected = assertRejects(() => within(served), Error, "enough");
  using other = await Deno.connect({ port });
  using conn = await Deno.connect({ port });
  await writeAll(conn, bytes("x"));
  await rejected;
  assertEquals(await other.read(new Uint8Array(1)), null);
});

Deno.test("serve() waits and goes on when accepting fails", async () => {
  using real = listen(LOOPBACK) as Deno.TcpListener;
  const failures = [
    new Deno.errors.NotConnected("reset"),
    new Deno.errors.ConnectionReset("reset"),
    Object.assign(new Error("too many"), { code: "EMFILE" }),
  ];
  let accepts = 0;
  const listener = {
    addr: real.addr,
    accept() {
      accepts++;
      const failure = failures.shift();
      return failure ? Promise.reject(failure) : real.accept();
    },
    [Symbol.dispose]: () => real[Symbol.dispose](),
  } as unknown as Deno.Listener;
  const stop = new AbortController();
  const errors: unknown[] = [];
  const served = serve(listener, echo, {
    signal: stop.signal,
    onError: (error) => errors.push(error),
  });
  assertEquals(await ask(real.addr.port, "hello"), "hello");
  // A client that is gone is nobody's fault.
  assertEquals(errors.map((error) => (error as Error).message), ["too many"]);
  // Three failures, one connection, and the wait for the next: no spinning.
  assertEquals(accepts, 5);
  stop.abort();
  await within(served);
});

Deno.test("serve() lets more clients wait when it has all it may have", async () => {
  let most = 0;
  let open = 0;
  await using server = serving(async (conn) => {
    most = Math.max(most, ++open);
    await echo(conn);
    open--;
  }, { maxConnections: 2 });
  const answers = Array.from(
    { length: 20 },
    (_, i) => ask(server.port, `${i}`),
  );
  assertEquals((await Promise.all(answers)).length, 20);
  assertEquals(most, 2);
});

Deno.test("serve() closes a silent connection and no other when it is idle too long", async () => {
  await using server = serving(echo, { idleTimeout: 200 });
  using silent = await Deno.connect({ port: server.port });
  using busy = await Deno.connect({ port: server.port });
  const end = readAll(silent);
  let ended = false;
  end.then(() => ended = true);
  const buffer = new Uint8Array(16);
  while (!ended) {
    await writeAll(busy, bytes("x"));
    assertEquals(await busy.read(buffer), 1);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  assertEquals(text(await end), "");
  await writeAll(busy, bytes("alive"));
  assertEquals(await busy.read(buffer), 5);
  assertInstanceOf(server.errors[0], Deno.errors.TimedOut);
});

Deno.test("serve() stops accepting and finishes what is open when it is aborted", async () => {
  const server = serving(echo);
  using conn = await Deno.connect({ port: server.port });
  await writeAll(conn, bytes("before "));
  await conn.read(new Uint8Array(16));
  server.stop.abort();
  // Refused, or reset where it was just being accepted.
  await assertRejects(() => Deno.connect({ port: server.port }));
  await writeAll(conn, bytes("after"));
  await conn.closeWrite();
  assertEquals(text(await within(readAll(conn))), "after");
  await within(server.served);
});

Deno.test("serve() cuts what is open when the grace is over", async () => {
  const server = serving(echo, { grace: 50 });
  using conn = await Deno.connect({ port: server.port });
  await writeAll(conn, bytes("x"));
  await conn.read(new Uint8Array(16));
  server.stop.abort();
  await within(server.served);
  assertEquals(await conn.read(new Uint8Array(16)), null);
  assertStringIncludes(`${server.errors[0]}`, "the server stops");
});

Deno.test("serve() accepts nobody when it is aborted already", async () => {
  using listener = listen(LOOPBACK);
  await within(serve(listener, echo, { signal: AbortSignal.abort() }));
});

Deno.test("serve() ends after one conversation when it serves once", async () => {
  const server = serving(echo, { once: true });
  assertEquals(await ask(server.port, "only"), "only");
  await within(server.served);
});

Deno.test("serve() does not count a client that is not admitted when it serves once", async () => {
  const letIn = [false, false, true];
  const server = serving(echo, {
    once: true,
    admit: () => Promise.resolve(letIn.shift() ?? true),
  });
  for (const answer of ["", "", "third"]) {
    assertEquals(await ask(server.port, "third"), answer);
  }
  await within(server.served);
  assertEquals(server.errors, []);
});

Deno.test("serve() closes who is not admitted yet when it serves once and another is", async () => {
  const never = Promise.withResolvers<boolean>();
  const answers = [never.promise, Promise.resolve(true)];
  const server = serving(echo, {
    once: true,
    admit: () => answers.shift()!,
  });
  using late = await Deno.connect({ port: server.port });
  assertEquals(await ask(server.port, "sooner"), "sooner");
  assertEquals(await within(late.read(new Uint8Array(1))), null);
  never.resolve(true);
  await within(server.served);
});

Deno.test("serve() ends when its listener is closed by someone else", async () => {
  const listener = listen(LOOPBACK);
  const served = serve(listener, echo);
  listener.close();
  await within(served);
});

Deno.test(
  "serve() drops a client that does not shake hands and serves others",
  {
    ignore: !hasOpenssl,
  },
  async () => {
    await using made = await makeCertificates();
    const address = { ...LOOPBACK, transport: "tls" as const };
    const { cert, key } = made.good;
    const listener = listen(address, { cert, key }) as Deno.TcpListener;
    const { port } = listener.addr;
    const stop = new AbortController();
    const errors: string[] = [];
    const bothDropped = Promise.withResolvers<void>();
    // Ten seconds is how long it waits, and more than a test should.
    using _impatient = impatiently();
    const served = serve(listener, echo, {
      signal: stop.signal,
      onError(error) {
        if (errors.push(String(error)) === 2) bothDropped.resolve();
      },
    });
    const silent = await Deno.connect({ port });
    const plain = await Deno.connect({ port });
    await writeAll(plain, bytes("GET / HTTP/1.0\r\n\r\n"));
    const good = await connect({ ...address, port }, {
      caCerts: [made.ca.cert],
    });
    await writeAll(good, bytes("hello"));
    assertEquals(await good.read(new Uint8Array(16)), 5);
    await within(bothDropped.promise);
    for (const conn of [good, silent, plain]) conn.close();
    stop.abort();
    await within(served);
    assert(
      errors.some((error) => error.includes("TLS handshake")),
      `${errors}`,
    );
    assert(errors.some((error) => error.includes("corrupt")), `${errors}`);
  },
);

Deno.test("serve() leaves nothing behind when a connection fails at its k-th call", async (t) => {
  for (let k = 1; k <= 8; k++) {
    await t.step(`k = ${k}`, async () => {
      await using server = serving(async (conn) => {
        let calls = 0;
        const { read, write } = conn;
        const fails = <T>(call: () => Promise<T>) =>
          ++calls === k
            ? Promise.reject(new Deno.errors.ConnectionReset("k-th call"))
            : call();
        conn.read = (buffer) => fails(() => read.call(conn, buffer));
        conn.write = (chunk) => fails(() => write.call(conn, chunk));
        await echo(conn);
      });
      for (const question of ["one", "two"]) {
        using conn = await Deno.connect({ port: server.port });
        for (const part of [question, question, question]) {
          await conn.write(bytes(part)).catch(() => {});
        }
        await conn.closeWrite();
        await within(readAll(conn).catch(() => {}));
      }
      for (const error of server.errors) {
        assertInstanceOf(error, Deno.errors.ConnectionReset);
      }
    });
  }
});

Deno.test(
  "listen() says what stands in the way when a unix socket cannot be made",
  {
    ...needs("unixSockets"),
  },
  async () => {
    const directory = await Deno.makeTempDir();
    try {
      for (
        const [path, reason] of [
          [
            `${directory}/left`,
            "left behind by one that was killed; then remove it",
          ],
          [`${directory}/none/socket`, "there is no such folder"],
        ]
      ) {
        await Deno.writeTextFile(`${directory}/left`, "");
        assertThrows(
          () => listen({ transport: "unix", path }),
          Error,
          reason,
        );
      }
    } finally {
      await Deno.remove(directory, { recursive: true });
    }
  },
);

Deno.test("connect() says that it was the handshake when the peer closes in it", async () => {
  using listener = Deno.listen(LOOPBACK);
  const { port } = listener.addr;
  const closing = listener.accept().then(async (conn) => {
    // What is unread when a connection is closed resets it.
    await conn.read(new Uint8Array(65_536));
    conn.close();
  });
  await assertRejects(
    () => connect({ transport: "tls", hostname: "127.0.0.1", port }),
    Error,
    "the peer closed in the middle of the TLS handshake",
  );
  await closing;
});

Deno.test("serve() and connect() wait for ever when their limits are infinite", async () => {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const errors: unknown[] = [];
  const served = serve(listener, (conn) => copy(conn, conn), {
    once: true,
    idleTimeout: Infinity,
    onError: (error) => errors.push(error),
  });
  using conn = await connect(listener.addr as Deno.NetAddr, {
    timeout: Infinity,
  });
  await pause(20);
  await conn.write(bytes("still there"));
  assertEquals(await conn.read(new Uint8Array(99)), 11);
  conn.close();
  await served;
  assertEquals(errors, []);
});
