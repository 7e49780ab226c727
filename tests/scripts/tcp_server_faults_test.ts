/** tcp_server.ts as a whole process: what clients and peers cannot do to it, and what is left when it ends. */
import {
  assert,
  assertEquals,
  assertRejects,
  assertStringIncludes,
} from "@std/assert";
import { bytes, concatenate, frame } from "../support/bytes.ts";
import {
  hasOpenssl,
  makeCertificates,
  startWithTls,
} from "../support/certificates.ts";
import { Folder } from "../support/folder.ts";
import { installed, run, Running, start } from "../support/helpers.ts";
import { text, within } from "../support/helpers.ts";
import { has, needs } from "../support/system.ts";
import { readToEnd, readUntil, writeAll } from "../support/sockets.ts";

const ANY_PORT = "127.0.0.1:0";
const notWindows = needs("unixSockets", "signals");

/** Starts a server at a file of its own folder. */
async function atFile(path: string, ...args: string[]): Promise<Running> {
  const permissions = [
    `--allow-net=unix:${path}`,
    `--allow-read=${path}`,
    `--allow-write=${path}`,
  ];
  const server = start("tcp_server.ts", [`unix:${path}`, ...args], {
    permissions,
  });
  await server.stderr("Listening on");
  return server;
}

for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
  Deno.test(
    `tcp_server.ts takes the file of its unix socket away on ${signal}`,
    notWindows,
    async () => {
      using folder = new Folder();
      const path = `${folder.path}/socket`;
      await using server = await atFile(path);
      using conn = await Deno.connect({ transport: "unix", path });
      await server.stderr("connected");
      server.process.kill(signal);
      await server.stderr("Stopping");
      // While the open connection has its grace, another server may begin.
      await using next = await atFile(path);
      conn.close();
      assertEquals((await server.ended()).code, 0);
      using other = await Deno.connect({ transport: "unix", path });
      await other.closeWrite();
      assertEquals((await within(readToEnd(other))).length, 0);
      next.process.kill(signal);
      assertEquals((await next.ended()).code, 0);
      await assertRejects(() => Deno.lstat(path), Deno.errors.NotFound);
    },
  );
}

Deno.test(
  "tcp_server.ts leaves the file of another's unix socket when it stops",
  notWindows,
  async () => {
    using folder = new Folder();
    const path = `${folder.path}/socket`;
    await using server = await atFile(path);
    await Deno.remove(path);
    await using other = await atFile(path);
    const before = performance.now();
    server.process.kill("SIGTERM");
    assertEquals((await server.ended()).code, 0);
    assert(performance.now() - before < 3000, "it waited for its grace");
    using conn = await Deno.connect({ transport: "unix", path });
    await conn.closeWrite();
    assertEquals((await within(readToEnd(conn))).length, 0);
    await other.stderr("closed");
  },
);

Deno.test(
  "tcp_server.ts --once ends when the file of its unix socket is another's by then",
  notWindows,
  async () => {
    using folder = new Folder();
    const path = `${folder.path}/socket`;
    await using server = await atFile(path, "--once");
    await Deno.rename(path, `${path}.old`);
    await using other = await atFile(path);
    using conn = await Deno.connect({
      transport: "unix",
      path: `${path}.old`,
    });
    await conn.closeWrite();
    assertEquals((await within(readToEnd(conn))).length, 0);
    assertEquals((await server.ended()).code, 0);
    using next = await Deno.connect({ transport: "unix", path });
    await next.closeWrite();
    assertEquals((await within(readToEnd(next))).length, 0);
    await other.stderr("closed");
  },
);

Deno.test(
  "tcp_server.ts serves on at once when a unix client's own path is not UTF-8",
  {
    ...needs("linux"),
    ignore: !has("linux") || !installed("python3", "--version"),
  },
  async () => {
    using folder = new Folder();
    const path = `${folder.path}/socket`;
    await using server = await atFile(path);
    const odd = `import os, socket, sys
folder = os.fsencode(sys.argv[1])
for i in range(40):
    s = socket.socket(socket.AF_UNIX)
    s.bind(folder + b"/\\xff%d" % i)
    s.connect(folder + b"/socket")
s = socket.socket(socket.AF_UNIX)
s.connect(folder + b"/socket")
s.sendall(b"hello")
print(s.recv(5).decode())`;
    const args = ["-c", odd, folder.path];
    await using clients = new Running("python3", args);
    const before = performance.now();
    assertEquals((await clients.ended()).stdout, "hello\n");
    // It would take a second for each, and the deadline of a test for all.
    assert(performance.now() - before < 20_000);
    await server.stderr("is not valid UTF-8");
  },
);

/** What is no frame, or one too long. */
const BAD_FRAMES: Record<string, Uint8Array> = {
  lines: bytes(`${"x".repeat(70_000)}\n`),
  u32: Uint8Array.of(0xff, 0xff, 0xff, 0xff),
  varint: Uint8Array.of(0xff, 0xff, 0xff, 0xff, 0xff, 0x7f),
  netstring: bytes("no length"),
};

/** Says good messages, a bad one and much more, before it reads anything. */
async function misbehave(conn: Deno.Conn, framing: string) {
  const good = ["one", "", "three"].map((word) => frame(framing, bytes(word)));
  await writeAll(
    conn,
    concatenate([...good, BAD_FRAMES[framing], new Uint8Array(500_000)]),
  );
  return concatenate(good);
}

for (const framing of Object.keys(BAD_FRAMES)) {
  Deno.test(`tcp_server.ts -f ${framing} answers the good messages before a bad one`, async () => {
    await using server = start("tcp_server.ts", [ANY_PORT, "-f", framing]);
    const port = await server.port();
    for (let i = 0; i < 5; i++) {
      using conn = await Deno.connect({ port });
      const good = await misbehave(conn, framing);
      assertEquals(await within(readToEnd(conn)), good);
    }
    await server.stderr("dropped: The frame is");
  });
}

Deno.test("tcp_server.ts answers the good messages before a bad one over TLS", {
  ignore: !hasOpenssl,
}, async () => {
  await using made = await makeCertificates();
  await using server = startWithTls(made.good, "-f", "u32");
  const place = { hostname: "127.0.0.1", port: await server.port() };
  for (let i = 0; i < 5; i++) {
    using conn = await Deno.connectTls({ ...place, caCerts: [made.ca.cert] });
    const good = await misbehave(conn, "u32");
    assertEquals(await within(readToEnd(conn)), good);
  }
});

Deno.test("tcp_server.ts -m room passes on the good messages before a bad one", async () => {
  await using server = start("tcp_server.ts", [ANY_PORT, "-m", "room"]);
  const port = await server.port();
  using ann = await Deno.connect({ port });
  await readUntil(ann, "1 here\n");
  using bob = await Deno.connect({ port });
  await misbehave(bob, "lines");
  assertEquals(text(await within(readToEnd(bob))), "* you are user2, 2 here\n");
  const heard = "* user2 joined\n<user2> one\n<user2> \n<user2> three\n";
  assertStringIncludes(await readUntil(ann, "user2 left\n"), heard);
});

Deno.test(
  "tcp_server.ts gives a TLS client its place only when it has shaken hands",
  {
    ignore: !hasOpenssl,
  },
  async () => {
    await using made = await makeCertificates();
    await using server = startWithTls(made.good, "--max-connections", "1");
    const port = await server.port();
    const silent: Deno.Conn[] = [];
    for (let i = 0; i < 20; i++) silent.push(await Deno.connect({ port }));
    const tls = { hostname: "127.0.0.1", port, caCerts: [made.ca.cert] };
    using first = await Deno.connectTls(tls);
    const before = performance.now();
    await writeAll(first, "hello");
    assertEquals(await within(readUntil(first, "hello")), "hello");
    assert(performance.now() - before < 8000, "it waited for the silent ones");
    // The place is taken now.
    using second = await Deno.connectTls(tls);
    await writeAll(second, "me too");
    const answer = readUntil(second, "me too");
    await server.stderr("connected");
    await first.closeWrite();
    await within(readToEnd(first));
    assertEquals(await within(answer), "me too");
    for (const conn of silent) conn.close();
  },
);

for (
  const [args, reason] of [
    [["-f", "raw"], "--mode room takes no raw, in which names could be forged"],
    [["-f", "fixed:64"], "--mode room takes no fixed:64"],
    [["--max-frame", "63"], "--mode room needs messages of 64 bytes or more"],
    [["-f", "u16", "--max-frame", "1"], "--mode room needs messages of 64"],
  ] as const
) {
  Deno.test(`tcp_server.ts -m room refuses ${args.join(" ")}`, async () => {
    const command = [ANY_PORT, "-m", "room", ...args];
    const { code, stderr } = await run("tcp_server.ts", command);
    assertEquals(code, 2);
    assertStringIncludes(stderr, reason);
  });
}

for (
  const [args, reason] of [
    [
      ["-f", "u8", "--greeting", "x".repeat(256)],
      "the greeting has 256 bytes, a message in u8 at most 255",
    ],
    [
      ["-f", "lines", "--max-frame", "9"],
      "the greeting has 24 bytes, a message in lines at most 9",
    ],
  ] as const
) {
  Deno.test(`tcp_server.ts -m greet refuses what is too long for ${args.slice(0, 2).join(" ")}`, async () => {
    const command = [ANY_PORT, "-m", "greet", ...args];
    const { code, stderr } = await run("tcp_server.ts", command);
    assertEquals(code, 2);
    assertStringIncludes(stderr, reason);
  });
}
