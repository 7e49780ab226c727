/** Sockets of any program that tell what they do. */
import {
  assert,
  assertEquals,
  assertMatch,
  assertStringIncludes,
} from "@std/assert";
import { hasOpenssl, makeCertificates } from "../support/certificates.ts";
import { type Ended, installed, Running } from "../support/helpers.ts";
import { has, needs } from "../support/system.ts";

const EXPLAIN = new URL("../../lib/explain.ts", import.meta.url).href;

/** The names of the steps in what was told. */
function stepsIn(told: string): string[] {
  return [...told.matchAll(/^ +(?:[\d.]+ ms)? {2}([a-z]\S+)/gm)].map((
    [, name],
  ) => name);
}

/** Runs a command on a program that was written to a file. */
async function runProgram(
  program: string,
  command: (file: string) => string[],
): Promise<Ended> {
  const file = await Deno.makeTempFile({ suffix: ".ts" });
  try {
    await Deno.writeTextFile(file, program);
    const [name, ...args] = command(file);
    await using running = new Running(name, args);
    return await running.ended();
  } finally {
    await Deno.remove(file);
  }
}

const NET = ["--no-prompt", "--quiet", "--unstable-net", "--allow-net"];

function denoRun(file: string, ...flags: string[]): string[] {
  return [Deno.execPath(), "run", ...NET, ...flags, file];
}

/** Runs a program twice: explained it must do the same. Gives what is told. */
async function explained(
  program: string,
  ...flags: string[]
): Promise<string> {
  const plain = await runProgram(program, (file) => denoRun(file, ...flags));
  const { code, stdout, stderr } = await runProgram(
    program,
    (file) => denoRun(file, ...flags, "--preload", EXPLAIN),
  );
  assertEquals([code, stdout], [plain.code, plain.stdout], stderr);
  return stderr;
}

/** A socket's steps, of one listener, one client, one connection in turn. */
const CONVERSATION = `
const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
const { port } = listener.addr;
const client = await Deno.connect({ hostname: "127.0.0.1", port });
const conn = await listener.accept();
client.setNoDelay();
await client.write(new TextEncoder().encode("hello\\r\\n"));
await client.closeWrite();
const buffer = new Uint8Array(1024);
console.log(await conn.read(buffer), await conn.read(buffer));
client.close();
conn[Symbol.dispose]();
conn[Symbol.dispose]();
listener.close();
`;

Deno.test("explain tells each step in order when a program uses sockets", async () => {
  const told = await explained(CONVERSATION);
  const steps = stepsIn(told);
  const [connect, accept] = [steps.indexOf("connect"), steps.indexOf("accept")];
  // Either end may be told first.
  assertEquals([connect, accept].toSorted(), [5, 6]);
  assertEquals(steps.toSpliced(5, 2), [
    ...["create", "option", "bind", "listen", "create", "option"],
    ...["send", "half-close", "receive", "receive", "close", "close", "close"],
  ]);
  for (
    const words of [
      /C: bind\(fd, 127\.0\.0\.1:\d+\)\n {13}Python: s\.bind\(\("127\.0\.0\.1", \d+\)\)/,
      /C: setsockopt\(fd, SOL_SOCKET, SO_REUSEADDR, 1\)/,
      /setsockopt\(fd, IPPROTO_TCP, TCP_NODELAY, 1\)/,
      /7 bytes to 127\.0\.0\.1:\d+: "hello\\r\\n"/,
      /C: recv\(fd, buffer, 1024, 0\) = 7\n/,
      /C: recv\(fd, buffer, 1024, 0\) = 0\n/,
      /C: shutdown\(fd, SHUT_WR\)/,
    ]
  ) assertMatch(told, words);
});

Deno.test("explain tells what streams do when a program uses them, and reads no earlier", async () => {
  const told = await explained(`
const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
async function serve(conn) {
  // The answer comes after the end of the question: an early read loses it.
  for await (const chunk of conn.readable.values({ preventCancel: true })) {
    await new Promise((resolve) => setTimeout(resolve, 50));
    await conn.write(chunk);
  }
}
async function accept() {
  for await (const conn of listener) serve(conn);
  console.log("no more");
}
const accepting = accept();
const conn = await Deno.connect({ port: listener.addr.port });
const writer = conn.writable.getWriter();
await writer.write(new TextEncoder().encode("question"));
await conn.closeWrite();
const reader = conn.readable.getReader({ mode: "byob" });
const { value } = await reader.read(new Uint8Array(3), { min: 3 });
reader.releaseLock();
const rest = new Uint8Array(100);
console.log(new TextDecoder().decode(value), await conn.read(rest));
await conn.readable.cancel();
listener.close();
await accepting;
`);
  assertMatch(told, /receive {4}8 bytes from [\d.:]+: "question"/);
  assertMatch(told, /receive {4}3 bytes from [\d.:]+: "que"/);
  assertMatch(told, /receive {4}5 bytes from [\d.:]+: "stion"/);
  assertEquals(stepsIn(told).filter((name) => name === "close").length, 3);
});

Deno.test("explain tells an error in its own words when a call fails, and throws the same", async () => {
  const told = await explained(`
const errors = [
  () => Deno.connect({ hostname: "127.0.0.1", port: 1 }),
  () => Deno.listen({ hostname: "192.0.2.1", port: 1 }),
  () => Deno.connect(undefined),
  () => Deno.listen(undefined),
  async () => {
    using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
    using client = await Deno.connect({ port: listener.addr.port });
    const conn = await listener.accept();
    conn.close();
    conn.close();
  },
  async () => {
    using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
    setTimeout(() => listener.close(), 10);
    await listener.accept();
  },
];
for (const attempt of errors) {
  try {
    await attempt();
  } catch (error) {
    console.log(error.constructor.name, error.message, error.code);
  }
}
`);
  assertStringIncludes(
    told,
    "connect    to 127.0.0.1:1 fails: ConnectionRefused: Connection refused",
  );
  assertStringIncludes(told, "C: connect(fd, 127.0.0.1:1) = -1 ECONNREFUSED");
  assertMatch(told, /bind {7}192\.0\.2\.1:1 fails: AddrNotAvailable: /);
  // What waits for a socket when it is closed has not failed.
  assert(!told.includes("accept     fails"), told);
});

Deno.test("explain tells of datagrams when a program sends and receives them", async () => {
  const told = await explained(`
const bind = () => Deno.listenDatagram({
  transport: "udp", hostname: "127.0.0.1", port: 0,
});
const [one, other] = [bind(), bind()];
await one.send(new TextEncoder().encode("ping"), other.addr);
for await (const [datagram, from] of other) {
  console.log(datagram.length);
  await other.send(new Uint8Array(0), from);
  break;
}
console.log((await one.receive())[0].length);
one.close();
other.close();
`);
  assertEquals(stepsIn(told), [
    ...["create", "bind", "create", "bind", "send", "receive", "send"],
    ...["receive", "close", "close"],
  ]);
  assertMatch(told, /4 bytes to 127\.0\.0\.1:\d+: "ping"/);
  assertMatch(told, /Python: s\.sendto\(data, \("127\.0\.0\.1", \d+\)\)/);
  assertMatch(told, /receive {4}0 bytes from 127\.0\.0\.1:\d+: ""/);
});

Deno.test("explain tells of TLS when a program speaks it", {
  ignore: !hasOpenssl,
}, async () => {
  await using made = await makeCertificates();
  const { cert, key } = made.good;
  const told = await explained(`
const options = ${JSON.stringify({ hostname: "127.0.0.1", cert, key })};
const caCerts = [${JSON.stringify(made.ca.cert)}];
const listener = Deno.listenTls({ ...options, port: 0 });
const { port } = listener.addr;
async function serve() {
  for await (const conn of listener) {
    const buffer = new Uint8Array(10);
    conn.read(buffer).then((n) => {
      console.log(n);
      conn.close();
    }).catch((error) => console.log("server", error.name));
  }
}
serve();
const one = await Deno.connectTls({ hostname: "localhost", port, caCerts });
await one.write(new TextEncoder().encode("secret"));
await one.read(new Uint8Array(1));
one.close();
const tcp = await Deno.connect({ port });
const two = await Deno.startTls(tcp, { hostname: "localhost" });
await two.handshake().catch((error) => console.log(error.message));
two.close();
await new Promise((resolve) => setTimeout(resolve, 100));
listener.close();
`);
  assertMatch(told, /tls {8}with localhost\n {13}C: SSL_connect\(ssl\)/);
  assertMatch(told, /6 bytes from 127\.0\.0\.1:\d+: "secret"/);
  assertEquals(told.match(/"secret"/g)!.length, 2); // sent, received
  assertMatch(told, /tls {8}fails: InvalidData: .*UnknownIssuer/);
});

Deno.test(
  "explain lets a program end when nobody reads what is told",
  needs("bash"),
  async () => {
    const { code, stdout } = await runProgram(CONVERSATION, (file) => {
      const words = denoRun(file, "--preload", EXPLAIN);
      return ["bash", "-c", '{ "$@" 2>&3 3>&-; } 3> >(exit)', ...words]
        .toSpliced(3, 0, "bash");
    });
    assertEquals([code, stdout], [0, "7 null\n"]);
  },
);

Deno.test("explain needs no permission but the program's when it is loaded", async () => {
  const program = `
using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
for (const name of ["read", "env", "sys", "run"]) {
  console.log((await Deno.permissions.query({ name })).state);
}
`;
  const { code, stdout, stderr } = await runProgram(program, (file) => [
    ...[Deno.execPath(), "run", "--no-prompt", "--allow-net=127.0.0.1:0"],
    ...["--preload", EXPLAIN, file],
  ]);
  assertEquals([code, stdout], [0, "prompt\n".repeat(4)], stderr);
});

Deno.test("explain fits the terminal when it has 80 columns", {
  ...needs("linux"),
  ignore: !has("linux") || !installed("script", "--version"),
}, async () => {
  const { stdout } = await runProgram(CONVERSATION, (file) => [
    ...["script", "-qec"],
    `stty cols 80; ${denoRun(file, "--preload", EXPLAIN).join(" ")}`,
    "/dev/null",
  ]);
  const lines = stdout.split("\r\n");
  for (const line of lines) assert(line.length <= 80, line);
  assert(
    lines.includes(`${" ".repeat(13)}C: fd = socket(AF_INET, SOCK_STREAM, 0)`),
  );
});

Deno.test("explain obeys no control character when a peer sends some", async () => {
  const told = await explained(`
const socket = Deno.listenDatagram({
  transport: "udp", hostname: "127.0.0.1", port: 0,
});
await socket.send(new TextEncoder().encode("\\x1b[2J\\u202e\\n"), socket.addr);
socket.close();
`);
  assertStringIncludes(told, String.raw`"\u001b[2J\u202e\n"`);
});

Deno.test("explain changes nothing that a program can see when it looks at its sockets", async () => {
  const told = await explained(`
const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
const conn = await Deno.connect({ port: listener.addr.port });
{
  using other = await listener.accept();
  console.log(listener, other, Object.keys(other), Object.keys(listener));
  console.log(other.constructor.name, other.readable === other.readable);
  console.log(other.readable instanceof ReadableStream, other.readable.locked);
}
console.log(await conn.read(new Uint8Array(1)));
try {
  for (;;) await conn.write(new Uint8Array(1));
} catch (error) {
  console.log(error.constructor === Deno.errors.BrokenPipe, error.name);
}
conn.close();
for (const call of ["read", "write", "closeWrite"]) {
  await conn[call](new Uint8Array(1)).catch(({ name }) => console.log(name));
}
listener.close();
`);
  assertMatch(told, / send +.*fails: BrokenPipe: /);
});

Deno.test("explain closes a socket whose stream fails or is aborted, as Deno does", async () => {
  const told = await explained(`
const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
for (const way of ["abort", "close", "cancel", "fail", "end"]) {
  const conn = await Deno.connect({ port: listener.addr.port });
  using other = await listener.accept();
  if (way === "abort") await conn.writable.abort();
  if (way === "close") await conn.writable.close();
  if (way === "cancel") await conn.readable.cancel();
  if (way === "end") {
    await other.closeWrite();
    for await (const _ of conn.readable);
  }
  if (way === "fail") {
    // Half-closed, it takes nothing any more.
    await conn.closeWrite();
    const writer = conn.writable.getWriter();
    const error = await writer.write(new Uint8Array(1)).catch((error) => error);
    console.log(error.name, await writer.closed.catch(({ name }) => name));
  }
  try {
    conn.close();
    console.log(way, "open");
  } catch (error) {
    console.log(way, error.name);
  }
}
listener.close();
`);
  assertEquals(told.match(/ close {6}the connection/g)!.length, 10);
});

Deno.test("explain keeps back what has not been read when the reader is slow", async () => {
  await explained(`
const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
const conn = await Deno.connect({ port: listener.addr.port });
const other = await listener.accept();
const writer = conn.writable.getWriter();
let written = 0;
const writing = (async () => {
  for (;;) {
    await writer.write(new Uint8Array(1_000_000));
    written++;
  }
})();
// The buffers of the system hold less than 100 MB.
let before = -1;
while (written !== before && written < 100) {
  before = written;
  await new Promise((resolve) => setTimeout(resolve, 200));
}
console.log(written < 100);
other.close();
console.log(await writing.catch((error) => error.constructor.name.length > 0));
listener.close();
`);
});

Deno.test("explain tells that an address may be used again when Deno sets that", async () => {
  const told = await explained(`
const udp = { transport: "udp", hostname: "127.0.0.1", port: 0 };
for (const reuseAddress of [false, true]) {
  Deno.listenDatagram({ ...udp, reuseAddress }).close();
}
Deno.listen({ hostname: "127.0.0.1", port: 0 }).close();
`);
  assertEquals(stepsIn(told), [
    ...["create", "bind", "close", "create", "option", "bind", "close"],
    ...["create", "option", "bind", "listen", "close"],
  ]);
});

Deno.test("explain tells which options a program sets on a connection", async () => {
  const told = await explained(`
using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
using conn = await Deno.connect({ port: listener.addr.port });
conn.setNoDelay(false);
conn.setKeepAlive(true);
conn.setKeepAlive(false);
`);
  assertMatch(told, /TCP_NODELAY off: /);
  assertMatch(told, /SO_KEEPALIVE on: .*\n.* SO_KEEPALIVE, 1\)\n/);
  assertMatch(told, /SO_KEEPALIVE off: .*\n.* SO_KEEPALIVE, 0\)\n/);
});

Deno.test("explain leaves Deno.listenDatagram out when Deno has it not", async () => {
  const { stdout, stderr } = await runProgram(
    "console.log(typeof Deno.listenDatagram);",
    (file) => [
      ...[Deno.execPath(), "run", "--quiet", "--no-config", "--preload"],
      ...[EXPLAIN, file],
    ],
  );
  assertEquals([stdout, stderr], ["undefined\n", ""]);
});

Deno.test(
  "explain goes on in the next line when a line has no room on a terminal",
  {
    ...needs("linux"),
    ignore: !has("linux") || !installed("script", "--version"),
  },
  async () => {
    const program = `
await Deno.connect({ hostname: "::1", port: 1 }).catch(() => {});
const udp = { transport: "udp", hostname: "127.0.0.1", port: 0 };
const socket = Deno.listenDatagram(udp);
await socket.send(new TextEncoder().encode("漢字漢字漢"), socket.addr);
socket.close();
`;
    for (const columns of [80, 40]) {
      const { stdout } = await runProgram(program, (file) => [
        ...["script", "-qec"],
        `stty cols ${columns}; ${
          denoRun(file, "--preload", EXPLAIN).join(" ")
        }`,
        "/dev/null",
      ]);
      const lines = stdout.split("\r\n");
      for (const line of lines) {
        const wide = line.match(/[漢字]/g)?.length ?? 0;
        assert(line.length + wide <= columns, line);
      }
      // Nothing is cut off.
      const told = lines.join("").replaceAll(" ", "");
      assertStringIncludes(
        told,
        "fails:ConnectionRefused:Connectionrefused(oserror111)",
      );
      assertStringIncludes(told, '"漢字漢字漢"');
    }
  },
);
