/** Sockets that tell what they do, in this process. */
import { assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { explain } from "../../lib/explain.ts";
import { diagramOf, preview, textOf } from "../../lib/narration.ts";
import { connect, listen, writeAll } from "../../lib/tcp.ts";
import { hasOpenssl, makeCertificates } from "../support/certificates.ts";
import { bytes, readAll, text, within } from "../support/helpers.ts";

const LOOPBACK = { transport: "tcp" as const, hostname: "127.0.0.1", port: 0 };

/** The names of the steps in what was told. */
function stepsIn(told: string): string[] {
  return [...told.matchAll(/^ +[\d.]+ ms {2}(\S+)/gm)].map(([, name]) => name);
}

Deno.test("explain() tells each step in order when sockets are used", async () => {
  let told = "";
  {
    using _explaining = explain("test", "text", (line) => told += line);
    using listener = listen(LOOPBACK) as Deno.TcpListener;
    const { port } = listener.addr;
    using client = await connect({ ...LOOPBACK, port });
    using conn = await listener.accept();
    await writeAll(client, bytes("hello\r\n"));
    await client.closeWrite();
    assertEquals(text(await readAll(conn)), "hello\r\n");
  }
  assertEquals(stepsIn(told), [
    ...["create", "bind", "listen", "create", "connect", "accept"],
    ...["send", "half-close", "receive", "receive", "close", "close", "close"],
  ]);
  assertStringIncludes(told, "7 bytes to 127.0.0.1:");
  assertStringIncludes(told, '"hello\\r\\n"');
  assertMatch(told, /C: bind\(fd, 127\.0\.0\.1:\d+\)/);
  assertMatch(told, /Python: s\.bind\(\("127\.0\.0\.1", \d+\)\)/);
  assertStringIncludes(told, "C: shutdown(fd, SHUT_WR)");
});

Deno.test("explain() leaves Deno as it was when it is disposed", () => {
  const before = [Deno.connect, Deno.listen, Deno.listenDatagram];
  explain("test", "text", () => {})[Symbol.dispose]();
  assertEquals([Deno.connect, Deno.listen, Deno.listenDatagram], before);
});

Deno.test("explain() tells why connecting failed when it did", async () => {
  let told = "";
  using _explaining = explain("test", "text", (line) => told += line);
  await connect({ ...LOOPBACK, port: 1 }).catch(() => {});
  assertStringIncludes(told, "to 127.0.0.1:1 fails: nobody listens there");
});

Deno.test("explain() tells of the TLS handshake when there is one", {
  ignore: !hasOpenssl,
}, async () => {
  await using made = await makeCertificates();
  const { cert, key } = made.good;
  const address = { ...LOOPBACK, transport: "tls" as const };
  let told = "";
  {
    using _explaining = explain("test", "text", (line) => told += line);
    using listener = listen(address, { cert, key }) as Deno.TlsListener;
    const { port } = listener.addr;
    const caCerts = [made.ca.cert];
    const connecting = connect({ ...address, port }, { caCerts });
    using peer = await listener.accept();
    const answering = peer.read(new Uint8Array(8));
    using client = await within(connecting);
    await writeAll(client, bytes("secret"));
    await answering;
  }
  assertStringIncludes(told, "SSL_connect(ssl)");
  assertStringIncludes(told, "6 bytes from 127.0.0.1:");
});

Deno.test("explain() draws who said what when the format is mermaid", async () => {
  let drawn = "";
  {
    using _explaining = explain("me", "mermaid", (text) => drawn += text);
    using listener = listen(LOOPBACK) as Deno.TcpListener;
    const { port } = listener.addr;
    using client = await connect({ ...LOOPBACK, port });
    using conn = await listener.accept();
    await writeAll(conn, bytes("a;b"));
    await client.read(new Uint8Array(8));
    assertEquals(drawn, "");
  }
  const lines = drawn.split("\n").map((line) => line.trim());
  assertEquals(lines.slice(0, 2), [
    "sequenceDiagram",
    "participant self as me",
  ]);
  assertMatch(drawn, /peer\d->>self: receive: 3 bytes from .*: "a#59;b"/);
  // Every line has a form that Mermaid knows.
  for (const line of lines.slice(1, -1)) {
    assertMatch(
      line,
      /^(participant \w+ as |Note over self: |\w+->>\w+: )[^;]*(#\d+;[^;]*)*$/,
    );
  }
});

Deno.test("diagramOf() says how much it leaves out when there is too much", () => {
  const step = { name: "send", what: "x", c: "c", python: "python" };
  const drawn = diagramOf("me", Array(600).fill(step));
  assertEquals(drawn.split("\n").length, 504);
  assertStringIncludes(drawn, "and 100 steps more");
});

Deno.test("preview() and textOf() obey no control character", () => {
  const shown = preview(bytes("\x1b[2J\u202e"), 7);
  assertEquals(shown, '"\\x1b[2J\\u202e"');
  const calls = { c: "send()", python: "s.send()" };
  assertMatch(
    textOf({ name: "send", what: "5 bytes", ...calls }),
    /^ +[\d.]+ ms {2}send {7}5 bytes\n {13}C: send\(\) {3}Python: s\.send\(\)\n$/,
  );
});
