// `openRelay`: rooms that span machines. What is said in a room is published to
// a stream of NATS JetStream, and what was said in others is read from it.
//
//     room.k3m9qz  41 2
//                  <user7@k3m9qz> hello
//
// is a message: the number of its first line, the number of members, and lines
// as members hear them. Where the next message does not begin with 43, it was
// stored twice, or lines are lost.
import type { JetStreamManager, JsMsg, StreamInfo } from "@nats-io/jetstream";
import type { NatsConnection } from "@nats-io/transport-node";
import { formatAddress, type NetAddress, parseAddress } from "../address.ts";
import { connect, readText } from "../tcp/connect.ts";
import { describeError } from "../tcp/errors.ts";
import { after, concatenate, pause, turn } from "../tcp/stream.ts";
import type { Room } from "./room.ts";

/** Not written in `import()` itself: Deno would fetch them at every start. */
export const CLIENTS = ["transport-node", "jetstream"]
  .map((name) => `npm:@nats-io/${name}@^3.4.0`);

/** The stream, unless the operator has made it; its age is in nanoseconds. */
const ROOM_LIMITS = { max_bytes: 67_108_864, max_age: 600e9 };
const ROOM_STREAM = { name: "ROOM", subjects: ["room.*"], ...ROOM_LIMITS };
const READING = { max_messages: 32, expires: 5000, idle_heartbeat: 1000 };
/** The most bytes that wait for NATS. */
const KEPT = 1_048_576;
/** How long NATS may take, and how long to wait then, in milliseconds. */
const NATS_TIMEOUT = 2000;
const NATS_PAUSE = 250;
/** How often a server publishes, and after what it counts as gone, in ms. */
const BEAT = 1500;
const ABSENCE = 6000;
/** Most servers known at a time: anyone who can publish can invent some. */
const MOST_SERVERS = 1000;

/** Kept when it is gone, too: what it said may be read again. */
type Server = { next: number; size: number; seen: number; isHere: boolean };

/** Joins a room with those of other servers that use the same NATS. */
export async function openRelay(
  room: Pick<Room, "size" | "hear">,
  { transport, hostname, port }: NetAddress,
  file: string | undefined,
  log: { info(event: string, message: string): void },
): Promise<Room["relay"] & AsyncDisposable> {
  const [client, { jetstreamManager }] = await Promise.all(CLIENTS.map(load));
  const secret = file && new TextEncoder().encode(await readText(file));
  const named = formatAddress({ transport: "tcp", hostname, port });
  let places = [named]; // and others of its cluster
  const id = Math.random().toString(36).slice(2, 8).padEnd(6, "0");
  const over = new AbortController();
  const { signal } = over;

  // Lines that wait, their bytes, and the number of the first.
  const said: Uint8Array[] = [];
  let [waiting, first] = [0, 0];
  let speaking: Promise<void> | undefined;
  // Whether NATS stores what we say, and lines that were not kept for it.
  let [reachable, lost] = [true, 0];
  // The message that is read next, and when its stream was made.
  let [unread, made] = [0, ""];
  let heard = 0; // when our own words were last read, by the clock of NATS
  const servers = new Map<string, Server>();

  async function connectToNats() {
    let nats: NatsConnection | undefined;
    try {
      nats = await client.connect({
        servers: await Promise.any(places.map(probeNats)),
        // With this, a server without TLS is refused. Without the host, an IP
        // address would do with a certificate for localhost.
        tls: transport === "tls" ? { host: hostname } : undefined,
        authenticator: secret && client.credsAuthenticator(secret),
        timeout: NATS_TIMEOUT,
        pingInterval: NATS_TIMEOUT,
        reconnect: false,
        resolve: false, // Deno does, and asks for no more than this permission.
      }) as NatsConnection;
      const options = { checkAPI: false, timeout: NATS_TIMEOUT };
      const manager: JetStreamManager = await jetstreamManager(nats, options);
      const { config, created, state } = await openStream(manager);
      // At first we hear from now on; later a new stream, or one that has lost
      // its end, is read from its beginning.
      const next = state.last_seq + 1;
      if (created !== made || next < unread) unread = made ? 1 : next;
      made = created;
      const jetstream = manager.jetstream();
      const place = { opt_start_seq: unread };
      const reader = await jetstream.consumers.get(ROOM_STREAM.name, place);
      const messages = await reader.consume(READING);
      const { max_payload, connect_urls = [] } = nats.info!;
      places = [named, ...connect_urls];
      const limits = [262_144, max_payload, config.max_msg_size];
      const longest = Math.min(...limits.filter((it) => it > 0)) - 256; // header
      return { nats, jetstream, messages, longest };
    } catch (error) {
      await nats?.close();
      const [cause] = error instanceof AggregateError ? error.errors : [error];
      const why = NATS_REASONS.find(([said]) => said.test(`${cause}`))?.[1];
      const attempt = `relay by NATS at ${named}`;
      throw describeError(cause, attempt, `--allow-net=${named}`, why);
    }
  }

  /** Reads the stream on and on; connects again when the connection is lost. */
  async function listen(): Promise<void> {
    for (; !signal.aborted; await pause(NATS_PAUSE, signal)) {
      try {
        if (link.nats.isClosed()) link = await connectToNats();
        stopWhenSilent();
        for await (const message of link.messages) {
          unread = message.seq + 1;
          await hear(message);
        }
      } catch (error) {
        away((error as Error).message);
      }
      await link.nats.close();
    }
  }

  /** Stops a reader that NATS has forgotten, so that `listen` starts another. */
  async function stopWhenSilent({ messages } = link): Promise<void> {
    for await (const { type } of messages.status()) {
      if (type === "heartbeats_missed") messages.stop();
    }
  }

  /** Tells our members what was said elsewhere; anyone may have sent it. */
  async function hear({ subject, data, time }: JsMsg): Promise<void> {
    const from = subject.slice("room.".length);
    const seen = time.getTime();
    if (from === id) return await findAbsent(seen);
    const told = new TextDecoder().decode(data).split("\n").slice(0, -1);
    const header = /^(\d{1,15}) (\d{1,15})$/.exec(told.shift()!);
    if (!header || !/^[a-z0-9]{6}$/.test(from)) return;
    const [, begin, size] = header.map(Number);
    const { next = begin, isHere = false } = servers.get(from) ?? {};
    if (begin < next) return; // It was stored twice, or is read again.
    if (servers.size >= MOST_SERVERS && !servers.has(from)) return;
    servers.set(from, { next: begin + told.length, size, seen, isHere: true });
    if (!isHere) {
      log.info("met", `The room is shared with the server @${from}`);
      speaking ??= publish(); // so that it meets us
      await tell("back", size, `# member(s) back at @${from}`);
    }
    const missed = `missed # line(s) from @${from}`;
    await tell("missed", begin - next, missed);
    await tell("missed", await room.hear(told, `@${from}`), missed);
  }

  /** Notices servers that are no longer heard, while we are. */
  async function findAbsent(now: number): Promise<void> {
    // After a pause of our own, NATS or we were away, and others perhaps too.
    const wasAway = now - heard > 2 * BEAT;
    heard = now;
    for (const [from, server] of servers) {
      if (wasAway) server.seen = now;
      const silence = now - server.seen;
      // By then nothing that it said is in the stream any more.
      if (silence > ROOM_LIMITS.max_age / 1e6) servers.delete(from);
      if (silence < ABSENCE || !server.isHere) continue;
      servers.set(from, { ...server, size: 0, isHere: false });
      await tell("absent", server.size, `lost # member(s) at @${from}`);
    }
  }

  /** Tells our members and the log; the count stands for `#` in the words. */
  async function tell(event: string, count: number, words: string) {
    if (count === 0) return;
    const counted = words.replace("#", `${count}`);
    const text = counted.replace("(s)", count === 1 ? "" : "s");
    log.info(event, text);
    await room.hear([`* ${text}`]);
  }

  /** Publishes what waits, in order; if nothing does, that we are there. */
  async function publish(): Promise<void> {
    await turn(); // What others say in the same turn goes along.
    do {
      let [count, length] = [0, 0];
      for (const line of said) {
        if (count > 0 && length + line.length > link.longest) break;
        count++;
        length += line.length;
      }
      const header = new TextEncoder().encode(`${first} ${room.size}\n`);
      await store(concatenate([header, ...said.splice(0, count)]));
      waiting -= length;
      first += count;
      returned();
    } while (said.length > 0);
    speaking = undefined;
  }

  /** Tries until it is stored; NATS stores the same msgID only once. */
  async function store(message: Uint8Array): Promise<void> {
    const msgID = crypto.randomUUID();
    for (; !signal.aborted; await pause(NATS_PAUSE, signal)) {
      try {
        await link.jetstream.publish(`room.${id}`, message, { msgID });
        return;
      } catch (error) {
        const { message: reason } = error as Error;
        if (!/size exceed/.test(reason)) away(reason);
        else return log.info("unsent", "1 line is too long for NATS");
      }
    }
  }

  function away(reason: string): void {
    if (!reachable || signal.aborted) return;
    reachable = false;
    log.info("unreachable", `NATS is out of reach: ${reason}`);
    room.hear(["* other servers are out of reach; what is said is kept"]);
  }

  function returned(): void {
    if (reachable || lost > 0 && waiting > 0 || signal.aborted) return;
    const more = lost > 0 ? `, ${lost} lines were not kept` : "";
    log.info("reachable", `NATS is back${more}`);
    room.hear([`* other servers are back${more}`]);
    reachable = true;
    first += lost;
    lost = 0;
  }

  // The client stops listening to a socket that failed. In Deno 2.9 that can
  // still be reset, an error that nobody catches: the process would end.
  globalThis.addEventListener("error", (event) => {
    if (event.error?.syscall === "read") event.preventDefault();
  });
  let link = await connectToNats();
  log.info("relaying", `Names in this room end with @${id}`);
  listen();
  const beats = setInterval(() => speaking ??= publish(), BEAT);
  speaking = publish();
  return {
    suffix: `@${id}`,
    get members() {
      return servers.values().reduce((sum, it) => sum + it.size, 0);
    },
    say(line) {
      const isFull = !reachable && waiting + line.length >= KEPT;
      // After a line that is lost, nothing is kept until all before it is said.
      if (isFull || lost > 0) return void lost++;
      said.push(concatenate([line, Uint8Array.of(0x0a)]));
      waiting += line.length + 1;
      speaking ??= publish();
    },
    async caughtUp() {
      while (reachable && waiting > KEPT) await pause(2);
    },
    async [Symbol.asyncDispose]() {
      clearInterval(beats);
      if (reachable) await Promise.race([speaking, pause(NATS_TIMEOUT)]);
      over.abort();
      await link.nats.close();
    },
  };
}

/** Finds the stream, or makes it. */
async function openStream({ streams }: JetStreamManager): Promise<StreamInfo> {
  const open = () =>
    streams.info(ROOM_STREAM.name).catch(() => streams.add(ROOM_STREAM));
  const stream = await open().catch(() => undefined);
  // If several servers make it at once, NATS 2.9 gives one of them an error, or
  // half a stream, which has no date and may stay silent.
  if (stream && !stream.created.startsWith("0001")) return stream;
  await pause(NATS_PAUSE);
  return await open();
}

function load(name: string) {
  return import(name).catch((error) => {
    const why = `with a network, \`deno cache ${name}\` fetches it once`;
    throw describeError(error, "load the client for NATS", "", why);
  });
}

/** Checks in time whether NATS answers; the client would leave a socket open. */
async function probeNats(place: string): Promise<string> {
  using conn = await connect(parseAddress(place), { timeout: NATS_TIMEOUT });
  using _timer = after(NATS_TIMEOUT, () => conn.close());
  const greeting = new Uint8Array(5);
  await conn.read(greeting);
  if (new TextDecoder().decode(greeting) === "INFO ") return place;
  throw new Error("it does not speak NATS; is its port that for clients?");
}

/** Our words for errors of the client. */
const NATS_REASONS: [RegExp, string][] = [
  [/^Auth/, "it refuses us; name credentials with --relay-creds FILE"],
  [/Timeout|Interrupted|BadRes/, "it did not answer in time; is that NATS?"],
  [/respond|not enabled/, "it has no JetStream; start `nats-server -js`"],
  [/Invalid URL/, "the client for NATS takes no zones; name another address"],
  [/first c|self-s/, "its signer is not trusted; use deno run --cert FILE"],
];
