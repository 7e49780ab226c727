/** Programs written from the classic Python tutorials, as clients of our server and as servers of our client. */
import {
  assert,
  assertEquals,
  assertMatch,
  assertStringIncludes,
} from "@std/assert";
import { installed, Running, type RunOptions } from "../support/helpers.ts";
import {
  clientAt,
  clientCommand,
  endsWell,
  listening,
  NETWORKS,
  noise,
  type Place,
  same,
  serverAt,
  testOver,
} from "../support/peers.ts";
import { screenOf } from "../support/screen.ts";

const PYTHON = "python3";
const MISSING = !installed(PYTHON, "--version");

/** Unbuffered, so that what it prints is seen at once. */
const program = (name: string, ...args: string[]) => [
  ...["-u", `tests/support/python/${name}`, ...args],
];

function test(name: string, body: (place: Place) => Promise<void>): void {
  testOver(NETWORKS, name, MISSING, body);
}

function pythonClient(
  name: string,
  { host, port }: Place,
  args: string[] = [],
  options: RunOptions = {},
): Running {
  return new Running(
    PYTHON,
    program(name, host, String(port), ...args),
    options,
  );
}

async function pythonServer(
  name: string,
  place: Place,
  options: RunOptions = {},
): Promise<[Running, Place]> {
  const listen = ({ host }: Place) => program(name, host);
  const ready = /listening on port (\d+)/;
  return await listening({ program: PYTHON, listen, ready }, place, options);
}

/** A file that is no multiple of 512 bytes long. */
const FILE = noise(1_300);
const PADDED = new Uint8Array(1_536);
PADDED.set(FILE);

async function sendPackets(
  place: Place,
  flags: string[],
  ...args: string[]
): Promise<Uint8Array> {
  const file = await Deno.makeTempFile();
  try {
    await Deno.writeFile(file, FILE);
    const [server, at] = await serverAt(place, flags);
    await using _ = server;
    await using client = pythonClient("packet_client.py", at, [file, ...args]);
    const { code, bytes, stderr } = await client.ended();
    assertEquals([code, stderr], [0, ""]);
    return bytes;
  } finally {
    await Deno.remove(file);
  }
}

test("tcp_server.ts echoes each packet when a Python client sends 512 bytes and waits", async (place) => {
  assert(same(await sendPackets(place, []), FILE));
});

test("tcp_server.ts --framing fixed:512 echoes blocks when a Python client pads the last one", async (place) => {
  const flags = ["--framing", "fixed:512"];
  assert(same(await sendPackets(place, flags, "pad"), PADDED));
});

test("tcp_client.ts --framing fixed:512 pads the last block when a Python server calls recv(512)", async (place) => {
  const [server, at] = await pythonServer("packet_server.py", place);
  await using _ = server;
  await using client = clientAt(at, ["-f", "fixed:512"], { input: FILE });
  const { code, bytes, stderr } = await client.ended();
  assertEquals([code, stderr], [0, ""]);
  assert(same(bytes, PADDED));
  const packet = "a packet of 512 bytes\n";
  assertEquals(await endsWell(server), packet.repeat(3));
});

test("tcp_server.ts shows each message and sends each answer when a Python client chats", async (place) => {
  const [server, at] = await serverAt(place, ["--mode", "chat"], {
    input: "open",
  });
  await using _ = server;
  await using client = pythonClient("chat_client.py", at, [], {
    input: "open",
  });
  for (let turn = 1; turn <= 3; turn++) {
    await client.type(`message ${turn}\n`);
    await server.stdout(`message ${turn}`);
    await server.type(`answer ${turn}\n`);
    await client.stdout(`from the server: answer ${turn}\n`);
  }
  await client.type("bye\n");
  await endsWell(client);
  assertStringIncludes(await server.stderr("closed"), "connected");
});

test("tcp_client.ts sends each line and prints each answer when a Python server chats", async (place) => {
  const [server, at] = await pythonServer("chat_server.py", place, {
    input: "open",
  });
  await using _ = server;
  await using client = clientAt(at, [], { input: "open" });
  for (let turn = 1; turn <= 3; turn++) {
    await client.type(`message ${turn}\n`);
    await server.stdout(`from the client: message ${turn}\n`);
    await server.type(`answer ${turn}\n`);
    await client.stdout(`answer ${turn}`);
  }
  await client.stdin!.close();
  assertEquals(await endsWell(client), "answer 1answer 2answer 3");
  await endsWell(server);
});

testOver(
  NETWORKS,
  "tcp_client.ts prompts for each line and leaves at bye when a Python server chats with its terminal",
  MISSING,
  async (place) => {
    const [server, at] = await pythonServer("chat_server.py", place, {
      input: "open",
    });
    await using _ = server;
    const inTerminal = program("terminal.py", ...clientCommand(at, []));
    await using client = new Running(PYTHON, inTerminal, { input: "open" });
    const shows = (text: RegExp) =>
      client.stdout({ test: (output) => text.test(screenOf(output)) });
    await shows(/bye leaves\n -> $/);
    await client.type("hello\n");
    await server.stdout("from the client: hello\n");
    await server.type("good day\n");
    await shows(/good day\n -> $/);
    await client.type("bye\n");
    const screen = screenOf(await endsWell(client));
    assertMatch(screen, / -> bye\nThe conversation with .* is over\n$/);
    assertEquals(await endsWell(server), "from the client: hello\n\n -> ");
  },
  "terminals",
);

test("tcp_client.ts prints the greeting when a Python server thanks it and closes", async (place) => {
  const [server, at] = await pythonServer("greeting_server.py", place);
  await using _ = server;
  for (const input of [undefined, "", "open"]) {
    await using client = clientAt(at, [], { input });
    assertEquals(await endsWell(client), "Thank you for connecting");
  }
});

test("tcp_server.ts greets each one when six Python clients come in a row", async (place) => {
  const [server, at] = await serverAt(place, ["--mode", "greet"]);
  await using _ = server;
  for (let i = 0; i < 6; i++) {
    await using client = pythonClient("greeting_client.py", at);
    assertEquals(await endsWell(client), "Thank you for connecting\n");
  }
});

test("tcp_server.ts echoes when a Python client calls sendall() and recv(1024)", async (place) => {
  const [server, at] = await serverAt(place);
  await using _ = server;
  await using client = pythonClient("echo_client.py", at);
  assertEquals(await endsWell(client), "Received b'Hello, world'\n");
});

test("tcp_client.ts gets its bytes back when a Python server calls recv(1024) and sendall()", async (place) => {
  const sent = noise(1_000_000);
  const [server, at] = await pythonServer("echo_server.py", place);
  await using _ = server;
  await using client = clientAt(at, [], { input: sent });
  const { code, bytes, stderr } = await client.ended();
  assertEquals([code, stderr], [0, ""]);
  assert(same(bytes, sent));
});

test("tcp_client.ts prints the reply when a Python server sends it 700 ms after the end of input", async (place) => {
  const [server, at] = await pythonServer("late_server.py", place);
  await using _ = server;
  await using client = clientAt(at, [], { input: "hi\n" });
  assertEquals(await endsWell(client), "you said hi\n");
});
