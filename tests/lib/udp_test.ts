/** UDP sockets over the loopback: what is sent, and what is heard. */
import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { type Datagram, parseUdpAddress, UdpSocket } from "../../lib/udp.ts";
import type { NetAddress } from "../../lib/address.ts";
import { joinGroup, parseGroup } from "../../lib/udp/group.ts";
import { bytes, text, within } from "../support/helpers.ts";
import { needs } from "../support/system.ts";

const LOOPBACK: NetAddress = parseUdpAddress("127.0.0.1:0");

/** One datagram, its payload copied. */
function one(socket: UdpSocket, timeout?: number): Promise<Datagram> {
  const next = async () => {
    for await (const datagram of socket.receive(timeout)) {
      return { ...datagram, payload: datagram.payload.slice() };
    }
    throw new Error("The socket was closed");
  };
  return within(next());
}

function pair(hostname = "127.0.0.1"): [UdpSocket, UdpSocket] {
  const address = { ...LOOPBACK, hostname };
  return [new UdpSocket(address), new UdpSocket(address)];
}

const FORMS: [string, string, string][] = [
  ["127.0.0.1:80", "127.0.0.1", "80"],
  ["udp://[::1]:80", "::1", "80"],
  [":80", "127.0.0.1", "80"],
];
for (const [form, hostname, port] of FORMS) {
  Deno.test("UdpSocket says that low ports need more rights when the system refuses", () => {
    const { listenDatagram: real } = Deno;
    const refuse = () => {
      throw new Deno.errors.PermissionDenied("Permission denied (os error 13)");
    };
    Object.assign(Deno, { listenDatagram: refuse });
    try {
      assertThrows(
        () => new UdpSocket(parseUdpAddress("127.0.0.1:53")),
        Deno.errors.PermissionDenied,
        "the system does not permit it; ports below 1024",
      );
    } finally {
      Object.assign(Deno, { listenDatagram: real });
    }
  });

  Deno.test(`parseUdpAddress() reads ${form}`, () => {
    const expected = { transport: "udp" as const, hostname, port: +port };
    assertEquals(parseUdpAddress(form), expected);
  });
}

for (const form of ["tcp://127.0.0.1:80", "tls://a:1", "unix:/tmp/a", "a"]) {
  Deno.test(`parseUdpAddress() refuses ${form}`, () => {
    assertThrows(() => parseUdpAddress(form), SyntaxError, `"${form}"`);
  });
}

for (const length of [0, 1, 1024, 65_507]) {
  Deno.test(`UdpSocket carries ${length} bytes over IPv4 as one datagram`, async () => {
    const [a, b] = pair();
    using _a = a, _b = b;
    const sent = new Uint8Array(length).map((_, i) => i * 7);
    await a.send(sent, b.address);
    const { payload, peer } = await one(b);
    assertEquals(payload, sent);
    assertEquals({ ...peer }, { ...a.address });
  });
}

Deno.test("UdpSocket carries 65527 bytes over IPv6 as one datagram", async () => {
  const [a, b] = pair("::1");
  using _a = a, _b = b;
  await a.send(new Uint8Array(65_527).fill(7), b.address);
  const { payload } = await one(b);
  assertEquals(payload.length, 65_527);
});

for (
  const [hostname, limit] of [["127.0.0.1", 65_507], ["::1", 65_527]] as const
) {
  Deno.test(`send() refuses one byte more than ${limit}`, async () => {
    using socket = new UdpSocket({ ...LOOPBACK, hostname });
    await assertRejects(
      () => socket.send(new Uint8Array(limit + 1), socket.address),
      Error,
      "Cannot send to",
    );
  });
}

Deno.test("receive() keeps boundaries, and empty datagrams", async () => {
  const [a, b] = pair();
  using _a = a, _b = b;
  for (const message of ["one", "", "three"]) {
    await a.send(bytes(message), b.address);
  }
  const heard: string[] = [];
  for await (const { payload } of b.receive()) {
    if (heard.push(text(payload)) === 3) break;
  }
  assertEquals(heard, ["one", "", "three"]);
});

Deno.test("receive() hears every peer", async () => {
  using receiver = new UdpSocket(LOOPBACK);
  const peers = [1, 2, 3].map(() => new UdpSocket(LOOPBACK));
  for (const peer of peers) await peer.send(bytes("hi"), receiver.address);
  const ports: number[] = [];
  for await (const { peer } of receiver.receive()) {
    if (ports.push(peer.port) === 3) break;
  }
  assertEquals(ports, peers.map((peer) => peer.address.port));
  for (const peer of peers) peer[Symbol.dispose]();
});

Deno.test("receive() reads every datagram into the same memory", async () => {
  const [a, b] = pair();
  using _a = a, _b = b;
  const buffers = new Set<ArrayBufferLike>();
  let count = 0;
  await a.send(bytes("0"), b.address);
  for await (const { payload } of b.receive()) {
    buffers.add(payload.buffer);
    if (++count === 100) break;
    await a.send(bytes(`${count}`), b.address);
  }
  assertEquals(buffers.size, 1);
});

Deno.test("receive() ends when the socket is closed", async () => {
  using socket = new UdpSocket(LOOPBACK);
  const ended = Array.fromAsync(socket.receive());
  socket[Symbol.dispose]();
  assertEquals(await within(ended), []);
  // And at once when it already was.
  assertEquals(await within(Array.fromAsync(socket.receive())), []);
});

Deno.test("receive() leaves the socket open after a break", async () => {
  const [a, b] = pair();
  using _a = a, _b = b;
  for (const message of ["first", "second"]) {
    await a.send(bytes(message), b.address);
    assertEquals(text((await one(b)).payload), message);
  }
});

Deno.test("receive() ends when nothing came in time", async () => {
  using socket = new UdpSocket(LOOPBACK);
  const before = performance.now();
  const ended = Array.fromAsync(socket.receive(50));
  assertEquals(await within(ended), []);
  assert(performance.now() - before > 45);
});

Deno.test("receive() does not count the time that its reader takes", async () => {
  const [a, b] = pair();
  using _a = a, _b = b;
  await a.send(bytes("one"), b.address);
  await a.send(bytes("two"), b.address);
  const heard: string[] = [];
  const slowly = async () => {
    for await (const { payload } of b.receive(300)) {
      heard.push(text(payload));
      // Longer than the timeout: a reader may be slow, the peers were not.
      await new Promise((resolve) => setTimeout(resolve, 450));
    }
  };
  await within(slowly());
  assertEquals(heard, ["one", "two"]);
});

Deno.test("receive() waits anew after each datagram", async () => {
  const [a, b] = pair();
  using _a = a, _b = b;
  let count = 0;
  const timer = setInterval(async () => {
    if (count < 5) await a.send(bytes("x"), b.address);
  }, 200);
  for await (const _ of b.receive(600)) count++;
  clearInterval(timer);
  assertEquals(count, 5);
});

for (
  const error of [
    new Deno.errors.ConnectionReset("os error 10054"),
    new Error("The time to live expired (os error 10052)"),
  ]
) {
  Deno.test(`receive() survives what a datagram of ours has met: ${error.message}`, async () => {
    const [a, b] = pair();
    using _a = a, _b = b;
    const conn = failing(error);
    const listen = Deno.listenDatagram;
    try {
      Deno.listenDatagram = (() => conn(listen(LOOPBACK as never))) as never;
      using receiver = new UdpSocket(LOOPBACK);
      await a.send(bytes("still there"), receiver.address);
      assertEquals(text((await one(receiver)).payload), "still there");
    } finally {
      Deno.listenDatagram = listen;
    }
  });
}

/** Makes a socket fail once, as Windows does. */
function failing(error: Error) {
  return (conn: Deno.DatagramConn) => {
    const receive = conn.receive.bind(conn);
    let failed = false;
    return Object.assign(conn, {
      receive: (buffer?: Uint8Array) => {
        if (failed) return receive(buffer);
        failed = true;
        return Promise.reject(error);
      },
    });
  };
}

Deno.test("UdpSocket names the flag where Deno has no UDP", () => {
  const listen = Deno.listenDatagram;
  try {
    Deno.listenDatagram = undefined as never;
    assertThrows(() => new UdpSocket(LOOPBACK), Error, "--unstable-net");
  } finally {
    Deno.listenDatagram = listen;
  }
});

Deno.test("UdpSocket says that the port is taken", () => {
  using socket = new UdpSocket(LOOPBACK);
  const { port } = socket.address;
  assertThrows(
    () => new UdpSocket({ ...LOOPBACK, port }),
    Deno.errors.AddrInUse,
    `Cannot listen on udp://127.0.0.1:${port}: another program uses it`,
  );
});

Deno.test({
  name: "UdpSocket names the permission that it needs",
  permissions: { net: ["127.0.0.1:0"] },
  async fn() {
    using socket = new UdpSocket(LOOPBACK);
    await assertRejects(
      () => socket.send(bytes("x"), { ...LOOPBACK, port: 9 }),
      Deno.errors.NotCapable,
      "Cannot send to udp://127.0.0.1:9: Deno was not allowed to; it needs --allow-net=127.0.0.1:0,127.0.0.1:9",
    );
  },
});

Deno.test("UdpSocket says that the zone is missing", needs("linux"), () => {
  assertThrows(
    () => new UdpSocket({ ...LOOPBACK, hostname: "fe80::1" }),
    Error,
    "Cannot listen on udp://[fe80::1]:0: its zone is missing: an interface, as in %eth0",
  );
});

Deno.test("send() says how to bind where the version of IP differs", async () => {
  using socket = new UdpSocket(LOOPBACK);
  await assertRejects(
    () => socket.send(bytes("x"), { ...LOOPBACK, hostname: "::1", port: 9 }),
    Error,
    "bind it to [::]:0",
  );
});

Deno.test("send() to where nobody listens is no error", async () => {
  const [a, b] = pair();
  using _a = a;
  b[Symbol.dispose]();
  for (let i = 0; i < 3; i++) await a.send(bytes("anybody?"), b.address);
  await assertRejects(() => one(a, 50), Error, "was closed");
});

Deno.test(
  "send() reaches the broadcast address of the loopback",
  needs("loopbackGroups"),
  async () => {
    using receiver = new UdpSocket({ ...LOOPBACK, hostname: "0.0.0.0" });
    using sender = new UdpSocket(LOOPBACK);
    const { port } = receiver.address;
    await sender.send(bytes("all"), {
      ...LOOPBACK,
      hostname: "127.255.255.255",
      port,
    });
    assertEquals(text((await one(receiver)).payload), "all");
  },
);

/** A group that no other test, or run of it, has joined. */
function anyGroup(): string {
  const part = () => 1 + Math.floor(Math.random() * 254);
  return `239.${part()}.${part()}.${part()}`;
}

Deno.test(
  "joinGroup() lets two sockets of one machine hear a group",
  needs("loopbackGroups"),
  async () => {
    const hostname = anyGroup();
    const group = parseGroup(`${hostname}@127.0.0.1`);
    const any = { ...LOOPBACK, hostname: "0.0.0.0" };
    using first = new UdpSocket(any, { shared: true });
    const { port } = first.address;
    using second = new UdpSocket({ ...any, port }, { shared: true });
    await Promise.all([
      joinGroup(first.conn, group),
      joinGroup(second.conn, group),
    ]);
    using sender = new UdpSocket(LOOPBACK);
    await sender.send(bytes("to all"), { ...LOOPBACK, hostname, port });
    assertEquals(text((await one(first)).payload), "to all");
    assertEquals(text((await one(second)).payload), "to all");
  },
);

Deno.test("joinGroup() says that there is no such interface", async () => {
  using socket = new UdpSocket({ ...LOOPBACK, hostname: "0.0.0.0" });
  await assertRejects(
    () => joinGroup(socket.conn, parseGroup("239.1.2.3@203.0.113.9")),
    Error,
    "Cannot join 239.1.2.3 on 203.0.113.9: no interface has that address",
  );
});

Deno.test(
  "joinGroup() says that it has joined already",
  needs("loopbackGroups"),
  async () => {
    using socket = new UdpSocket({ ...LOOPBACK, hostname: "0.0.0.0" });
    const group = parseGroup(`${anyGroup()}@127.0.0.1`);
    await joinGroup(socket.conn, group);
    await assertRejects(
      () => joinGroup(socket.conn, group),
      Error,
      "it has been joined there already",
    );
  },
);

Deno.test(
  "joinGroup() says that the versions of IP differ",
  needs("linux"),
  async () => {
    using socket = new UdpSocket({ ...LOOPBACK, hostname: "0.0.0.0" });
    await assertRejects(
      () => joinGroup(socket.conn, parseGroup("ff02::1234@1")),
      Error,
      "the other version of IP",
    );
  },
);
