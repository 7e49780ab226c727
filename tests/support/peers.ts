/**
 * What nc, ncat and socat have in common, as peers of our scripts: the places where they meet, and the tests.
 *
 * @module
 */
import { Buffer } from "node:buffer";
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { type Certificates, makeCertificates } from "./certificates.ts";
import { Running, type RunOptions, SCRIPTS } from "./helpers.ts";
import { type Need, needs } from "./system.ts";

/** Where a script and its peer meet. */
export interface Place {
  /** As the names of tests have it. */
  over: "IPv4" | "IPv6" | "a unix socket" | "TLS";
  /** An IP address, or the path of a unix socket. */
  host: string;
  /** Zero until someone listens, and for a unix socket. */
  port: number;
  /** For TLS. */
  certificates?: Certificates;
}

/** A program that connects to our server, or listens for our client. */
export interface Peer {
  program: string;
  /** Whether it is not here. */
  missing: boolean;
  /** Where it can be met. */
  places: Place[];
  /** Arguments to connect, and to half-close at the end of the input. */
  connect(place: Place): string[];
  /** Arguments to listen for one client; to choose a port, if it is zero. */
  listen(place: Place): string[];
  /** What it says on standard error once it listens, with the port. */
  ready: RegExp;
  /** Whether it leaves as soon as the other side has half-closed. */
  leaves?: boolean;
  /** Whether its half-close over TLS is one of TCP only: without a goodbye. */
  abrupt?: boolean;
  /** Whether it cannot say which port it has chosen. */
  needsPort?: boolean;
}

const IPV4: Place = { over: "IPv4", host: "127.0.0.1", port: 0 };
const IPV6: Place = { over: "IPv6", host: "::1", port: 0 };

/** A unix socket; its path is there only while its test runs. */
export const UNIX: Place = { over: "a unix socket", host: "", port: 0 };
/** TLS; its certificates are for `localhost` too. */
export const TLS: Place = { over: "TLS", host: "127.0.0.1", port: 0 };

/** IPv4, and IPv6 where the machine has it. */
export const NETWORKS: Place[] = hasIPv6() ? [IPV4, IPV6] : [IPV4];

/** Bytes of every value, in no order. */
export function noise(length: number): Uint8Array<ArrayBuffer> {
  const noise = new Uint8Array(length);
  for (let i = 0; i < length; i += 65_536) {
    crypto.getRandomValues(noise.subarray(i, i + 65_536));
  }
  return noise;
}

const PIPE = ["--mode", "pipe"];

/** The place as our scripts want it written. */
export function addressOf({ over, host, port }: Place): string {
  if (over === "a unix socket") return `unix:${host}`;
  if (over === "TLS") return `tls://${host}:${port}`;
  return host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`;
}

/** The command line of a script, with the permission that the place needs. */
function commandAt(script: string, place: Place, args: string[]): string[] {
  const permissions = ["--allow-net"];
  if (place.over === "a unix socket") permissions.push("--allow-write");
  if (place.over === "a unix socket" || place.over === "TLS") {
    permissions.push("--allow-read");
  }
  const deno = [Deno.execPath(), "run", "--quiet", "--no-prompt"];
  return [
    ...deno,
    ...permissions,
    `${SCRIPTS}/${script}`,
    addressOf(place),
    ...args,
  ];
}

/** Starts our server; gives the place where it listens as well. */
export async function serverAt(
  place: Place,
  args: string[] = [],
  options: RunOptions = {},
): Promise<[Running, Place]> {
  const { over, certificates } = place;
  const { certFile, keyFile } = certificates?.good ?? {};
  const tls = certFile && keyFile ? ["--cert", certFile, "--key", keyFile] : [];
  const [deno, ...rest] = commandAt("tcp_server.ts", place, [...args, ...tls]);
  const server = new Running(deno, rest, options);
  if (over === "a unix socket") await server.stderr("Listening on unix:");
  else place = { ...place, port: await server.port() };
  return [server, place];
}

/** The command line of our client. */
export function clientCommand(place: Place, args: string[]): string[] {
  const ca = place.certificates?.ca.certFile;
  const trust = ca === undefined ? [] : ["--ca", ca];
  return commandAt("tcp_client.ts", place, [...trust, ...args]);
}

/** Starts our client. */
export function clientAt(
  place: Place,
  args: string[] = [],
  options: RunOptions = {},
): Running {
  const [deno, ...rest] = clientCommand(place, args);
  return new Running(deno, rest, options);
}

/** Starts a program that listens; gives the place where it does as well. */
export async function listening(
  { program, listen, ready, needsPort }: Pick<
    Peer,
    "program" | "listen" | "ready" | "needsPort"
  >,
  place: Place,
  options: RunOptions = {},
): Promise<[Running, Place]> {
  for (;;) {
    if (needsPort && place.over !== "a unix socket") {
      place = { ...place, port: freePort(place.host) };
    }
    const peer = new Running(program, listen(place), options);
    try {
      const port = ready.exec(await peer.stderr(ready))?.[1];
      return [peer, port ? { ...place, port: Number(port) } : place];
    } catch (error) {
      await peer[Symbol.asyncDispose]();
      // Someone else has taken the port since it was free.
      if (!/already in use/i.test(String(error))) throw error;
    }
  }
}

/** Waits for the end of a program that has nothing to complain about. */
export async function endsWell(running: Running): Promise<string> {
  const { code, stdout, stderr } = await running.ended();
  assertEquals(code, 0, stderr);
  return stdout;
}

/** Compares; a million bytes are not shown where they differ. */
export function same(one: Uint8Array, other: Uint8Array): boolean {
  return Buffer.from(one).equals(other);
}

/** Waits for the end of a program that prints just these bytes. */
async function printsExactly(running: Running, sent: Uint8Array) {
  const { code, bytes, stderr } = await running.ended();
  assertEquals([code, stderr], [0, ""]);
  assert(same(bytes, sent));
}

type Body = (place: Place) => Promise<void>;

/** Registers the tests for a peer that connects to our server. */
export function testAsClient(peer: Peer): void {
  const { program, missing, places, abrupt, connect } = peer;
  // What has no goodbye may have been cut: that ends the conversation.
  const kept = abrupt ? places.filter((place) => place !== TLS) : places;
  const test = (over: Place[], name: string, body: Body) =>
    testOver(over, `tcp_server.ts ${name}`, missing, body);
  const join = (place: Place, input: RunOptions["input"]) =>
    new Running(program, connect(place), { input });

  test(places, `echoes to ${program} when it half-closes`, async (place) => {
    const [server, at] = await serverAt(place);
    await using _ = server;
    const sent = noise(1_000_000);
    await using client = join(at, sent);
    await printsExactly(client, sent);
  });

  test(NETWORKS, `greets ${program} when it connects`, async (place) => {
    const [server, at] = await serverAt(place, ["--mode", "greet"]);
    await using _ = server;
    await using silent = join(at, undefined);
    await using waiting = join(at, "open");
    assertEquals(await endsWell(silent), "Thank you for connecting");
    await waiting.stdout("Thank you for connecting");
    await waiting.stdin!.close();
    assertEquals(await endsWell(waiting), "Thank you for connecting");
  });

  test(NETWORKS, `chats with ${program} when both type`, async (place) => {
    const [server, at] = await serverAt(place, ["--mode", "chat"], {
      input: "open",
    });
    await using _ = server;
    await using client = join(at, "open");
    await converse(client, server);
    await server.type("bye\n");
    await server.stderr("closed");
    await client.stdin!.close();
    await endsWell(client);
  });

  if (!peer.leaves) {
    const hears = `still hears ${program} when its own keyboard has ended`;
    test(NETWORKS, hears, async (place) => {
      const [server, at] = await serverAt(place, ["--mode", "chat"], {
        input: "that is all\n",
      });
      await using _ = server;
      await using client = join(at, "open");
      await client.stdout("that is all\n");
      await client.type("but I go on\n");
      await server.stdout("but I go on\n");
      await client.stdin!.close();
      await endsWell(client);
    });
  }

  const fills = `writes a file that ${program} sends when its mode is pipe`;
  test(places, fills, async (place) => {
    const sent = noise(1_000_000);
    // Its own input is silent, and must not keep it.
    const [server, at] = await serverAt(place, PIPE, { input: "open" });
    await using _ = server;
    await using client = join(at, sent);
    const { code, bytes, stderr } = await server.ended();
    assert(same(bytes, sent), stderr);
    assertEquals(code, place.over === "TLS" && abrupt ? 1 : 0, stderr);
    await client.ended();
  });

  const serves = `sends a file to ${program} when its mode is pipe`;
  test(kept, serves, async (place) => {
    const sent = noise(1_000_000);
    const [server, at] = await serverAt(place, PIPE, { input: sent });
    await using _ = server;
    await using client = join(at, "open");
    await server.stderr("connected");
    await client.stdin!.close();
    await printsExactly(client, sent);
    await server.ended();
  });

  const joins = `joins ${program} with an echo when its mode is forward`;
  test(kept, joins, async (place) => {
    const [echo, there] = await serverAt(IPV4);
    await using _echo = echo;
    const args = ["--mode", "forward", "--to", addressOf(there)];
    const [server, at] = await serverAt(place, args);
    await using _ = server;
    const sent = noise(1_000_000);
    await using client = join(at, sent);
    await printsExactly(client, sent);
  });

  const relays = `relays what ${program} says when others are in the room`;
  test(NETWORKS, relays, async (place) => {
    const [server, at] = await serverAt(place, ["--mode", "room"]);
    await using _ = server;
    await using ann = join(at, "open");
    await ann.stdout("* you are user1, 1 here\n");
    await using bob = join(at, "open");
    await bob.stdout("* you are user2, 2 here\n");
    await using cleo = join(at, "open");
    await ann.stdout("* user3 joined\n");
    await ann.type("hello\n");
    await bob.stdout("<user1> hello\n");
    await bob.type("good day\n");
    await cleo.stdout("<user1> hello\n<user2> good day\n");
    await bob.stdin!.close();
    await ann.stdout("<user2> good day\n* user2 left\n");
    assertEquals(
      await endsWell(bob),
      "* you are user2, 2 here\n* user3 joined\n<user1> hello\n",
    );
  });
}

/** Registers the tests for a peer that listens for our client. */
export function testAsServer(peer: Peer): void {
  const { program, missing, places, abrupt } = peer;
  const test = (over: Place[], name: string, body: Body) =>
    testOver(over, `tcp_client.ts ${name}`, missing, body);

  const prints = `prints all that ${program} sends when nothing is typed`;
  test(places, prints, async (place) => {
    const sent = noise(1_000_000);
    const [server, at] = await listening(peer, place, { input: sent });
    await using _ = server;
    await using client = clientAt(at, ["--no-stdin"]);
    const { code, bytes, stderr } = await client.ended();
    assert(same(bytes, sent), stderr);
    if (place.over === "TLS" && abrupt) {
      // Without the goodbye of TLS nobody knows whether this was all.
      assertEquals(code, 1);
      assertStringIncludes(stderr, "without a TLS farewell");
    } else assertEquals([code, stderr], [0, ""]);
  });

  const sends = `sends all that there is when ${program} half-closes first`;
  const kept = abrupt ? places.filter((place) => place !== TLS) : places;
  test(kept, sends, async (place) => {
    // More than the sockets hold, from a file: it is still being sent when the
    // end of what the peer says has come, and it is never silent.
    const sent = noise(8_000_000);
    const file = await Deno.makeTempFile();
    try {
      await Deno.writeFile(file, sent);
      const [server, at] = await listening(peer, place, { input: "go on" });
      await using _ = server;
      const shell = ["-c", 'exec "$@" <"$0"', file, ...clientCommand(at, [])];
      await using client = new Running("sh", shell);
      assertEquals(await endsWell(client), "go on");
      assert(same((await server.ended()).bytes, sent));
    } finally {
      await Deno.remove(file);
    }
  });

  test(NETWORKS, `chats with ${program} when both type`, async (place) => {
    const [server, at] = await listening(peer, place, { input: "open" });
    await using _ = server;
    await using client = clientAt(at, [], { input: "open" });
    await converse(client, server);
    await client.stdin!.close();
    await server.stdin!.close();
    assertStringIncludes(await endsWell(client), "answer 3\n");
    assertStringIncludes(await endsWell(server), "word 3\n");
  });
}

/** One asks, the other answers, and then it answers unasked. */
async function converse(one: Running, other: Running): Promise<void> {
  for (let i = 1; i <= 3; i++) {
    await one.type(`word ${i}\n`);
    await other.stdout(`word ${i}\n`);
    await other.type(`answer ${i}\n`);
    await one.stdout(`answer ${i}\n`);
  }
  await other.type("and one more\n");
  await one.stdout("answer 3\nand one more\n");
}

/** Registers a test for each place. */
export function testOver(
  places: Place[],
  name: string,
  ignore: boolean,
  body: Body,
  ...needed: Need[]
): void {
  for (const place of places) {
    const isFile = place.over === "a unix socket";
    const options = needs(...needed, ...isFile ? ["unixSockets" as const] : []);
    options.ignore ||= ignore;
    const full = name.replace(" when ", ` over ${place.over} when `);
    Deno.test(full, options, async () => {
      if (place.over === "TLS") {
        await using certificates = await makeCertificates();
        await body({ ...place, certificates });
      } else if (place.over === "a unix socket") {
        const directory = await Deno.makeTempDir();
        try {
          await body({ ...place, host: `${directory}/socket` });
        } finally {
          await Deno.remove(directory, { recursive: true });
        }
      } else await body(place);
    });
  }
}

function hasIPv6(): boolean {
  try {
    freePort("::1");
    return true;
  } catch {
    return false;
  }
}

function freePort(hostname: string): number {
  using listener = Deno.listen({ hostname, port: 0 });
  return listener.addr.port;
}
